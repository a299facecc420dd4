"""PASS, FAIL or UNDECIDED for each criterion, on effective samples. Pure: records and limits in, verdicts out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.load.slo import Criterion

Outcome = Literal["PASS", "FAIL", "UNDECIDED", "INVALID"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One criterion judged. `effective_samples` = samples / integrated autocorrelation time. Times in seconds."""

    criterion: Criterion
    outcome: Outcome
    measured: float | None
    low: float | None
    high: float | None
    samples: int
    effective_samples: float
    over_limit: int
    confidence: float
    reason: str
