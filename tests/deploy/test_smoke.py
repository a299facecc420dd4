"""The bundle's own smoke test, run as its reader runs it, against the model repository of the bundle in real Triton."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from toolkit.deploy import DeploymentSpec, SmokeGeneration, SmokeRequest, compose_bundle, write_bundle
from toolkit.deploy.metrics import METRICS
from toolkit.deploy.smoke import smoke_files
from toolkit.export.parity import Tolerance
from toolkit.serve.embedded import problems, serve_embedded
from toolkit.serve.server import Endpoint

CONFIG = """\
name: "answers"
backend: "python"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
input { name: "image" data_type: TYPE_UINT8 dims: [ -1 ] }
output { name: "doubled" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "half" data_type: TYPE_FP16 dims: [ 2 ] }
output { name: "label" data_type: TYPE_STRING dims: [ 1 ] }
"""
ENSEMBLE = """\
name: "whole"
platform: "ensemble"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 2 ] }
input { name: "image" data_type: TYPE_UINT8 dims: [ -1 ] }
output { name: "doubled" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "half" data_type: TYPE_FP16 dims: [ 2 ] }
output { name: "label" data_type: TYPE_STRING dims: [ 1 ] }
ensemble_scheduling {
  step {
    model_name: "answers"
    model_version: -1
    input_map { key: "x" value: "x" }
    input_map { key: "image" value: "image" }
    output_map { key: "doubled" value: "doubled" }
    output_map { key: "half" value: "half" }
    output_map { key: "label" value: "label" }
  }
}
"""
MODEL = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [answer(pb_utils.get_input_tensor_by_name(request, "x").as_numpy()) for request in requests]


def answer(x):
    label = np.array([[b"caf\\xc3\\xa9"]] * len(x), dtype=object)
    outputs = {"doubled": 2 * x, "half": (x / 2).astype(np.float16), "label": label}
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in outputs.items()])
"""
WRITES = """\
name: "writes"
backend: "python"
max_batch_size: 0
input { name: "text_input" data_type: TYPE_STRING dims: [ 1 ] }
input { name: "return_token_ids" data_type: TYPE_BOOL dims: [ 1 ] optional: true }
output { name: "text_output" data_type: TYPE_STRING dims: [ -1 ] }
output { name: "token_ids" data_type: TYPE_INT32 dims: [ -1 ] }
model_transaction_policy { decoupled: true }
"""
WRITER = """\
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            with_tokens = pb_utils.get_input_tensor_by_name(request, "return_token_ids") is not None
            for token, text in ((7, b" a"), (8, b" caf\\xc3\\xa9"), (9, b" more")):
                outputs = [pb_utils.Tensor("text_output", np.array([text], dtype=object))]
                outputs += [pb_utils.Tensor("token_ids", np.array([token], np.int32))] if with_tokens else []
                sender.send(pb_utils.InferenceResponse(outputs))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
"""
GENERATION = SmokeGeneration(
    path="/v2/models/writes/generate_stream",
    request={"text_input": "a", "return_token_ids": True},
    token_ids=(7, 8),
    text="a caf\u00e9",
)
SMOKE = SmokeRequest(
    inputs={"x": np.array([[1.0, np.inf]], np.float32), "image": np.array([[137, 80, 78, 71, 0]], np.uint8)},
    expected={
        "doubled": np.array([[2.0, np.inf]], np.float32),
        "half": np.array([[0.5, np.inf]], np.float16),
        "label": np.array([[b"caf\xc3\xa9"]], dtype=object),
    },
    tolerance=Tolerance(absolute=1e-5, relative=1e-4),
)


