"""A PoC that runs in seconds: a small ONNX model, short loads; and the command line as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from glob import glob
from pathlib import Path

import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from toolkit.records import write_text

WIDTH = 8


def save_model(path: Path, *, leaks: bool = False) -> Path:
    """y = tanh(x W), and with `leaks` minus the mean over the batch: right at batch 1 only up to a constant."""
    weight = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Tanh", ["h"], ["t"])]
    weights = [numpy_helper.from_array(weight, "w")]
    if leaks:
        weights.append(numpy_helper.from_array(np.array([0], np.int64), "axes"))
        nodes.append(helper.make_node("ReduceMax", ["t", "axes"], ["m"], keepdims=1))
        nodes.append(helper.make_node("Add", ["t", "m"], ["y"]))
    else:
        nodes.append(helper.make_node("Identity", ["t"], ["y"]))
    sides = [[helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", WIDTH])] for n in "xy"]
    graph = helper.make_graph(nodes, "tiny", sides[0], sides[1], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def write_poc(
    folder: Path, *, candidates: int = 2, loads: int = 2, rates: tuple[float, ...] = (), duration_s: float = 0.6
) -> Path:
    """A PoC folder around the small model; `loads` closed loops, and an open one for each of `rates`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / "model.onnx")
    config = {"max_batch_size": 8, "parameters": {"intra_op_thread_count": 1}}
    delays = {
        f"delay-{n}": {"net": {"dynamic_batching": {"max_queue_delay_microseconds": n}}} for n in range(candidates)
    }
    data = {
        "schema": 1,
        "family": "vision",
        "title": "A small model",
        "models": {"net": {"source": "model.onnx", "config": config}},
        "slo": "throughput=1",
        "loads": [
            {"duration_s": duration_s, "warmup_s": 0.1} | kind
            for kind in (*({"clients": 2 + n} for n in range(loads)), *({"rate_per_s": rate} for rate in rates))
        ],
        "search": {"candidates": delays},
    }
    write_text(folder / "poc.yaml", yaml.safe_dump(data))
    return folder


def toolkit(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """Start the command line in a process group of its own, its output in `cwd/out` and `cwd/err`."""
    command = [sys.executable, "-m", "toolkit", *map(str, arguments)]
    with (cwd / "out").open("a") as out, (cwd / "err").open("a") as err:
        return subprocess.Popen(command, cwd=cwd, stdout=out, stderr=err, text=True, start_new_session=True)


def processes_of(place: Path) -> list[str]:
    """The command lines of living processes that name `place`, this one and its pytest excepted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(place) in words and int(path.parent.name) != os.getpid() and "pytest" not in words:
            found.append(words)
    return found


def points_of(runs: Path) -> list[Path]:
    """The measurements of the finished points of all runs in a folder, also while points are being written."""
    # Not Path.glob: it lists the hidden folder of a running point too, and raises when that is renamed meanwhile.
    return [runs / name for name in sorted(glob("*/*/trials/*/*/measurement.json", root_dir=runs))]  # noqa: PTH207


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` came true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
