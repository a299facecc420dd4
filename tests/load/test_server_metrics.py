"""Triton's /metrics: Prometheus text as Triton 2.51 writes it, and the difference of two readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.load.measurement import GpuMetrics
from toolkit.load.server_metrics import Sample, read_metrics, samples_from_text, server_metrics
from toolkit.load.window import observing
from toolkit.serve.embedded import problems, serve_embedded

TEXT = """\
# HELP nv_inference_request_failure Number of failed inference requests, all batch sizes
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="m",reason="REJECTED",version="1"} {failed}
nv_inference_request_failure{model="m",reason="OTHER",version="1"} 3
nv_inference_request_failure{model="other",reason="BACKEND",version="1"} 9
nv_inference_pending_request_count{model="m",version="1"} {pending}
nv_inference_pending_request_count{model="step",version="1"} 2
nv_inference_pending_request_count{model="other",version="1"} 50
nv_cpu_utilization 0.25
nv_cpu_memory_used_bytes 4000000000
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.75
nv_gpu_power_usage{gpu_uuid="GPU-1"} 350.5
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 1e+10
nv_energy_consumption{gpu_uuid="GPU-1"} {energy}
"""


def taken(failed: int, pending: int, energy: float) -> tuple[Sample, ...]:
    text = TEXT.replace("{failed}", str(failed)).replace("{pending}", str(pending)).replace("{energy}", str(energy))
    return samples_from_text(text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("up 1", [("up", {}, 1.0)]),
        ('a{b="c"} 2.5 1700000000', [("a", {"b": "c"}, 2.5)]),
        (r'a{b="x\"y\\z",c="}"} 1', [("a", {"b": 'x"y\\z', "c": "}"}, 1.0)]),
        ("a NaN-ish", []),
        ("# HELP a b", []),
        ("", []),
    ],
)
def test_lines(line: str, expected: list[tuple[str, dict[str, str], float]]) -> None:
    assert [(s.name, s.labels, s.value) for s in samples_from_text(line)] == expected


def test_what_is_told_beyond_the_statistics() -> None:
    found = server_metrics(taken(1, 0, 1000.0), taken(5, 7, 1700.0), ("m", "step"))
    assert found is not None
    assert (found.pending_at_start, found.pending_at_end, found.failures) == (2, 9, {"rejected": 4})
    assert (found.machine_cpu_share, found.machine_memory_bytes) == (0.25, 4e9)
    gpu = GpuMetrics(uuid="GPU-1", utilisation=0.75, memory_bytes=10**10, power_w=350.5, energy_j=700.0)
    assert found.gpus == (gpu,)


def test_a_server_without_metrics() -> None:
    assert read_metrics("") == read_metrics("127.0.0.1:1") == ()
    assert server_metrics((), taken(0, 0, 0), ("m",)) is None


@pytest.mark.skipif(bool(problems()), reason="the embedded server cannot run here")
def test_the_embedded_server_is_observed(tmp_path: Path) -> None:
    """Its metrics are read at the address that the endpoint names, its processes by the endpoint's pid."""
    with (
        serve_embedded(tmp_path, models=()) as server,
        observing(server.endpoint, ("m",), server.endpoint.pid) as window,
    ):
        window.open()
    observed = window.observed()
    assert "nv_cpu_utilization" in {sample.name for sample in observed.after.metrics}
    assert server_metrics(observed.before.metrics, observed.after.metrics, ("m",)) is not None
    assert server.pid in observed.after.processes.processes
    assert "'m'" in observed.after.trouble
