"""The service-level objective, as written down before the run: criteria with a metric, a statistic and a limit.

`ttft=200ms,tpot=50ms`, without a statistic, are limits that each request must keep: 95 % of the requests all of them,
which is `goodput(ttft=200ms,tpot=50ms)=0.95`. Other times have no such form, since of them a percentile is meant.

In: `METRIC.STATISTIC=LIMIT,...` as people type it. Out: an Slo, and back to text. Whether it is met is verdict.py's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolkit.errors import UsageError
from toolkit.load.duration import seconds_from_text, seconds_text

MEND = "write METRIC.STATISTIC=LIMIT, for example p99=20ms or latency.p90=5ms,throughput=100,errors=0.1%"
GOODPUT_MEND = "write goodput(latency=50ms)=0.95, several times by commas within the brackets"
#: Times of a request, declared in request_metrics.py.
REQUEST_TIMES = ("latency", "service", "ttft", "tpot")
#: All times that can be limited: itl is of a gap between two responses, of which a request has many.
TIMES = (*REQUEST_TIMES, "itl")
#: What a limit without a statistic is for, and the share of requests that must keep all such limits together.
LIMITS_OF_A_REQUEST, SHARE = ("ttft", "tpot"), 0.95
#: The one statistic of a metric that has but one.
_ONLY = {"throughput": "mean", "errors": "rate", "goodput": "rate"}
_GOODPUT = re.compile(r"goodput(?:\.rate)?\s*\((.*)\)\s*=(.*)")
_BETWEEN_CRITERIA = re.compile(r",(?![^(]*\))")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimit:
    """A request keeps it when its time `metric` is at most `limit_s`."""

    metric: str
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """`metric.statistic` must be at most `limit`, or at least it for throughput and goodput.

    A time (TIMES): `pNN` or `mean`, seconds. throughput: `mean`, per second. errors: `rate`, a share of 1. goodput:
    `rate`, the share of requests that succeed `within` all these times.
    """

    metric: str
    statistic: str
    limit: float
    within: tuple[TimeLimit, ...] = ()

    @property
    def name(self) -> str:
        """The metric's name in the metric table: "latency.p99"."""
        return f"{self.metric}.{self.statistic}"

    @property
    def quantile(self) -> float | None:
        """0.99 for p99; None when the statistic is no percentile."""
        match = _PERCENTILE.fullmatch(self.statistic)
        return float(match[1]) / 100 if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """All criteria must hold together."""

    criteria: tuple[Criterion, ...]


def slo_from_text(text: str) -> Slo:
    """Read `p99=20ms`, `ttft.p99=200ms`, `throughput=100`, `errors=0.1%`, `goodput(latency=50ms)=0.95`, by commas.

    Limits of LIMITS_OF_A_REQUEST without a statistic become one goodput of SHARE. Raises UsageError.
    """
    parts = [part.strip() for part in _BETWEEN_CRITERIA.split(text)]
    bare = [part for part in parts if _is_limit_of_a_request(part)]
    limits = tuple(_time_limit_from_text(part) for part in bare)
    named = [limit.metric for limit in limits]
    if len(set(named)) < len(named):
        raise UsageError(f"SLO '{text}': {named[0]} has two limits", mend="keep one of them")
    together = Criterion(metric="goodput", statistic="rate", limit=SHARE, within=limits)
    others = (_criterion_from_text(part) for part in parts if part not in bare)
    criteria = (*([together] if limits else []), *others)
    names = [criterion.name for criterion in criteria]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"SLO '{text}': {name} has two limits", mend="keep one of them")
    return Slo(criteria=criteria)


def _is_limit_of_a_request(text: str) -> bool:
    name, _, limit = (part.strip() for part in text.partition("="))
    return name in LIMITS_OF_A_REQUEST and bool(limit)


