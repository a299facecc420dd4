"""Who is tried next: the candidate that likeliest beats a rate, by the model and by what its neighbours came to. Pure.

In: what the model of the batcher expects of every candidate, and the windows so far. Out: for each candidate the chance
that it sustains a rate. The model's error (of the logarithm of the rate) is learnt as a Gaussian process over the
settings: a part that all candidates share, a part for each setting by itself, and one for what they do together. So a
few lost challenges with two instances speak against all others with two instances, and nothing is tried to the end of
a list that was wrong at its head. Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, chapter 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.tune.evidence import overloaded, rate_windows, sustained_by
from toolkit.tune.plan import Expected, Plan
from toolkit.tune.search import WARMUP_SHARE, Ledger

#: Standard deviations of the model's error in the logarithm of a rate: of all candidates together, of one setting by
#: itself, of all settings together, and of what no neighbour shares.
SHARED, OWN, JOINT, ALONE = 1.0, 0.15, 0.15, 0.08
#: The deviation of what a candidate was found to sustain, at least and at most.
LEAST_NOISE, MOST_NOISE = 0.05, 0.5
#: How far settings reach, as a share of their range.
REACH = 0.8
#: A candidate that beats the best with less than this chance is not worth a window.
LEAST_CHANCE = 0.01

Values = NDArray[np.float64]


def likeliest(plan: Plan, ledger: Ledger, left: Sequence[Expected], rate_per_s: float) -> Expected | None:
    """Of `left` the candidate with the highest chance to sustain a rate for what trying it costs; None without any."""
    chances = chances_to_beat(plan, ledger, left, rate_per_s)
    window_s = (1 + WARMUP_SHARE) * plan.window_at(rate_per_s)
    worth = [
        chance / (window_s + ledger.reload_s * _share_to_load(ledger, e))
        for e, chance in zip(left, chances, strict=True)
    ]
    return left[int(np.argmax(worth))] if max(chances, default=0.0) >= LEAST_CHANCE else None


def chances_to_beat(plan: Plan, ledger: Ledger, left: Sequence[Expected], rate_per_s: float) -> tuple[float, ...]:
    """The chance of each of `left` to sustain a rate."""
    known = [(e, *found) for e in plan.ranked if (found := _found(plan, ledger, e)) and e.rate_per_s > 0]
    hoped = np.log([max(e.rate_per_s, 1e-9) for e in left])
    mean, variance = np.zeros(len(left)), np.full(len(left), _variance(plan.ranked[0].place))
    if known:
        errors = np.array([math.log(rate / e.rate_per_s) for e, rate, _ in known])
        noise = np.diag([deviation**2 + ALONE**2 for _, _, deviation in known])
        places = _table([e.place for e, _, _ in known])
        across = _covariance(_table([e.place for e in left]), places)
        solved = np.linalg.solve(_covariance(places, places) + noise, np.column_stack([errors, across.T]))
        mean, variance = across @ solved[:, 0], variance - np.einsum("ij,ji->i", across, solved[:, 1:])
    distances = (hoped + mean - math.log(rate_per_s)) / np.sqrt(np.maximum(variance, 1e-9))
    return tuple(0.5 * math.erfc(-d / math.sqrt(2)) for d in distances)


def _found(plan: Plan, ledger: Ledger, expected: Expected) -> tuple[float, float] | None:
    """The rate that a candidate's windows come to, and the deviation of its logarithm; None without a window."""
    tried = rate_windows(ledger, expected.candidate)
    estimate = sustained_by(tried, plan.bounds)
    if estimate is None:
        return None
    rate = estimate.rate_per_s
    if all(overloaded(t, plan.bounds) for t in tried):
        rate = max(min(rate, *(t.throughput_per_s for t in tried)), 1e-3 * expected.rate_per_s)
    return rate, min(MOST_NOISE, max(LEAST_NOISE, estimate.half_width / 2))


def _share_to_load(ledger: Ledger, expected: Expected) -> float:
    """Of the entries that vary, the share that another one's configuration than the last trial's makes load again."""
    last = ledger.tried[-1].ask.candidate.config if ledger.tried else {}
    wanted = expected.candidate.config
    entries = wanted.keys() | last.keys()
    return sum(wanted.get(e) != last.get(e) for e in entries) / len(entries) if entries else 0.0


def _table(places: Sequence[tuple[float, ...]]) -> Values:
    return np.array(places, float).reshape(len(places), -1)


def _variance(place: tuple[float, ...]) -> float:
    return SHARED**2 + OWN**2 * len(place) + JOINT**2 + ALONE**2


def _covariance(some: Values, others: Values) -> Values:
    """Of the model's errors at two sets of places."""
    apart = ((some[:, None, :] - others[None, :, :]) / REACH) ** 2
    own = np.exp(-0.5 * apart).sum(axis=2)
    together: Values = SHARED**2 + OWN**2 * own + JOINT**2 * np.exp(-0.5 * apart.sum(axis=2))
    return together
