"""What the windows of one configuration say together: whether it beats a rate, and which rate it sustains. Pure.

In: trials of open loops, the criteria's bounds. Out: better, worse or open at a rate, by a sequential test that stops
as soon as a window is clear; and the sustained rate, by the same fit as `toolkit max-rate` (max_rate_fit.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from toolkit.load.pattern import RequestRate
from toolkit.load.statistics import binomial_at_least, binomial_at_most
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_fit import Bound, Estimate, Evidence, estimate, is_overloaded, lowest
from toolkit.tune.search import Ledger, Tried

Challenge = Literal["better", "worse", "open"]

#: The probability of error of one look at a challenge, on each side. A race asks many questions and pays for none of
#: them with more than a detour: a loser that wins is measured again, a winner that loses is one of many near the best.
LEVEL = 0.10
#: The same of a mean, in standard deviations of its logarithm.
DEVIATIONS = 1.28


def challenge(tried: Sequence[Tried], bounds: Sequence[Bound]) -> Challenge:
    """Whether the windows, all at one rate, show that the criteria hold there: better all do, worse one does not."""
    answers = {_one(tried, index, bound) for index, bound in enumerate(bounds)}
    return "worse" if "worse" in answers else "open" if "open" in answers else "better"


def holds_on_average(tried: Sequence[Tried], bounds: Sequence[Bound]) -> bool:
    """Whether every criterion is kept by the mean over the windows, however sure that is."""
    return all(_pooled(tried, index)[0] <= bound.limit for index, bound in enumerate(bounds))


def _pooled(tried: Sequence[Tried], index: int) -> tuple[float, float]:
    """The mean of a criterion's series over windows, and the effective samples behind it."""
    seen = [t.observation.seen[index] for t in tried if t.observation.seen]
    samples = sum(s.samples for s in seen)
    if not samples:
        return math.inf, 0.0
    return sum(s.mean * s.samples for s in seen) / samples, sum(s.effective_samples for s in seen)


def _one(tried: Sequence[Tried], index: int, bound: Bound) -> Challenge:
    mean, effective = _pooled(tried, index)
    if math.isinf(mean):
        return "worse"  # not one request was even sent in time
    if not bound.is_share:
        distance = math.log(max(mean, 1e-12) / bound.limit) * math.sqrt(effective)
        return "worse" if distance > DEVIATIONS else "better" if distance < -DEVIATIONS else "open"
    if binomial_at_least(mean * effective, effective, bound.limit) <= LEVEL:
        return "worse"
    return "better" if binomial_at_most(mean * effective, effective, bound.limit) <= LEVEL else "open"


def evidence_of(tried: Sequence[Tried], index: int) -> tuple[Evidence, ...]:
    """The open windows of a configuration as evidence for one criterion; those that are spoiled say nothing."""
    return tuple(
        Evidence(
            rate_per_s=t.ask.load.rate_per_s,
            mean=t.observation.seen[index].mean,
            effective_samples=t.observation.seen[index].effective_samples,
            samples=t.observation.seen[index].samples,
        )
        for t in tried
        if isinstance(t.ask.load, RequestRate) and is_usable(t) and t.observation.seen[index].samples
    )


def is_usable(tried: Tried) -> bool:
    """Whether a trial says something of the server: not refused, not spoiled by the client."""
    return not tried.refused and not tried.observation.spoiled and bool(tried.observation.seen)


def sustained(tried: Sequence[Tried], bounds: Sequence[Bound], first_per_s: float) -> Estimate | None:
    """The rate at which the tightest criterion is met exactly, by all windows; None without a usable one."""
    columns = [evidence_of(tried, index) for index in range(len(bounds))]
    if not columns or not all(columns):
        return None
    return lowest([_estimate(c, b, first_per_s) for c, b in zip(columns, bounds, strict=True)])


def rate_windows(ledger: Ledger, candidate: Candidate) -> tuple[Tried, ...]:
    """The windows of a candidate that say something of its rate."""
    return tuple(t for t in ledger.of(candidate) if is_usable(t) and t.ask.why != "probe")


def sustained_by(windows: Sequence[Tried], bounds: Sequence[Bound]) -> Estimate | None:
    """The rate that a candidate's windows tell by themselves; None without one."""
    return sustained(windows, bounds, rate_of(windows[0])) if windows else None


def rate_of(tried: Tried) -> float:
    """The rate that was offered; 0 of a closed loop."""
    return getattr(tried.ask.load, "rate_per_s", 0.0)


@lru_cache(maxsize=2048)
def _estimate(evidence: tuple[Evidence, ...], bound: Bound, first_per_s: float) -> Estimate:
    """`estimate`, kept: a search asks for the same more than once, and it takes tens of milliseconds."""
    return estimate(evidence, bound, first_per_s)


def overloaded(tried: Tried, bounds: Sequence[Bound]) -> bool:
    """Whether a window was so far over a bound that its queue grew for as long as it lasted."""
    return any(is_overloaded(e[0], b) for i, b in enumerate(bounds) if (e := evidence_of((tried,), i)))
