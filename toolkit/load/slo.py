"""The service-level objective, as written down before the run: criteria with a metric, a statistic and a limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`metric.statistic` must be at most `limit` (latency, seconds) or at least it (throughput, per second)."""

    metric: str
    statistic: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """All criteria must hold together."""

    criteria: tuple[Criterion, ...]
