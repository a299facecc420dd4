"""From probes at several rates to the rate at which a criterion is exactly met in the long run, with its interval.

In: for each probe its rate, what it measured, and how many independent requests it counts as. Out: an Estimate. Pure
arithmetic; it does not know how probes come about, nor how effective samples are counted.

Every criterion is a bound on a mean: a p99 of 20 ms bounds the share of requests over 20 ms by 1 %, an error rate the
share of failures, a mean latency the latency. Near the edge, the log-odds of a share, or the logarithm of a mean time,
are taken as a straight line in the logarithm of the rate:

    link(mean at rate) = link(bound) + slope * (ln rate - ln capacity)

Of its two unknowns a posterior is computed on a grid, from a binomial quasi-likelihood for shares and a gamma one for
times (Wedderburn 1974), each probe counting with its effective samples. Far from the edge the line need not hold, so
distant probes only bound it from one side: one below says that the mean is at most what it measured there, an
overloaded one, whose backlog grows as long as it lasts, that it is at least that. How often the interval holds the
truth on queues of known capacity is simulated in tests/tune/test_max_rate.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toolkit.load.statistics import binomial_at_most

Grid = NDArray[np.float64]

SLOPES: Grid = np.geomspace(1.0, 1000.0, 28)
#: The slope before anything is measured, log-normal: queues near saturation have 5 to 100.
PRIOR_SLOPE, PRIOR_SPREAD = 12.0, 1.1
#: The capacity before anything is measured: Cauchy in its logarithm around the first rate.
PRIOR_SCALE = 0.5
STEPS = 160
#: A probe counts on both sides while its link is within so many units of the bound's; means are straight for less.
REACH = 2.5
#: A probe is overloaded when its share is above so many times the bound with 99 % confidence, and says only that.
OVERLOADED, CONFIDENT = 5.0, 0.99
#: What the dispersion is drawn to 1 by: as much as so many probes say.
PRIOR_PROBES = 6
LEAST_DISPERSION, MOST_DISPERSION = 1.3, 4.0
_LIKELY = math.log(1e5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the mean of a criterion's series must not exceed; `is_share`: the series is of misses, not of seconds."""

    limit: float
    is_share: bool

    @property
    def unit(self) -> float:
        """How far one goes from the bound, on the scale of the link, to learn the slope."""
        return 1.0 if self.is_share else 0.12

    @property
    def link(self) -> float:
        """The link of the bound itself."""
        return _link(self.limit, self.is_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One probe for one criterion: the mean of its series, and how many independent requests stand behind it."""

    rate_per_s: float
    mean: float
    effective_samples: float
    samples: int

    @property
    def tau(self) -> float:
        """Requests per independent one."""
        return max(1.0, self.samples / self.effective_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The capacity: posterior median, 95 % interval, and the slope of the link there."""

    rate_per_s: float
    low: float
    high: float
    slope: float

    @property
    def half_width(self) -> float:
        """Half of the interval as a share of the estimate."""
        return (self.high - self.low) / 2 / self.rate_per_s


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """One probe's part of the likelihood. side: 0 counts on both, 1 says "at least", -1 says "at most"."""

    rate_per_s: float
    mean: float
    effective: float
    side: int


def estimate(evidence: Sequence[Evidence], bound: Bound, first_per_s: float) -> Estimate:
    """The rate at which `bound` is met exactly; `first_per_s` is where it was expected before anything was measured."""
    beyond = [e for e in evidence if is_overloaded(e, bound)]
    steady = [e for e in evidence if not is_overloaded(e, bound)]
    ceilings = [_ceiling(e, bound) for e in beyond]
    taus = smooth_taus(steady)
    terms = [_term(e, tau, 0) for e, tau in zip(steady, taus, strict=True)]
    found = _posterior([*terms, *ceilings], bound, first_per_s)
    for _ in range(2):
        sides = [_side(e, found, bound) for e in steady]
        near = [(e, tau) for e, tau, side in zip(steady, taus, sides, strict=True) if side == 0]
        inflation = _inflation(near, found, bound)
        terms = [_term(e, max(1.0, tau * inflation), s) for e, tau, s in zip(steady, taus, sides, strict=True)]
        found = _posterior([*terms, *ceilings], bound, first_per_s)
    return found


def is_overloaded(evidence: Evidence, bound: Bound) -> bool:
    """Whether a probe was so far over the bound that its backlog, not a steady state, is what it measured."""
    if not bound.is_share:
        return evidence.mean > OVERLOADED * bound.limit
    trials = max(1, math.ceil(evidence.effective_samples))
    misses = math.floor(evidence.mean * evidence.effective_samples)
    return 1 - binomial_at_most(misses - 1, trials, min(0.5, OVERLOADED * bound.limit)) <= 1 - CONFIDENT


def smooth_taus(evidence: Sequence[Evidence]) -> list[float]:
    """tau of each probe by a line through all of them in logarithms, rising with the rate (a ridge around 4).

    A probe's own tau would count one with many misses less, because they come in clusters, and so favour high rates.
    """
    if not evidence:
        return []
    x, y = np.log([e.rate_per_s for e in evidence]), np.log([e.tau for e in evidence])
    weights = np.sqrt([e.samples for e in evidence])
    weights = weights / weights.mean()
    dx, dy = x - np.average(x, weights=weights), y - np.average(y, weights=weights)
    slope = max(0.0, float((weights * dx * dy).sum() + 0.08) / float((weights * dx * dx).sum() + 0.02))
    return [max(1.0, float(tau)) for tau in np.exp(y - dy + slope * dx)]


def _term(evidence: Evidence, tau: float, side: int) -> _Term:
    return _Term(rate_per_s=evidence.rate_per_s, mean=evidence.mean, effective=evidence.samples / tau, side=side)


def _ceiling(evidence: Evidence, bound: Bound) -> _Term:
    """The mean is at least OVERLOADED times the bound: were it the bound itself, that would be 1 - CONFIDENT likely."""
    mean = min(0.5, OVERLOADED * bound.limit) if bound.is_share else OVERLOADED * bound.limit
    there = _saturated(mean, bound.is_share)
    at_bound = float(_log_likelihood(np.array(bound.link), mean, bound.is_share))
    effective = -math.log(1 - CONFIDENT) / max(there - at_bound, 1e-3)
    return _Term(rate_per_s=evidence.rate_per_s, mean=mean, effective=effective, side=1)


def _side(evidence: Evidence, found: Estimate, bound: Bound) -> int:
    distance = found.slope * math.log(evidence.rate_per_s / found.rate_per_s)
    reach = REACH * bound.unit
    return -1 if distance < -reach else 1 if distance > reach else 0


def _inflation(near: Sequence[tuple[Evidence, float]], found: Estimate, bound: Bound) -> float:
    """By how much the probes scatter more around the line than their effective samples explain, and Student's t.

    The mean deviance of the probes, drawn to 1; machines that change their pace between probes raise it.
    """
    deviance = 0.0
    for evidence, tau in near:
        link = bound.link + found.slope * math.log(evidence.rate_per_s / found.rate_per_s)
        fitted = float(_log_likelihood(np.array(link), evidence.mean, bound.is_share))
        deviance += 2 * evidence.samples / tau * (_saturated(evidence.mean, bound.is_share) - fitted)
    freedom = max(0, len(near) - 2) + PRIOR_PROBES
    dispersion = (deviance + PRIOR_PROBES) / freedom
    t_over_z = 1 + 1.22 / freedom  # Student's t / 1.96, within 1 % from 6 degrees of freedom on
    return min(MOST_DISPERSION, max(LEAST_DISPERSION, dispersion)) * t_over_z**2


def _posterior(terms: Sequence[_Term], bound: Bound, first_per_s: float) -> Estimate:
    """Median and central 95 % of the capacity over a grid of capacities and SLOPES, zoomed to where it is likely."""
    first = math.log(first_per_s)
    low = first - math.log(5000)
    high = max(math.log(4 * rate) for rate in (4 * first_per_s, *(term.rate_per_s for term in terms)))
    for _ in range(4):
        x = np.linspace(low, high, STEPS)
        logarithm = _log_prior(x, first)
        for term in terms:
            logarithm = logarithm + _term_log_likelihood(term, x, bound)
        density = np.exp(logarithm - logarithm.max())
        of_capacity = density.sum(axis=1)
        likely = np.flatnonzero(of_capacity > of_capacity.max() * math.exp(-_LIKELY))
        if len(likely) > STEPS // 3:
            break
        step = (high - low) / (STEPS - 1)
        low, high = x[likely[0]] - step, x[likely[-1]] + step
    shares = (np.cumsum(of_capacity) - of_capacity / 2) / of_capacity.sum()
    middle, left, right = np.exp(np.interp([0.5, 0.025, 0.975], shares, x))
    slope = math.exp(float(density.sum(axis=0) @ np.log(SLOPES) / density.sum()))
    return Estimate(rate_per_s=float(middle), low=float(left), high=float(right), slope=slope)


def _log_prior(x: Grid, first: float) -> Grid:
    of_capacity = -np.log1p(((x - first) / PRIOR_SCALE) ** 2)
    of_slope = -0.5 * ((np.log(SLOPES) - math.log(PRIOR_SLOPE)) / PRIOR_SPREAD) ** 2
    grid: Grid = of_capacity[:, None] + of_slope
    return grid


def _term_log_likelihood(term: _Term, x: Grid, bound: Bound) -> Grid:
    """Over capacities (rows) and SLOPES (columns)."""
    link = np.clip(bound.link + SLOPES * (math.log(term.rate_per_s) - x[:, None]), -60.0, 60.0)
    values = _log_likelihood(link, term.mean, bound.is_share)
    if term.side:
        there = _link(term.mean, bound.is_share)
        values = np.where((link - there) * term.side >= 0, _saturated(term.mean, bound.is_share), values)
    grid: Grid = term.effective * values
    return grid


def _link(mean: float, is_share: bool) -> float:
    mean = max(mean, 1e-12)
    return math.log(mean / max(1 - mean, 1e-12)) if is_share else math.log(mean)


def _log_likelihood(link: Grid, mean: float, is_share: bool) -> Grid:
    """For each effective sample: binomial for shares, gamma for times, at the value whose link is given."""
    values: Grid = mean * link - np.logaddexp(0.0, link) if is_share else -(mean * np.exp(-link) + link)
    return values


def _saturated(mean: float, is_share: bool) -> float:
    """The largest value of `_log_likelihood`, that of a line through the probe itself."""
    if not is_share:
        return -(1.0 + math.log(mean))
    return sum(part * math.log(part) for part in (mean, 1 - mean) if part > 0)


def lowest(estimates: Sequence[Estimate]) -> Estimate:
    """The capacity under several criteria that must hold together: the lowest, with the lowest ends."""
    binding = min(estimates, key=lambda found: found.rate_per_s)
    return replace(binding, low=min(e.low for e in estimates), high=min(e.high for e in estimates))
