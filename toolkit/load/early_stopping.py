"""Whether a share of misses keeps an allowance, decided on correlated requests. Pure; no times, no SLO, no texts.

In: one value per request in the order of their sends (how bad it was; infinite for a failure), which of them missed,
and the allowed share. Out: PASS, FAIL or UNDECIDED, and how many independent requests the window was worth.

Simulated on 21 series (tests/simulated_series.py: M/D/1, M/M/1, bimodal service and a batcher at 50, 80 and 95 % load,
8 clients in a closed loop, drifts of a machine), windows of 600 to 20 000 requests that are at least five time
constants of the drift long, 54 to 400 windows each, the true share exactly at the limit.
Worst cases: wrong PASSes 4.8 % for a p50 and 3.6 % for a p90 (a batcher at 95 %, a drifting M/D/1), 2.8 % for a p95 or
p99; wrong FAILs 3.7 % for a p50, 1.9 % otherwise. With six looks at 500 to 16 000 requests (p90, p99) 2.7 % of 150.
The rule before it (tau by Geyer's sum over single requests, the largest of misses, values and ranks) passed 12 % of a
p99 on the batcher at 80 %. Price: over 600 to 50 000 requests a p99 is passed in 24 % of the windows at a fifth of the
allowed misses, where knowing tau would pass 32 %; where a level drifts by 10 %, the margin decides another fifth at 1.5
times the percentile. Windows of fewer than 500 requests, and drifts that are long against the window, are not covered:
nothing within a window tells of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.load.statistics import (
    Series,
    autocorrelation_time,
    binomial_at_least,
    binomial_at_most,
    dependence,
    quantile,
)

Decided = Literal["PASS", "FAIL", "UNDECIDED"]

#: The probability of error that the rule is given, on each side and over all looks (LoadGen's early stopping: 1 %).
LEVEL = 0.01
#: What is really left of it in the worst case that was simulated (tests/benchmarks/test_verdict_error_rates.py).
CONFIDENCE = 0.95
#: The misses may be too few to tell how they cluster; so do the slowest requests, these times the allowed share.
TAIL_FACTORS = (5, 10)
#: tau is an estimate, and too small in quiet windows: n effective requests are counted as n^2 / (n + UNSURE).
UNSURE = 100.0
#: The margin: parts of the window, how many times their spread the limit must lie beyond all, and what they are worth.
PARTS, SPREADS, FEWEST_EFFECTIVE = 10, 2.0, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`counted` is what the rule counted with, less than `samples / tau`. `by_margin`: the limit was far away."""

    outcome: Decided
    samples: int
    misses: int
    tau: float
    counted: float
    by_margin: bool = False


def decide(
    values: Series, missed: NDArray[np.bool_], allowed: float, *, limit: float | None = None, looks: int = 1
) -> Decision:
    """Whether the share of misses is at most `allowed`, judged at `looks` looks in all; `values` must not be empty.

    With a `limit`, a window may also be decided by its margin.
    """
    tau = tau_of_share(values, missed, allowed)
    samples, misses = len(values), int(missed.sum())
    counted = discounted(samples / tau)
    outcome = decided(counted, misses / samples, allowed, looks)
    by_margin: Decided = "UNDECIDED"
    if outcome == "UNDECIDED" and limit is not None:
        by_margin = _decided_by_margin(values, allowed, limit, looks)
    return Decision(
        outcome=outcome if by_margin == "UNDECIDED" else by_margin,
        samples=samples,
        misses=misses,
        tau=tau,
        counted=counted,
        by_margin=by_margin != "UNDECIDED",
    )


def decided(counted: float, share: float, allowed: float, looks: int = 1) -> Decided:
    """LoadGen's early stopping, and its mirror image, on `counted` independent requests of which `share` missed."""
    if binomial_at_most(counted * share, counted, allowed) <= LEVEL / looks:
        return "PASS"
    return "FAIL" if binomial_at_least(counted * share, counted, allowed) <= LEVEL / looks else "UNDECIDED"


def discounted(effective: float) -> float:
    """What `effective` independent requests count for, tau being an estimate."""
    return effective * effective / (effective + UNSURE)


def tau_of_share(values: Series, missed: NDArray[np.bool_], allowed: float) -> float:
    """The autocorrelation time of misses: the largest of their own, and of what surrounds them.

    That is the requests beyond the quantiles which TAIL_FACTORS times `allowed` exceed; where these reach down to the
    median, all values and their ranks.
    """
    taus = [autocorrelation_time(missed)]
    if max(TAIL_FACTORS) * allowed > 0.5:
        return max(*taus, _dependence(values))
    ordered = np.sort(values)
    return max(*taus, *(autocorrelation_time(values > quantile(ordered, 1.0 - f * allowed)) for f in TAIL_FACTORS))


def _dependence(values: Series) -> float:
    """That of values of which some may be infinite: these count as beyond all others."""
    finite = np.isfinite(values)
    return dependence(np.where(finite, values, 2.0 * np.max(values[finite], initial=1.0)))


def _decided_by_margin(values: Series, allowed: float, limit: float, looks: int) -> Decided:
    """By the percentiles of PARTS of the window: the limit lies beyond all of them by SPREADS times their spread.

    Spread and distance are ratios. A window that is not long against its own changes is not decided.
    """
    length = len(values) // PARTS
    if length * min(allowed, 1.0 - allowed) < 1 or len(values) / _dependence(values) < FEWEST_EFFECTIVE:
        return "UNDECIDED"
    parts = np.sort(values[: PARTS * length].reshape(PARTS, length), axis=1)
    found = np.array([quantile(part, 1.0 - allowed) for part in parts])
    if not np.isfinite(found).all() or found.min() <= 0:
        return "UNDECIDED"
    low, high, distance = math.log(found.min()), math.log(found.max()), math.log(limit)
    beyond = SPREADS * math.sqrt(1.0 + math.log(looks)) * (high - low)
    return "PASS" if high + beyond < distance else "FAIL" if low - beyond > distance else "UNDECIDED"


def requests_needed(allowed: float, share: float, tau: float = 1.0, *, looks: int = 1) -> int | None:
    """How many requests decide when exactly `share` of them miss and one in `tau` is independent; None: none ever does.

    Half of the windows of that length see fewer misses and half more, so about half of them decide. Expect that of a
    share of 0 all do.
    """
    below, above = 0.0, 1.0
    while decided(discounted(above), share, allowed, looks) == "UNDECIDED":
        below, above = above, 2.0 * above
        if above > 1e8:
            return None
    while above - below > 0.5:
        middle = (below + above) / 2
        undecided = decided(discounted(middle), share, allowed, looks) == "UNDECIDED"
        below, above = (middle, above) if undecided else (below, middle)
    return math.ceil(above * tau)
