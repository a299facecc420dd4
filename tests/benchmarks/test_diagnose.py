"""Planted faults on live servers: each must be named by `toolkit diagnose`, and healthy servers name nothing.

Eight faults at two severities on two models, and ten healthy servers; the thresholds (toolkit/tune/findings.py) were
fixed before. Needs a machine with nothing else on it, of two cores or more. Prints the rows of README.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import pytest
from benchmarks.test_embedded_against_raw import convolutions
from onnx import TensorProto, helper, numpy_helper

from toolkit.workflow.diagnose import Asked, run_diagnose
from toolkit.workflow.diagnosis import Diagnosis
from toolkit.workflow.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CORES = len(os.sched_getaffinity(0))
WINDOW_S = 0.7
WRAPPER = """
import time
from pathlib import Path
import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        folder = Path(args["model_repository"], args["model_version"])
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self.cold_s = {cold_s}

    def execute(self, requests):
        time.sleep(self.cold_s)
        self.cold_s = 0.0
        answers = []
        for request in requests:
            until = time.perf_counter() + {burn_s}
            while time.perf_counter() < until:
                pass
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("y", self.session.run(None, {{"x": x}})[0])]))
        return answers
"""
STEP = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            until = time.perf_counter() + {burn_s}
            while time.perf_counter() < until:
                pass
            x = pb_utils.get_input_tensor_by_name(request, "raw").as_numpy()
            answers.append(pb_utils.InferenceResponse([pb_utils.Tensor("x", x)]))
        return answers
"""
PIPELINE = """
name: "measured" platform: "ensemble" max_batch_size: 8
input {{ name: "raw" data_type: TYPE_FP32 dims: {dims} }} output {{ name: "y" data_type: TYPE_FP32 dims: {width} }}
ensemble_scheduling {{
  step {{ model_name: "prepare" model_version: -1 input_map {{ key: "raw" value: "raw" }}
         output_map {{ key: "x" value: "x" }} }}
  step {{ model_name: "net" model_version: -1 input_map {{ key: "x" value: "x" }}
         output_map {{ key: "y" value: "y" }} }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class Net:
    """A model under test, with the shapes of its input and output without the batch."""

    dims: str
    width: int

    def save(self, path: Path) -> None:
        if self.width == 128:
            convolutions(path, 4)
            return
        weight = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32) / 45
        nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Tanh", ["a"], ["b"])]
        nodes += [helper.make_node("MatMul", ["b", "w"], ["c"]), helper.make_node("Tanh", ["c"], ["y"])]
        sides = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 2048])] for n in "xy"]
        graph = helper.make_graph(nodes, "dense", *sides, [numpy_helper.from_array(weight, "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


NETS = {"convolutions": Net(dims="[8, 16, 16]", width=128), "dense": Net(dims="[2048]", width=2048)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """How a model is served and asked. Without changes: an instance of one thread per core, batches, no delay."""

    instances: int = CORES
    threads: int = 1
    delay_us: int = 0
    batching: bool = True
    max_batch_size: int = 8
    clients: int = 16
    spinning: bool = False
    client_burn: float = 0.0
    wrapper: dict[str, float] = field(default_factory=dict)
    prepare_s: float = 0.0


FAULTS = {
    "instances too few": (Case(instances=CORES - 1), Case(instances=CORES - 1, clients=32)),
    "threads spinning": (
        Case(instances=1, threads=CORES, spinning=True),
        Case(instances=2, threads=CORES, spinning=True),
    ),
    "queue delay": (Case(delay_us=10_000), Case(delay_us=100_000)),
    "batching off": (Case(batching=False), Case(batching=False, clients=32)),
    "preprocessing": (Case(prepare_s=0.012), Case(prepare_s=0.030)),
    "client": (Case(client_burn=0.85), Case(client_burn=1.0)),
    "python overhead": (Case(wrapper={"burn_s": 0.005}), Case(wrapper={"burn_s": 0.02})),
    "cold start": (Case(wrapper={"cold_s": 0.3}), Case(wrapper={"cold_s": 1.5})),
}
HEALTHY = (
    Case(),
    Case(instances=1, threads=CORES),
    Case(max_batch_size=16),
    Case(delay_us=200),
    Case(clients=8),
)


def write_repository(root: Path, net: Net, case: Case) -> Path:
    """The repository of a case: the model as `measured`, or a pipeline of that name."""
    name = "net" if case.prepare_s else "measured"
    version = root / name / "1"
    version.mkdir(parents=True)
    net.save(version / "model.onnx")
    backend = "python" if case.wrapper else "onnxruntime"
    threads = f'parameters {{ key: "intra_op_thread_count" value {{ string_value: "{case.threads}" }} }}'
    warmup = (
        f'model_warmup {{ name: "w" batch_size: 1 inputs {{ key: "x" value {{ data_type: TYPE_FP32 dims: {net.dims} '
        "zero_data: true } } }"
    )
    (version.parent / "config.pbtxt").write_text(
        f'name: "{name}" backend: "{backend}" max_batch_size: {case.max_batch_size}\n'
        f'input {{ name: "x" data_type: TYPE_FP32 dims: {net.dims} }}\n'
        f'output {{ name: "y" data_type: TYPE_FP32 dims: {net.width} }}\n'
        f"instance_group {{ count: {case.instances} kind: KIND_CPU }}\n"
        + (f"dynamic_batching {{ max_queue_delay_microseconds: {case.delay_us} }}\n" if case.batching else "")
        + ("" if case.wrapper else f"{threads}\n{warmup}\n")
    )
    if case.wrapper:
        (version / "model.py").write_text(WRAPPER.format(**({"cold_s": 0.0, "burn_s": 0.0} | case.wrapper)))
    if case.prepare_s:
        _write_pipeline(root, net, case)
    return root


def _write_pipeline(root: Path, net: Net, case: Case) -> None:
    step = root / "prepare" / "1"
    step.mkdir(parents=True)
    (step / "model.py").write_text(STEP.format(burn_s=case.prepare_s))
    (step.parent / "config.pbtxt").write_text(
        f'name: "prepare" backend: "python" max_batch_size: 8\n'
        f'input {{ name: "raw" data_type: TYPE_FP32 dims: {net.dims} }}\n'
        f'output {{ name: "x" data_type: TYPE_FP32 dims: {net.dims} }}\n'
        f"instance_group {{ count: 1 kind: KIND_CPU }}\ndynamic_batching {{ }}\n"
    )
    (root / "measured" / "1").mkdir(parents=True)
    (root / "measured" / "config.pbtxt").write_text(PIPELINE.format(dims=net.dims, width=net.width))


@contextmanager
def burning(share: float) -> Iterator[None]:
    """Python work in the load generator's own process, for a share of the time."""
    over = threading.Event()

    def burn() -> None:
        while not over.is_set():
            until = time.perf_counter() + 0.01 * share
            while time.perf_counter() < until:
                pass
            time.sleep(0.01 * (1 - share))

    thread = threading.Thread(target=burn, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def diagnosis_of(place: Path, net: Net, case: Case) -> Diagnosis:
    repository = write_repository(place / "model_repo", net, case)
    with burning(case.client_burn) if case.client_burn else nullcontext():
        spec = Sweep(target="measured", url=None, repository=repository, samples=None, inputs=(), slo=None)
        asked = Asked(target=spec, clients=case.clients, window_s=WINDOW_S, allow_spinning=case.spinning)
        return run_diagnose(asked, command="", root=place / "runs", progress=lambda text: None)[1]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("severity", [0, 1])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named(tmp_path: Path, fault: str, severity: int, net: str) -> None:
    found = diagnosis_of(tmp_path, NETS[net], FAULTS[fault][severity])
    named = {f.limit: f for f in found.findings}
    others = ", ".join(n for n in named if n != fault) or "none"
    figure = f"{named[fault].figure:.3g} (over {named[fault].threshold:g})" if fault in named else "not named"
    print(f"\n| {fault} | {severity + 1} | {net} | {figure} | {others} |")
    assert fault in named


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("number", range(len(HEALTHY)))
def test_a_healthy_server_names_nothing(tmp_path: Path, number: int, net: str) -> None:
    found = diagnosis_of(tmp_path, NETS[net], HEALTHY[number])
    print(f"\n| healthy {number + 1} | | {net} | | {', '.join(f.limit for f in found.findings) or 'none'} |")
    assert found.findings == ()
