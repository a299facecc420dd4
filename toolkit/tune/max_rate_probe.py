"""What one probe of the search for the highest rate says, criterion by criterion.

In: an SLO and a measured point with its records. Out: an Observation, whose series are what the criteria bound the mean
of. Pure; it does not know the search.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.load.goodput import lateness
from toolkit.load.measurement import Measurement
from toolkit.load.request_metrics import has_times, window_times_s
from toolkit.load.request_records import Records
from toolkit.load.slo import TIMES, Criterion, Slo
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
    if criterion.metric == "goodput":
        return Bound(limit=1.0 - criterion.limit, is_share=True)
    if criterion.quantile is not None:
        return Bound(limit=1.0 - criterion.quantile, is_share=True)
    return Bound(limit=criterion.limit, is_share=criterion.metric == "errors")


def series_of(criterion: Criterion, records: Records) -> NDArray[np.float64]:
    """One number for each request of the window (of itl: each gap): 1 for a miss and 0 else, or its seconds where a
    mean is bounded.

    A failed request misses every limit, and took as long as the limit or the longest that succeeded. None have a time
    of a stream where nothing was streamed.
    """
    if criterion.metric == "errors":
        return (~records.succeeded[records.in_window]).astype(np.float64)
    named = [bound.metric for bound in criterion.within] or [criterion.metric]
    if not all(has_times(name, records) for name in named if name in TIMES):
        return np.zeros(0)
    if criterion.metric == "goodput":
        return (lateness(criterion.within, records) > 1.0).astype(np.float64)
    times_s = window_times_s(criterion.metric, records)
    if criterion.quantile is None:
        finite = np.isfinite(times_s)
        return np.where(finite, times_s, np.max(times_s[finite], initial=criterion.limit))
    return (times_s > criterion.limit).astype(np.float64)


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
