"""What Triton's /metrics (Prometheus text) tells beyond its statistics, as the difference of two readings.

In: the text of /metrics. Out: ServerUse: the requests that were waiting for an execution at both edges of a window
(nv_inference_pending_request_count: growth is a backlog), failures by reason (nv_inference_request_failure), CPU and
memory of the server's machine (nv_cpu_utilization, nv_cpu_memory_used_bytes), and its GPUs (nv_gpu_*, nv_energy_*),
which is all that is to be had of a server on another machine. Counts, durations and cache hits are left to the
statistics, which say the same by model and by batch size.
Source: triton-inference-server/server, docs/user_guide/metrics.md.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.load.measurement import GpuMetrics, ServerMetrics

TIMEOUT_S = 2.0
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of Prometheus text."""

    name: str
    labels: dict[str, str]
    value: float


def samples_from_text(text: str) -> tuple[Sample, ...]:
    """The samples of a Prometheus text; comments, and lines that are none, are passed over."""
    return tuple(_samples(text))


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        match = _SAMPLE.match(line.strip())
        if match is None:
            continue
        labels = {
            name: re.sub(r"\\.", lambda m: _ESCAPED.get(m[0], m[0]), v) for name, v in _LABEL.findall(match[2] or "")
        }
        try:
            value = float(match[3])
        except ValueError:
            continue
        yield Sample(name=match[1], labels=labels, value=value)


def read_metrics(address: str) -> tuple[Sample, ...]:
    """The samples that the server at `host:port` shows now; none when it shows nothing, or there is no address."""
    if not address:
        return ()
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return samples_from_text(text) if response.status == 200 else ()
    except (OSError, http.client.HTTPException):  # it is a help, not a need: the point stands without
        return ()
    finally:
        connection.close()


def server_metrics(
    before: tuple[Sample, ...], after: tuple[Sample, ...], models: tuple[str, ...]
) -> ServerMetrics | None:
    """What two readings tell about `models` and their machine; None when one of them is empty."""
    if not before or not after:
        return None
    return ServerMetrics(
        pending_at_start=int(_total(before, "nv_inference_pending_request_count", models)),
        pending_at_end=int(_total(after, "nv_inference_pending_request_count", models)),
        failures=_failures(before, after, models),
        machine_cpu_share=_one(after, "nv_cpu_utilization"),
        machine_memory_bytes=_one(after, "nv_cpu_memory_used_bytes"),
        gpus=_gpus(before, after),
    )


def _total(samples: tuple[Sample, ...], name: str, models: tuple[str, ...]) -> float:
    return sum(s.value for s in samples if s.name == name and s.labels.get("model") in models)


def _one(samples: tuple[Sample, ...], name: str) -> float | None:
    return next((s.value for s in samples if s.name == name), None)


def _failures(before: tuple[Sample, ...], after: tuple[Sample, ...], models: tuple[str, ...]) -> dict[str, int]:
    counts: dict[str, float] = {}
    for samples, sign in ((after, 1), (before, -1)):
        for s in samples:
            if s.name == "nv_inference_request_failure" and s.labels.get("model") in models:
                reason = s.labels.get("reason", "")
                counts[reason] = counts.get(reason, 0.0) + sign * s.value
    return {reason.lower() or "unknown": int(count) for reason, count in sorted(counts.items()) if count > 0}


def _gpus(before: tuple[Sample, ...], after: tuple[Sample, ...]) -> tuple[GpuMetrics, ...]:
    def of(samples: tuple[Sample, ...], name: str, uuid: str) -> float:
        return next((s.value for s in samples if s.name == name and s.labels.get("gpu_uuid") == uuid), 0.0)

    uuids = dict.fromkeys(s.labels["gpu_uuid"] for s in after if "gpu_uuid" in s.labels)
    energy = "nv_energy_consumption"
    return tuple(
        GpuMetrics(
            uuid=uuid,
            utilisation=of(after, "nv_gpu_utilization", uuid),
            memory_bytes=int(of(after, "nv_gpu_memory_used_bytes", uuid)),
            power_w=of(after, "nv_gpu_power_usage", uuid),
            energy_j=max(0.0, of(after, energy, uuid) - of(before, energy, uuid)),
        )
        for uuid in uuids
    )