@dataclass(frozen=True)
class Deployed:
    """A written bundle whose model repository is being served."""

    bundle: Path
    endpoint: Endpoint

    def smoke(self, *arguments: str) -> tuple[int, str]:
        url = f"http://{self.endpoint.http}"
        command = (sys.executable, str(self.bundle / "smoke" / "smoke.py"), "--url", url, "--wait", "0", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert not done.stderr
        return done.returncode, done.stdout


@pytest.fixture(scope="module")
def written(make_spec_of: Callable[..., DeploymentSpec], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    repository = folder / "repository"
    for name, config in {"answers": CONFIG, "whole": ENSEMBLE}.items():
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(config)
    (repository / "answers" / "1" / "model.py").write_text(MODEL)
    spec = make_spec_of(repository, model="whole", entries=("answers", "whole"), smoke=SMOKE)
    write_bundle(compose_bundle(spec), folder / "bundle")
    (repository / "writes" / "1").mkdir(parents=True)
    (repository / "writes" / "config.pbtxt").write_text(WRITES)
    (repository / "writes" / "1" / "model.py").write_text(WRITER)
    shutil.copytree(repository / "writes", folder / "bundle" / "model_repository" / "writes")
    return folder / "bundle"


@pytest.fixture(scope="module")
def endpoint(written: Path) -> Iterator[Endpoint]:
    if found := problems():
        pytest.skip(f"the embedded server cannot run here: {found[0]}")
    with serve_embedded(written / "model_repository") as server:
        yield server.endpoint


@pytest.fixture
def deployed(written: Path, endpoint: Endpoint, tmp_path: Path) -> Deployed:
    """A copy of the bundle that a test may damage, and the server of the original."""
    shutil.copytree(written, tmp_path / "bundle")
    return Deployed(bundle=tmp_path / "bundle", endpoint=endpoint)


def test_a_sound_deployment_passes(deployed: Deployed) -> None:
    code, said = deployed.smoke()
    assert code == 0, said
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["ok", check] for check in ("files", "health", "metadata", "inference")
    ]


@pytest.mark.parametrize(
    ("output", "field", "value", "message"),
    [
        (0, "data", [2.1, "inf"], "doubled[0] is 2.0, expected 2.1"),
        (0, "data", [2.0, "nan"], "doubled[1] is inf, expected 'nan'"),
        (0, "shape", [2, 1], "shape [1, 2], expected [2, 1]"),
        (1, "data", [0.6, "inf"], "half[0] is 0.5, expected 0.6"),
        (2, "data", ["cafe"], "label[0] is 'café', expected 'cafe'"),
        (1, "datatype", "FP32", "output half: the model has"),
        (1, "name", "other", "output other: the model has"),
    ],
)
def test_another_answer_fails(deployed: Deployed, output: int, field: str, value: object, message: str) -> None:
    path = deployed.bundle / "smoke" / "expected.json"
    expectation = json.loads(path.read_text(encoding="utf-8"))
    expectation["outputs"][output][field] = value
    path.write_text(json.dumps(expectation))
    code, said = deployed.smoke()
    assert code == 1
    assert message in said.splitlines()[-1]


@pytest.fixture
def generating(deployed: Deployed) -> Deployed:
    """The bundle, as if an entry that generates text were its measured one."""
    for name, content in smoke_files("writes", GENERATION, ready="/v2/health/ready").items():
        (deployed.bundle / "smoke" / name).write_text(str(content))
    return deployed


@pytest.mark.parametrize("ask_for_tokens", [True, False])
def test_a_sound_generation_passes(generating: Deployed, ask_for_tokens: bool) -> None:
    if not ask_for_tokens:
        (generating.bundle / "smoke" / "request.json").write_text('{"text_input": "a"}')
    code, said = generating.smoke()
    assert code == 0, said
    assert [line.split()[1] for line in said.splitlines()] == ["files", "health", "generation"]
    assert "3 events" in said and "2 tokens that are certain" in said


@pytest.mark.parametrize(
    ("request_json", "expected", "message"),
    [
        (None, {"token_ids": [7, 9]}, "begin with [7, 8], expected [7, 9]"),
        ({"text_input": "a"}, {"text": "a tea"}, "expected to begin with 'a tea'"),
        ({"text": "a"}, {}, "HTTP 400"),
        (None, {"path": "/v2/models/absent/generate_stream"}, "HTTP 4"),
    ],
)
def test_another_generation_fails(
    generating: Deployed, request_json: object, expected: dict[str, object], message: str
) -> None:
    smoke = generating.bundle / "smoke"
    if request_json is not None:
        (smoke / "request.json").write_text(json.dumps(request_json))
    (smoke / "expected.json").write_text(json.dumps(json.loads((smoke / "expected.json").read_text()) | expected))
    code, said = generating.smoke()
    assert code == 1
    assert message in said.splitlines()[-1]


def test_another_model_file_fails(deployed: Deployed) -> None:
    (deployed.bundle / "model_repository" / "answers" / "1" / "model.py").write_text("# changed")
    code, said = deployed.smoke()
    assert code == 1
    assert "model_repository/answers/1/model.py is not the file that was measured" in said


def test_no_server_and_an_unknown_model_fail(deployed: Deployed) -> None:
    code, said = deployed.smoke("--url", "http://127.0.0.1:9")
    assert code == 1
    assert "is not ready" in said
    path = deployed.bundle / "smoke" / "expected.json"
    path.write_text(path.read_text().replace('"whole"', '"an other/one"'))
    code, said = deployed.smoke()
    assert code == 1
    assert "HTTP 4" in said


def test_every_metric_that_needs_no_gpu_and_no_option_is_exported(endpoint: Endpoint) -> None:
    with urllib.request.urlopen(f"http://{endpoint.metrics}/metrics") as response:
        exported = set(re.findall(r"^(\w+)[ {]", response.read().decode(), re.MULTILINE))
    optional = {name for name in METRICS if name.startswith("nv_gpu_") or name.endswith("_summary_us")}
    assert METRICS - optional - {"up"} <= exported


def test_values_that_json_lacks_are_written_as_text() -> None:
    smoke = SmokeRequest(
        inputs={"x": np.zeros((1, 1), np.float32)},
        expected={
            "f": np.array([[np.nan, -np.inf, 0.5]], np.float32),
            "s": np.array([["é", b"\xff"]], dtype=object),
            "b": np.array([[True, False]]),
        },
        tolerance=Tolerance(absolute=0.0, relative=0.0),
    )
    outputs = json.loads(smoke_files("m", smoke, ready="/ready")["expected.json"])["outputs"]
    assert {o["name"]: (o["datatype"], o["shape"], o["data"]) for o in outputs} == {
        "f": ("FP32", [1, 3], ["nan", "-inf", 0.5]),
        "s": ("BYTES", [1, 2], ["é", "\\xff"]),
        "b": ("BOOL", [1, 2], [True, False]),
    }
