"""Gates for continuous integration: the largest change towards the worse that is let through. Pure.

In: a gate as typed, and a Difference. Out: PASS, FAIL or UNDECIDED.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import UsageError
from toolkit.load.difference import METRICS, THROUGHPUT, Difference

GateOutcome = Literal["PASS", "FAIL", "UNDECIDED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The largest change towards the worse that is let through: p99 by at most +3 %, throughput by at least -2 %."""

    metric: str
    limit: float

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"{self.metric}:{100 * self.limit:+g}%"


def gate_from_text(text: str) -> Gate:
    """A gate typed as `p99:+3%` or `throughput:-2%`. Raises UsageError."""
    metric, colon, limit = text.partition(":")
    metric = metric.strip().removeprefix("latency.").removesuffix(".mean" if metric.startswith(THROUGHPUT) else "")
    mend = f"METRIC:LIMIT% with METRIC one of {', '.join(METRICS)}; for example p99:+3% or throughput:-2%"
    if metric not in METRICS or not colon:
        raise UsageError(f"--gate '{text}': '{metric}' is not a metric that is compared", mend=mend)
    try:
        if not limit.strip().endswith("%"):
            raise ValueError("it has no %")
        share = float(limit.strip()[:-1]) / 100
        if not math.isfinite(share):
            raise ValueError("it is not a number")
        return Gate(metric=metric, limit=share)
    except ValueError as err:
        raise UsageError(f"--gate '{text}': '{limit}' is not a change in percent ({err})", mend=mend) from err


def judge_gate(gate: Gate, difference: Difference) -> GateOutcome:
    """PASS when the whole interval keeps the gate, FAIL when all of it breaks it, else UNDECIDED.

    A latency may change by at most the limit, the throughput by no less.
    """
    if difference.low is None or difference.high is None:
        return "UNDECIDED"
    keeps: Callable[[float], bool] = (
        (lambda change: change >= gate.limit) if gate.metric == THROUGHPUT else (lambda change: change <= gate.limit)
    )
    kept = {keeps(difference.low), keeps(difference.high)}
    return "UNDECIDED" if len(kept) > 1 else "PASS" if kept == {True} else "FAIL"