def _criterion_from_text(text: str) -> Criterion:
    if goodput := _GOODPUT.fullmatch(text):
        within = tuple(_time_limit_from_text(part.strip()) for part in goodput[1].split(","))
        limit = _goodput_limit(text, goodput[2].strip())
        return Criterion(metric="goodput", statistic="rate", limit=limit, within=within)
    name, _, bound = (part.strip() for part in text.partition("="))
    if not name or not bound:
        raise UsageError(f"SLO '{text}' has no limit" if name else "an SLO is empty", mend=MEND)
    metric, _, statistic = name.partition(".") if name.partition(".")[0] in _READERS else ("latency", "", name)
    if metric not in TIMES:
        statistic = statistic or _ONLY[metric]
    criterion = Criterion(metric=metric, statistic=statistic, limit=_READERS[metric](text, bound))
    _check_statistic(criterion, text)
    return criterion


def _check_statistic(criterion: Criterion, text: str) -> None:
    allowed = _ONLY.get(criterion.metric, "mean")
    q = criterion.quantile if criterion.metric in TIMES else None
    if not (criterion.statistic == allowed or (q is not None and q > 0)):
        expected = "pNN or mean" if criterion.metric in TIMES else allowed
        what = f"'{criterion.statistic}' is no statistic of" if criterion.statistic else "no statistic is given for"
        raise UsageError(f"SLO '{text}': {what} {criterion.metric}; expected {expected}", mend=MEND)


def _time_limit_from_text(text: str) -> TimeLimit:
    metric, _, limit = (part.strip() for part in text.partition("="))
    if metric not in REQUEST_TIMES or not limit:
        expected = f"each limit of goodput as one of {', '.join(REQUEST_TIMES)} with a time"
        raise UsageError(f"SLO: goodput has '{text}'; expected {expected}", mend=GOODPUT_MEND)
    return TimeLimit(metric=metric, limit_s=_time_limit(text, limit))


def _goodput_limit(text: str, limit: str) -> float:
    share = _number(text, limit.removesuffix("%")) / (100 if limit.endswith("%") else 1)
    if not 0 < share < 1:
        raise UsageError(f"SLO '{text}': the share must be more than 0 and less than 1", mend=GOODPUT_MEND)
    return share


def _without_times(text: str, limit: str) -> float:
    raise UsageError(f"SLO '{text}': goodput needs the times that a request must keep", mend=GOODPUT_MEND)


def _time_limit(text: str, limit: str) -> float:
    try:
        seconds = seconds_from_text(limit)
    except UsageError as err:
        raise UsageError(f"SLO '{text}': {err.message}", mend=err.mend) from err
    return _positive(text, seconds)


def _rate_limit(text: str, limit: str) -> float:
    return _positive(text, _number(text, limit.removesuffix("/s").strip()))


def _share_limit(text: str, limit: str) -> float:
    mend = "write errors=0.1%"
    if not limit.endswith("%"):
        raise UsageError(f"SLO '{text}': the limit of an error rate is a percentage", mend=mend)
    share = _number(text, limit.removesuffix("%")) / 100
    if not 0 < share < 1:  # a rate of 0 cannot be shown by any number of requests
        raise UsageError(f"SLO '{text}': the limit must be more than 0 % and less than 100 %", mend=mend)
    return share


def _number(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError as err:
        raise UsageError(f"SLO '{text}': '{number}' is not a number", mend=MEND) from err


def _positive(text: str, limit: float) -> float:
    if not 0 < limit < float("inf"):
        raise UsageError(f"SLO '{text}': the limit must be more than 0", mend=MEND)
    return limit


_READERS = {
    **dict.fromkeys(TIMES, _time_limit),
    "throughput": _rate_limit,
    "errors": _share_limit,
    "goodput": _without_times,
}


def criterion_text(criterion: Criterion) -> str:
    """The text that `slo_from_text` reads: `latency.p99=20ms`, `errors=0.1%`, `goodput(latency=50ms)=0.95`."""
    if criterion.metric in TIMES:
        return f"{criterion.name}={seconds_text(criterion.limit)}"
    if criterion.metric == "goodput":
        within = ",".join(f"{bound.metric}={seconds_text(bound.limit_s)}" for bound in criterion.within)
        return f"goodput({within})={criterion.limit:.6g}"
    if criterion.metric == "errors":
        return f"errors={100 * criterion.limit:.6g}%"
    return f"{criterion.metric}={criterion.limit:.6g}"
