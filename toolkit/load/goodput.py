"""Goodput: the requests that succeed within all the times that an objective gives them, per second and as a share.

In: the time limits and Records. Out: values with 95 % intervals. Whether the share is enough is verdict.py's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.load.request_metrics import Seconds, has_times, request_metric
from toolkit.load.request_records import Records
from toolkit.load.slo import Slo, TimeLimit
from toolkit.load.statistics import autocorrelation_time, block_bootstrap, mean_of_rows, percentile_interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Goodput:
    """`per_s` requests a second kept all limits, which is `share` of the window's; each with its 95 % interval."""

    per_s: float
    low_per_s: float
    high_per_s: float
    share: float
    low_share: float
    high_share: float


def limits_of(slo: Slo) -> tuple[TimeLimit, ...]:
    """What one request has to keep under an objective: the times of its goodput, else its limits of ttft and tpot.

    Of a limit for a percentile the goodput counts the requests that keep it. None where there is neither.
    """
    for criterion in slo.criteria:
        if criterion.within:
            return criterion.within
    streamed = [c for c in slo.criteria if c.metric in ("ttft", "tpot")]
    return tuple(TimeLimit(metric=c.metric, limit_s=c.limit) for c in streamed)


def lateness(within: Sequence[TimeLimit], records: Records) -> Seconds:
    """How many times its limit each request of the window took, by the limit that it kept worst.

    Infinite for a failure. It was good at 1 or less. A time that a request does not have (tpot of a single response)
    keeps its limit.
    """
    times_s = np.array([request_metric(bound.metric).times_s(records) / bound.limit_s for bound in within])
    worst = np.max(np.where(np.isnan(times_s), 0.0, times_s), axis=0)
    return np.where(records.succeeded, worst, np.inf)[records.in_window]


def goodput_of(within: Sequence[TimeLimit], records: Records) -> Goodput | None:
    """The goodput of the window by its requests, in the order of their intended sends.

    None without requests, or without one of the times (an answer that was not streamed has no ttft). Intervals are by
    block bootstrap. That of the rate is the share's times the rate of requests.
    """
    if not within or not all(has_times(bound.metric, records) for bound in within):
        return None
    good = (lateness(within, records) <= 1.0).astype(np.float64)
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    if not len(good) or window_s <= 0:
        return None
    per_s, share = len(good) / window_s, float(good.mean())
    low, high = percentile_interval(block_bootstrap(good, mean_of_rows, tau=autocorrelation_time(good)))
    return Goodput(
        per_s=share * per_s,
        low_per_s=low * per_s,
        high_per_s=high * per_s,
        share=share,
        low_share=low,
        high_share=high,
    )
