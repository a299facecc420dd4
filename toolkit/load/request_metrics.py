"""Every time that is measured per request, declared once: name, formula, function. SLOs and figures iterate over it.

In: Records. Out: seconds, one for each request in the order of the intended sends; NaN where a request has no such.
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


def request_metric(name: str) -> RequestMetric:
    """The metric `name`. Raises KeyError for one that is not declared."""
    return {metric.name: metric for metric in REQUEST_METRICS}[name]


def has_times(metric: RequestMetric, records: Records) -> bool:
    """Whether these records have such times at all."""
    return not metric.is_streamed or len(records.response_ns) > 0


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
