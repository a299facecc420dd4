"""What serving costs: embedded Triton at saturation against ONNX Runtime in process, side by side in one run.

The model takes several milliseconds per row, its input is small. Raw is the best of batch 1, 4, 8 and 16, with one
session of all cores or one session of one thread per core. Each round measures raw, served, raw again in turn.
"""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.artifact import Artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.load.pattern import Concurrency
from toolkit.load.sweep import measure_point
from toolkit.models.onnx import signature_from_onnx
from toolkit.records import digest_of_file
from toolkit.repository.entry import add_artifact
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.wire import infer_request

pytestmark = pytest.mark.slow
CHANNELS, SIZE, LAYERS = 128, 16, 8
ROUNDS, RAW_S, SERVED_S = 5, 1.5, 4.0
CORES = int(environment_here().cores)
BAR = 0.90


def convolutions(path: Path, layers: int = LAYERS) -> None:
    """A stack of 3 x 3 convolutions on [batch, 8, 16, 16]: bound by arithmetic, as vision models are."""
    random = np.random.default_rng(0)
    nodes, weights, last, width = [], [], "x", 8
    for layer in range(layers):
        weight = (random.standard_normal((CHANNELS, width, 3, 3)) / np.sqrt(9 * width)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        nodes.append(helper.make_node("Conv", [last, f"w{layer}"], [f"c{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        last, width = f"r{layer}", CHANNELS
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 8, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CHANNELS])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def raw_rate(sessions: list[ort.InferenceSession], batch: int) -> float:
    """Rows per second of all sessions together, each in a thread of its own."""
    x = np.random.default_rng(1).standard_normal((batch, 8, SIZE, SIZE)).astype(np.float32)
    done, until = [0] * len(sessions), time.perf_counter() + RAW_S

    def work(index: int) -> None:
        while time.perf_counter() < until:
            sessions[index].run(None, {"x": x})
            done[index] += batch

    began = time.perf_counter()
    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def best_raw(groups: dict[str, list[ort.InferenceSession]]) -> tuple[float, str]:
    return max((raw_rate(s, batch), f"{name}, batch {batch}") for name, s in groups.items() for batch in (1, 4, 8, 16))


def test_serving_keeps_nine_tenths_of_raw(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    convolutions(folder / "model.onnx")
    model = folder / "model.onnx"
    signature = signature_from_onnx(model)
    write_artifact(
        folder,
        Artifact(
            name="convolutions",
            format="onnx",
            precision="fp32",
            files=("model.onnx",),
            signature=signature,
            sha256=digest_of_file(model),
            built_on="",
        ),
    )
    config = {
        "max_batch_size": 16,
        "instance_group": [{"count": CORES}],
        "parameters": {"intra_op_thread_count": 1, "inter_op_thread_count": 1},
    }
    add_artifact(tmp_path / "repository", folder, config=config)
    x = np.random.default_rng(1).standard_normal((1, 8, SIZE, SIZE)).astype(np.float32)
    requests = (infer_request("convolutions", {"x": x}, host="localhost"),)
    groups = {
        "one session": [session(model, CORES)],
        "a session per core": [session(model, 1) for _ in range(CORES)],
    }
    alone = session(model, CORES)
    began = time.perf_counter()
    for _ in range(50):
        alone.run(None, {"x": x})
    per_row_ms = (time.perf_counter() - began) / 50 * 1e3
    rows: list[tuple[float, dict[int, float], str]] = []
    with serve_embedded(tmp_path / "repository") as server:
        for _ in range(ROUNDS):
            before, how = best_raw(groups)
            served = {}
            for clients in (8, 16, 32):
                load = Concurrency(clients=clients, duration_s=SERVED_S, warmup_s=0.5)
                measurement, _ = measure_point(server.endpoint, "convolutions", ("convolutions",), requests, load)
                served[clients] = measurement.throughput_per_s
            after, _ = best_raw(groups)
            rows.append(((before + after) / 2, served, how))
    print(f"\n{environment_here().summary()}; {per_row_ms:.1f} ms per row with {CORES} threads")
    print("| round | raw, rows/s | at 8 clients | at 16 | at 32 | better of 16 and 32 / raw |")
    print("|---|---|---|---|---|---|")
    for number, (raw, served, how) in enumerate(rows, 1):
        cells = " | ".join(f"{served[n]:.0f} ({served[n] / raw:.0%})" for n in (8, 16, 32))
        print(f"| {number} | {raw:.0f} ({how}) | {cells} | {max(served[16], served[32]) / raw:.0%} |")
    ratio = statistics.median(max(served[16], served[32]) / raw for raw, served, _ in rows)
    print(f"median {ratio:.1%} (bar {BAR:.0%}, aim 95 %)")
    assert ratio >= BAR
