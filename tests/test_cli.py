"""The command line from outside: exit codes, messages that name the mend, `--json` that is one document."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from tiny_poc import save_model, toolkit, write_poc

from toolkit.records import write_text

FACTORY = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, x):
        {body}

def load_model():
    torch.manual_seed(0)
    return Net()
"""


def model_file(folder: Path, body: str) -> str:
    write_text(folder / "model.py", FACTORY.format(body=body))
    return f"{folder / 'model.py'}:load_model"


def test_from_a_model_to_one_answer_by_single_verbs(tmp_path: Path) -> None:
    """inspect, export, repo add, repo list, repo lint and a sweep, each composing through what the last one left."""
    model = save_model(tmp_path / "net.onnx")
    inspected = toolkit("inspect", model, "--json", cwd=tmp_path)
    assert json.loads(inspected.stdout)["framework"] == "onnx"
    exported = toolkit("export", model, "--output", "artifact", "--json", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["parity"]["passed"]
    assert toolkit("repo", "add", "artifact", "--name", "net", cwd=tmp_path).returncode == 0
    again = toolkit("repo", "add", "artifact", "--name", "net", cwd=tmp_path)
    assert again.returncode == 2
    assert "--replace" in again.stderr
    listed = toolkit("repo", "list", "--json", cwd=tmp_path)
    assert [e["name"] for e in json.loads(listed.stdout)["entries"]] == ["net"]
    assert toolkit("repo", "lint", cwd=tmp_path).returncode == 0
    swept = toolkit(
        "sweep", "net", "--concurrency", "1,4", "--duration", "700ms", "--slo", "throughput=1", "--json", cwd=tmp_path
    )
    assert swept.returncode == 0, swept.stderr
    document = json.loads(swept.stdout)
    assert [p["load"]["clients"] for p in document["points"]] == [1, 4]
    for point in document["points"]:
        assert {"p50_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms"} <= point["latency"].keys()
        assert point["throughput_per_s"] > 0
        assert point["verdict"] in ("PASS", "UNDECIDED")  # of one point among busy neighbours; together they decide


def test_a_wrong_weight_in_the_exported_model_fails_parity(tmp_path: Path) -> None:
    body = "return self.layer(x) + (0.01 if torch.compiler.is_exporting() else 0.0)"
    done = toolkit(
        "export", model_file(tmp_path, body), "--input", "x:float32:batch,4", "--output", "out", "--json", cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    parity = json.loads(done.stdout)["parity"]
    assert not parity["passed"]
    assert parity["outputs"][0]["mismatches"] > 0
    refused = toolkit("repo", "add", "out", cwd=tmp_path)
    assert refused.returncode == 2


BAD = {
    "no such path": (["export", "absent.onnx", "--output", "o"], 2, "absent.onnx"),
    "no such command": (["exportt"], 2, "exportt"),
    "no such option": (["run", "pocs/tiny", "--smok"], 2, "--smok"),
    "a pickle": (["inspect", "weights.pt"], 2, "--trust"),
    "half an ONNX": (["inspect", "half.onnx"], 2, "half.onnx"),
    "no such run": (["report", "latest:nothing"], 2, "nothing"),
    "not a run": (["report", "."], 2, "manifest.json"),
    "not a PoC": (["run", "."], 2, "poc.yaml"),
    "not a repository": (["repo", "add", "artifact", "--repository", "."], 2, "artifact"),
    "not an artifact": (["repo", "add", "."], 2, "artifact.json"),
    "a bad input": (["inspect", "net.onnx", "--input", "x"], 2, "NAME:DTYPE"),
    "no unit": (["sweep", "net", "--duration", "10"], 2, "unit"),
    "a bad list": (["sweep", "net", "--concurrency", "1,x"], 2, "1,2,4"),
    "two kinds of load": (["sweep", "net", "--concurrency", "1", "--rate", "5"], 2, "two kinds of load"),
    "no such arrival": (["sweep", "net", "--rate", "5", "--arrival", "often"], 2, "poisson"),
    "an SLO without a limit": (["sweep", "net", "--slo", "p99"], 2, "p99"),
    "nobody listens": (["infer", "net", "--url", "http://127.0.0.1:9"], 4, "127.0.0.1:9"),
    "an unknown key": (["run", "pocs/bad"], 2, "did you mean 'loads'"),
    "an unknown setting": (["run", "pocs/tiny", "--set", "load=1"], 2, "load"),
    "a taken name": (["new", "tiny", "--model", "net.onnx"], 2, "exists"),
    "an unknown family": (["new", "x", "--model", "net.onnx", "--family", "cars"], 2, "vision"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    save_model(folder / "net.onnx")
    (folder / "half.onnx").write_bytes((folder / "net.onnx").read_bytes()[:100])
    (folder / "weights.pt").write_bytes(b"\x80\x04N.")
    write_poc(folder / "pocs" / "tiny")
    write_poc(folder / "pocs" / "bad")
    text = (folder / "pocs" / "bad" / "poc.yaml").read_text()
    write_text(folder / "pocs" / "bad" / "poc.yaml", text.replace("loads:", "load:"))
    return folder


@pytest.mark.parametrize(("arguments", "code", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_named_without_a_traceback(arguments: list[str], code: int, said: str, place: Path) -> None:
    done = toolkit(*arguments, cwd=place)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_port_in_use_is_an_environment_problem(place: Path) -> None:
    assert toolkit("export", "net.onnx", "--output", "served", cwd=place).returncode == 0
    assert toolkit("repo", "add", "served", "--repository", "repo", cwd=place).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = toolkit("serve", "--repository", "repo", "--http-port", port, cwd=place)
    assert done.returncode == 3
    assert str(port) in done.stderr


def test_new_writes_a_poc_that_reads_and_inspects(place: Path) -> None:
    done = toolkit("new", "acme", "--model", "net.onnx", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    from toolkit.poc import read_poc

    poc = read_poc(place / "pocs" / "acme")
    assert Path(poc.source_of("acme")).resolve() == (place / "net.onnx").resolve()


def test_doctor_prints_one_document(tmp_path: Path) -> None:
    done = toolkit("doctor", "--json", cwd=tmp_path)
    assert done.returncode in (0, 3)
    names = {c["name"] for c in json.loads(done.stdout)["checks"]}
    assert {"numpy", "onnxruntime", "embedded Triton", "GPU", "docker", "chromium", "ports"} <= names


def test_a_full_disk_is_named_and_nothing_half_written_counts(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        done = toolkit("run", write_poc(tmp_path / "pocs" / "tiny"), "--no-publish", cwd=small)
        assert done.returncode == 3, done.stderr
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_bundle_is_validated_and_its_damage_is_the_exit_code(tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent / "deploy" / "goldens" / "compose", tmp_path / "bundle")
    sound = toolkit("bundle", "validate", "bundle", "--json", cwd=tmp_path)
    assert sound.returncode == 0, sound.stdout
    found = json.loads(sound.stdout)["validation"]
    assert {"YAML", "no secret", "ModelConfig protobuf"} <= {f["tool"] for f in found if f["outcome"] == "ok"}
    assert all(f["reason"] for f in found if f["outcome"] == "skipped")
    rules = tmp_path / "bundle" / "observability" / "prometheus" / "rules.yml"
    rules.write_text(rules.read_text() + "groups: []\n")
    damaged = toolkit("bundle", "validate", "bundle", cwd=tmp_path)
    assert damaged.returncode == 1
    assert "the key 'groups' stands twice" in damaged.stdout
    (tmp_path / "empty").mkdir()
    refused = toolkit("bundle", "validate", "empty", cwd=tmp_path)
    assert (refused.returncode, "is not a bundle" in refused.stderr) == (2, True)
