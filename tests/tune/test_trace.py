"""Traces of torch's profiler and of Nsight Systems, written here as these tools write them."""

from __future__ import annotations

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from toolkit.errors import ConfigurationError
from toolkit.tune.trace import read_trace


def event(name: str, category: str, start_us: float, length_us: float) -> dict[str, Any]:
    return {"ph": "X", "name": name, "cat": category, "ts": start_us, "dur": length_us, "pid": 0, "tid": 7}


GPU_EVENTS = [
    event("aten::mm", "cpu_op", 0, 900),
    event("gemm", "kernel", 100, 200),
    event("gemm", "kernel", 200, 200),  # overlaps: another stream
    event("Memcpy HtoD", "gpu_memcpy", 500, 100),
    event("relu", "kernel", 1000, 100),
    {"ph": "M", "name": "process_name"},
]


@pytest.mark.parametrize("zipped", [False, True])
def test_a_torch_trace_of_a_gpu(tmp_path: Path, zipped: bool) -> None:
    text = json.dumps({"traceEvents": GPU_EVENTS}).encode()
    path = tmp_path / "trace.json"
    path.write_bytes(gzip.compress(text) if zipped else text)
    found = read_trace(path)
    assert (found.source, found.device) == ("torch profiler", "GPU")
    assert found.span_s == pytest.approx(1000e-6)
    assert (found.busy_share, found.copy_share, found.gap_share) == pytest.approx((0.5, 0.1, 0.5))
    assert found.longest_gap_s == pytest.approx(400e-6)
    assert [(k.name, k.count, round(k.total_s * 1e6)) for k in found.kernels] == [("gemm", 2, 400), ("relu", 1, 100)]


def test_a_torch_trace_of_a_cpu_counts_the_outermost_operators(tmp_path: Path) -> None:
    events = [
        event("aten::linear", "cpu_op", 0, 100),
        event("aten::mm", "cpu_op", 10, 50),
        event("aten::relu", "cpu_op", 150, 50),
    ]
    (tmp_path / "trace.json").write_text(json.dumps({"traceEvents": events}))
    found = read_trace(tmp_path / "trace.json")
    assert found.device == "CPU"
    assert [(k.name, k.count) for k in found.kernels] == [("aten::linear", 1), ("aten::relu", 1)]
    assert found.gap_share == pytest.approx(0.25)


def test_an_export_of_nsight_systems(tmp_path: Path) -> None:
    path = tmp_path / "report.sqlite"
    base = sqlite3.connect(path)
    base.execute("create table StringIds (id integer, value text)")
    base.execute("create table CUPTI_ACTIVITY_KIND_KERNEL (start integer, end integer, shortName integer)")
    base.execute(
        "create table CUPTI_ACTIVITY_KIND_MEMCPY (start integer, end integer, bytes integer, copyKind integer)"
    )
    base.execute("insert into StringIds values (1, 'gemm')")
    base.executemany("insert into CUPTI_ACTIVITY_KIND_KERNEL values (?, ?, 1)", [(0, 1000), (3000, 4000)])
    base.execute("insert into CUPTI_ACTIVITY_KIND_MEMCPY values (1000, 2000, 64, 1)")
    base.commit()
    base.close()
    found = read_trace(path)
    assert (found.source, found.device, found.kernels[0].name) == ("Nsight Systems", "GPU", "gemm")
    assert (found.busy_share, found.copy_share, found.gap_share) == pytest.approx((0.75, 0.25, 0.25))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", "cannot be read as a trace"),
        (b"{}", "has no traceEvents"),
        (b'{"traceEvents": []}', "holds no kernel"),
        (b"SQLite format 3\0 and no more", "cannot be read as a trace"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        read_trace(path)
