"""What one probe of the search for the highest rate says, criterion by criterion.

In: an SLO and a measured point with its records. Out: an Observation, whose series are what the criteria bound the mean
of. Pure; it does not know the search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement
from toolkit.load.request_records import Records
from toolkit.load.slo import Criterion, Slo
from toolkit.load.verdict import Outcome, judge, overall
from toolkit.tune.max_rate_fit import Bound

#: Causes that make a point useless whatever the rate; the others are what an overloaded server looks like.
SPOILED = ("ClientLimited", "SendLag", "WrongAnswers", "ServerLost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One criterion in one probe: the mean of its series (`bound_of`), of how many requests, worth how many."""

    mean: float
    samples: int
    effective_samples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One probe: what was seen of every criterion of the SLO in its order, and how long it took, its drain included.

    `outcome` is the verdict on this probe alone. `spoiled` says why the probe must not be used, empty when it may.
    """

    seen: tuple[Seen, ...]
    outcome: Outcome
    spent_s: float
    spoiled: str = ""


def bound_of(criterion: Criterion) -> Bound:
    """What the criterion bounds the mean of. Raises UsageError for a throughput, which is what is sought."""
    if criterion.metric == "throughput":
        raise UsageError(
            "the SLO has a limit for throughput, which is what max-rate looks for",
            mend="leave throughput out of --slo and compare the rate that is found",
        )
    if criterion.quantile is not None:
        return Bound(limit=1.0 - criterion.quantile, is_share=True)
    return Bound(limit=criterion.limit, is_share=criterion.metric == "errors")


def series_of(criterion: Criterion, records: Records) -> NDArray[np.float64]:
    """One number for each request of the window: 1 for a miss and 0 else, or its seconds where a mean is bounded.

    A failed request misses every limit, and took at least as long as the limit.
    """
    counted = records.in_window
    failed = ~records.succeeded[counted]
    if criterion.metric == "errors":
        return failed.astype(np.float64)
    from_ns = records.sent_ns if criterion.metric == "service" else records.intended_ns
    times_s = (records.done_ns - from_ns)[counted] / 1e9
    if criterion.quantile is None:
        return np.where(failed, np.maximum(times_s, criterion.limit), times_s)
    return (failed | (times_s > criterion.limit)).astype(np.float64)


def observation_of(slo: Slo, measurement: Measurement, records: Records, spent_s: float) -> Observation:
    """A measured point as an observation; effective samples are those of its verdicts."""
    verdicts = judge(slo, measurement, records)
    seen = []
    for verdict in verdicts:
        series = series_of(verdict.criterion, records)
        effective = verdict.effective_samples or min(1.0, float(len(series)))
        mean = float(series.mean()) if len(series) else 0.0
        seen.append(Seen(mean=mean, samples=len(series), effective_samples=effective))
    spoiled = next((w.text for w in measurement.warnings if w.invalid and w.kind in SPOILED), "")
    return Observation(seen=tuple(seen), outcome=overall(verdicts, measurement), spent_s=spent_s, spoiled=spoiled)
