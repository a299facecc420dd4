"""What a diagnosis came to, as `diagnosis.json` holds it: values only."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.export.profile import OnnxProfile
from toolkit.tune.findings import Finding
from toolkit.tune.trace import TraceSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A remedy and what it changed: the median with one client, the throughput with many, and what limits then."""

    limit: str
    change: dict[str, dict[str, object]]
    p50_before_s: float
    p50_after_s: float
    throughput_before_per_s: float
    throughput_after_per_s: float
    findings_after: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What was found. `shares`: where the mean request's time goes, with one client and with many.

    `profiles` by model in ONNX Runtime alone; `not_examined` says what nobody looked at, and why.
    """

    findings: tuple[Finding, ...]
    shares: dict[str, dict[str, float]]
    profiles: dict[str, OnnxProfile] = field(default_factory=dict)
    trace: TraceSummary | None = None
    applied: Applied | None = None
    not_examined: tuple[str, ...] = ()
