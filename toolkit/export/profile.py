"""What an ONNX model costs in ONNX Runtime alone: the time of one execution, and the operators that cost most.

In: a model file, a thread count, a batch size. Out: an OnnxProfile. It runs in a process of its own
(`python -m toolkit.export.profile`), so that neither the runtime's threads nor a crash are ours. Inputs are made up:
normal floats, zeros, empty texts; a free axis other than the batch has the length `LENGTH`.
Source: onnxruntime.ai, "Profiling tools" (the trace's `op_name` and `dur` in microseconds).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.records import from_data, to_data

LENGTH = 16
#: Executions before the timed ones, and timed ones: as many as fit into TIME_S.
WARM, FEWEST, MOST, TIME_S = 5, 10, 300, 1.0
TIMEOUT_S = 120.0
NUMPY_TYPES = {"float": "float32", "double": "float64", "float16": "float16", "bool": "bool", "string": "object"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorCost:
    """All nodes of one operator type: their share of the time in operators, and how many executions of nodes."""

    operator: str
    share: float
    nodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxProfile:
    """`execution_s` is the median of executions without the profiler; `operators` the costliest first."""

    execution_s: float
    batch_size: int
    threads: int
    operators: tuple[OperatorCost, ...]


def profile_onnx(model: Path, *, threads: int = 1, batch_size: int = 1) -> OnnxProfile:
    """Profile a model file in a process of its own; 0 threads are all cores. Raises ExportFailed with its words."""
    command = [sys.executable, "-m", "toolkit.export.profile", str(model), str(threads), str(batch_size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as err:
        raise ExportFailed(f"{model} was not profiled within {TIMEOUT_S:g} s") from err
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise ExportFailed(f"{model} cannot be profiled: {last[0]}")
    profile: OnnxProfile = from_data(OnnxProfile, json.loads(done.stdout), str(model))
    return profile


def operators_of(events: Iterable[Mapping[str, Any]], most: int = 8) -> tuple[OperatorCost, ...]:
    """The costliest operators of an ONNX Runtime trace, by the time of their kernels."""
    seconds: defaultdict[str, float] = defaultdict(float)
    nodes: Counter[str] = Counter()
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith("_kernel_time"):
            name = str(event.get("args", {}).get("op_name", "?"))
            seconds[name] += float(event.get("dur", 0))
            nodes[name] += 1
    total = sum(seconds.values()) or 1.0
    ranked = sorted(seconds.items(), key=lambda pair: -pair[1])[:most]
    return tuple(OperatorCost(operator=n, share=s / total, nodes=nodes[n]) for n, s in ranked)


def made_inputs(session: Any, batch_size: int) -> dict[str, Any]:
    """Arrays for the inputs of a session; the first free axis is the batch."""
    import numpy as np

    generator, made = np.random.default_rng(0), {}
    for tensor in session.get_inputs():
        free = [i for i, d in enumerate(tensor.shape) if not isinstance(d, int)]
        shape = [
            batch_size if i in free[:1] and i == 0 else LENGTH if i in free else d for i, d in enumerate(tensor.shape)
        ]
        kind = tensor.type.removeprefix("tensor(").removesuffix(")")
        dtype = NUMPY_TYPES.get(kind, kind)
        if dtype.startswith("float"):
            made[tensor.name] = generator.standard_normal(shape).astype(dtype)
        else:
            made[tensor.name] = np.full(shape, "", object) if dtype == "object" else np.zeros(shape, dtype)
    return made


def _session(model: str, threads: int, prefix: str = "") -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_profiling = bool(prefix)
    if prefix:
        options.profile_file_prefix = prefix
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _profiled(model: str, threads: int, batch_size: int) -> OnnxProfile:
    session = _session(model, threads)
    inputs, began_s = made_inputs(session, batch_size), perf_counter()
    times_s: list[float] = []
    for _ in range(WARM):
        session.run(None, inputs)
    while len(times_s) < FEWEST or (len(times_s) < MOST and perf_counter() - began_s < TIME_S):
        start_s = perf_counter()
        session.run(None, inputs)
        times_s.append(perf_counter() - start_s)
    with tempfile.TemporaryDirectory() as folder:
        traced = _session(model, threads, f"{folder}/trace")
        for _ in range(FEWEST):
            traced.run(None, inputs)
        events = json.loads(Path(traced.end_profiling()).read_text())
    operators = operators_of(events)
    return OnnxProfile(execution_s=median(times_s), batch_size=batch_size, threads=threads, operators=operators)


if __name__ == "__main__":
    file, count, size = sys.argv[1:]
    sys.stdout.write(json.dumps(to_data(_profiled(file, int(count), int(size)))))
