"""Every time that is measured, declared once: name, formula, function. SLOs and figures iterate over it.

In: Records. Out: seconds. A request metric has one for each request in the order of the intended sends, NaN where a
request has no such; the gap metric has one for each gap between two responses of a stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.load.request_records import Records

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMetric:
    """A time of a request. `is_streamed`: only a streamed answer has it."""

    name: str
    formula: str
    is_streamed: bool
    times_s: Callable[[Records], Seconds]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapMetric:
    """A time between two neighbouring responses of one streamed answer."""

    name: str
    formula: str


def request_metric(name: str) -> RequestMetric:
    """The metric `name`. Raises KeyError for one that is not declared."""
    return {metric.name: metric for metric in REQUEST_METRICS}[name]


def has_times(name: str, records: Records) -> bool:
    """Whether these records have such times at all."""
    is_streamed = name == ITL.name or request_metric(name).is_streamed
    return not is_streamed or len(records.response_ns) > 0


def window_times_s(name: str, records: Records) -> Seconds:
    """The times `name` of the window's requests in their order, without those that have none; infinite for a failure.

    Gaps are in the order in which they ended, since neighbours in time wait for the same thing. A request that failed
    left a gap behind that never ended.
    """
    if name == ITL.name:
        return _window_gaps_s(records)
    times_s: Seconds = np.where(records.succeeded, request_metric(name).times_s(records), np.inf)[records.in_window]
    return times_s[~np.isnan(times_s)]


def _window_gaps_s(records: Records) -> Seconds:
    owner = np.repeat(np.arange(len(records.responses)), records.responses)
    is_gap = (owner[1:] == owner[:-1]) & (records.in_window & records.succeeded)[owner[1:]]
    failed = records.in_window & ~records.succeeded
    gaps_s: Seconds = np.concatenate(
        (_seconds(np.diff(records.response_ns)[is_gap]), np.full(int(failed.sum()), np.inf))
    )
    ended_ns = np.concatenate((records.response_ns[1:][is_gap], records.done_ns[failed]))
    return gaps_s[np.argsort(ended_ns, kind="stable")]


def _seconds(times_ns: NDArray[np.int64]) -> Seconds:
    return times_ns.astype(np.float64) / 1e9


def _time_to_first_token(records: Records) -> Seconds:
    """A stream without any response never had its first one."""
    first = np.cumsum(records.responses, dtype=np.int64) - records.responses
    has_response = records.responses > 0
    times_s = np.full(len(records.intended_ns), np.inf)
    first_ns = records.response_ns[first[has_response]]
    times_s[has_response] = _seconds(first_ns - records.intended_ns[has_response])
    return times_s


def _time_per_output_token(records: Records) -> Seconds:
    first = np.cumsum(records.responses, dtype=np.int64) - records.responses
    has_gaps = records.responses > 1
    times_s = np.full(len(records.intended_ns), np.nan)
    begin, count = first[has_gaps], records.responses[has_gaps].astype(np.int64)
    times_s[has_gaps] = _seconds(records.response_ns[begin + count - 1] - records.response_ns[begin]) / (count - 1)
    return times_s


REQUEST_METRICS: tuple[RequestMetric, ...] = (
    RequestMetric(
        name="latency",
        formula="done - intended send",
        is_streamed=False,
        times_s=lambda records: _seconds(records.done_ns - records.intended_ns),
    ),
    RequestMetric(
        name="service",
        formula="done - real send",
        is_streamed=False,
        times_s=lambda records: _seconds(records.done_ns - records.sent_ns),
    ),
    RequestMetric(
        name="ttft",
        formula="first response - intended send, of a streamed answer",
        is_streamed=True,
        times_s=_time_to_first_token,
    ),
    RequestMetric(
        name="tpot",
        formula="(last response - first response) / (responses - 1), of a streamed answer of two responses or more",
        is_streamed=True,
        times_s=_time_per_output_token,
    ),
)

#: Inter-token latency: every gap counts alike, so that a stall shows, which the mean of a request (tpot) smooths away.
ITL = GapMetric(name="itl", formula="response - the response before it, of one streamed answer")
