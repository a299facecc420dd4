"""Statistics of correlated samples: arithmetic on arrays, no times, no requests, no limits of anybody.

Latencies of a queue resemble their neighbours, so n of them are worth only n / tau independent ones, tau being the
integrated autocorrelation time. Every interval and every test of the toolkit counts in those effective samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[Any]
#: One number for each row of a table of resampled series.
Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]

#: Batch means of a mean.
BLOCKS = 20

FEWEST_FOR_INTERVAL = 20
#: Batches from whose means the autocorrelation time is estimated.
TAU_BLOCKS = 32


def autocorrelation_time(series: Series) -> float:
    """The integrated autocorrelation time tau >= 1 of a series in its order; 1 when it does not vary or is very short.

    n tau times the variance of one value is the variance of their sum. It is estimated from TAU_BLOCKS batch means: the
    variance of a batch's sum, times what remains of correlation between the batches (Geyer 1992, "Practical Markov
    Chain Monte Carlo": the initial positive sequence). Geyer's sum over single requests ends at the first negative
    pair, and latencies of a batching server swing by the batch: there it finds 5 where 21 is right, and a rule lies.
    """
    n = len(series)
    blocks = min(TAU_BLOCKS, n // 4)
    if blocks < 4 or np.min(series) == np.max(series):
        return 1.0
    length = n // blocks
    means = np.asarray(series[n - blocks * length :], dtype=np.float64).reshape(blocks, length).mean(axis=1)
    of_batches = length * float(means.var(ddof=1)) / float(np.var(series, dtype=np.float64))
    return min(float(n), max(1.0, of_batches * initial_positive_sequence(means)))


def initial_positive_sequence(series: Series) -> float:
    """1 + 2 * (sum of the autocorrelations), summed in pairs up to the first pair that is not positive; at least 1."""
    n = len(series)
    centred = np.asarray(series, dtype=np.float64) - np.mean(series)
    power = float(centred @ centred)
    if n < 4 or power <= 0:
        return 1.0
    correlation = np.correlate(centred, centred, "full")[n - 1 :] / power
    pairs = correlation[0 : n - 1 : 2] + correlation[1:n:2]
    ends = np.flatnonzero(pairs <= 0)
    return max(1.0, 2.0 * float(pairs[: ends[0] if len(ends) else len(pairs)].sum()) - 1.0)


def dependence(values: Series) -> float:
    """tau of the values or of their ranks, whichever is larger: one huge outlier hides the correlation of the rest."""
    return max(autocorrelation_time(values), autocorrelation_time(ranks(values)))


def ranks(values: Series) -> NDArray[np.int64]:
    """How many of the values are smaller than each; equal ones have the same rank."""
    return np.searchsorted(np.sort(values), values)


def binomial_at_most(successes: float, trials: float, share: float) -> float:
    """P(Binomial(trials, share) <= successes), for counts that need not be whole; 0 < share < 1.

    Effective counts are fractions; between whole numbers it is the incomplete beta function I(trials - k, k + 1).
    """
    if successes < 0:
        return 0.0
    return 1.0 if successes >= trials else _incomplete_beta(trials - successes, successes + 1.0, 1.0 - share)


def binomial_at_least(successes: float, trials: float, share: float) -> float:
    """P(Binomial(trials, share) >= successes), likewise."""
    if successes <= 0:
        return 1.0
    return 0.0 if successes > trials else _incomplete_beta(successes, trials - successes + 1.0, share)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function by Lentz's continued fraction (Numerical Recipes, 6.4)."""
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    numerator, denominator, fraction = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0)), 0.0
    fraction = denominator
    for m in range(1, 20_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            denominator, numerator = 1.0 / (1.0 + step * denominator), 1.0 + step / numerator
            fraction *= denominator * numerator
        if abs(denominator * numerator - 1.0) < 1e-12:
            break
    return math.exp(logarithm) * fraction / a


def student_t(level: float, freedom: float) -> float:
    """The one-sided bound of Student's t that is exceeded with probability `level`, from 4 degrees of freedom on.

    Expanded round the normal distribution (Cornish and Fisher, Abramowitz and Stegun 26.7.5); 2 % too small at worst.
    """
    z = NormalDist().inv_cdf(1.0 - level)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def quantile_ranks(q: float, samples: int) -> tuple[int | None, int | None]:
    """The ranks (from 1) of the order statistics that bound the 95 % interval of quantile `q`.

    None where there are too few independent samples for that end: the p99 has an upper one from 368 on.
    Source: David and Nagaraja, Order Statistics, 7.1.
    """
    low, high = _first_rank(q, samples, 0.025), _first_rank(q, samples, 0.975)
    # P(rank low <= quantile) must be >= 97.5 %: the last rank whose own probability is still within 2.5 %.
    return (low - 1 if low > 1 else None), (high if high <= samples else None)


def _first_rank(q: float, samples: int, probability: float) -> int:
    """The smallest rank r with P(Binomial(samples, q) <= r - 1) >= probability (exceeding it for the lower end)."""
    below, above = 0, samples + 1
    while above - below > 1:
        middle = (below + above) // 2
        found = binomial_at_most(middle - 1, samples, q)
        enough = found >= probability if probability > 0.5 else found > probability
        below, above = (below, middle) if enough else (middle, above)
    return above


def quantile(ordered: Series, q: float) -> float:
    """The exact quantile: the order statistic of rank ceil(q * n) of sorted values (nearest rank, no interpolation)."""
    return float(ordered[max(0, math.ceil(q * len(ordered) - 1e-9) - 1)])


def quantile_interval(ordered: Series, q: float, tau: float) -> tuple[float | None, float | None]:
    """The 95 % interval of quantile `q` of sorted values that count as n / tau independent ones; None: unbounded.

    A window of fewer than FEWEST_FOR_INTERVAL may lie in one phase of its queue as a whole: both ends are unbounded.
    """
    effective = math.floor(len(ordered) / tau)
    if effective < FEWEST_FOR_INTERVAL:
        return None, None
    low, high = quantile_ranks(q, effective)
    return (
        None if low is None else quantile(ordered, low / effective),
        None if high is None else quantile(ordered, high / effective),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean, its standard error, and the degrees of freedom that this error was estimated with."""

    value: float
    error: float
    freedom: float = BLOCKS - 1.0


def mean_of_blocks(values: Series, tau: float = 1.0) -> Mean | None:
    """The mean by BLOCKS batch means; None with fewer than two values a block.

    The error is the larger one of what the blocks and what tau say: blocks shorter than tau resemble each other.
    """
    if len(values) < 2 * BLOCKS:
        return None
    means = [float(np.mean(block)) for block in np.array_split(values, BLOCKS)]
    by_blocks = float(np.std(means, ddof=1)) / math.sqrt(BLOCKS)
    by_tau = float(np.std(values, ddof=1)) * math.sqrt(tau / len(values))
    return Mean(value=float(np.mean(values)), error=max(by_blocks, by_tau))


#: A block of the bootstrap is that many tau long, and no series is cut into fewer blocks than that.
BLOCK_TAUS = 4
FEWEST_BLOCKS = 12
_CHUNK = 4_000_000


def block_bootstrap(
    series: Series, statistic: Statistic, *, tau: float, resamples: int = 1000, seed: int = 0
) -> NDArray[np.float64]:
    """`resamples` values of `statistic` on moving blocks of `series`, which wrap round its end; empty of no series.

    `statistic` gets a table with a resampled series in each row, and returns one number a row: `mean_of_rows`, or
    `quantile_of_rows(0.99)`. A block is BLOCK_TAUS * tau long, so that neighbours stay together.
    Source: Politis and Romano 1992, "A circular block-resampling procedure for stationary data".
    """
    n = len(series)
    if not n:
        return np.empty(0)
    length = int(min(max(1, math.ceil(BLOCK_TAUS * tau)), max(1, n // FEWEST_BLOCKS)))
    blocks, generator = math.ceil(n / length), np.random.default_rng(seed)
    wrapped, within = np.concatenate((series, series[: length - 1])), np.arange(length)
    rows_at_once, found = max(1, _CHUNK // n), []
    for first in range(0, resamples, rows_at_once):
        rows = min(rows_at_once, resamples - first)
        starts = generator.integers(0, n, (rows, blocks, 1))
        found.append(statistic(wrapped[starts + within].reshape(rows, -1)[:, :n]))
    return np.concatenate(found)


def mean_of_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The mean of each row."""
    means: NDArray[np.float64] = rows.mean(axis=1, dtype=np.float64)
    return means


def quantile_of_rows(q: float) -> Statistic:
    """The exact quantile `q` (nearest rank) of each row."""

    def statistic(rows: NDArray[Any]) -> NDArray[np.float64]:
        rank = max(0, math.ceil(q * rows.shape[1] - 1e-9) - 1)
        return np.partition(rows, rank, axis=1)[:, rank].astype(np.float64)

    return statistic


def percentile_interval(values: Series) -> tuple[float, float]:
    """The 95 % interval of bootstrapped values: their 2.5 % and 97.5 % points. Raises ValueError of none."""
    if not len(values):
        raise ValueError("there are no values to take an interval of")
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
