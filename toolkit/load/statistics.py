"""Statistics of correlated samples: arithmetic on arrays, no times, no requests, no limits of anybody.

Latencies of a queue resemble their neighbours, so n of them are worth only n / tau independent ones, tau being the
integrated autocorrelation time. Every interval and every test of the toolkit counts in those effective samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Series = NDArray[Any]

#: Batch means: that many blocks, and Student's t for their 19 degrees of freedom.
BLOCKS = 20
T_95_TWO_SIDED = 2.093
T_999_ONE_SIDED = 3.579


def autocorrelation_time(series: Series) -> float:
    """The integrated autocorrelation time tau >= 1 of a series in its order; 1 when it does not vary.

    tau = 1 + 2 * (sum of the autocorrelations), summed in pairs up to the first pair that is not positive
    (Geyer 1992, "Practical Markov Chain Monte Carlo": the initial positive sequence).
    """
    n = len(series)
    if n < 4 or np.min(series) == np.max(series):
        return 1.0
    centred = np.asarray(series, dtype=np.float64) - np.mean(series)
    spectrum = np.fft.rfft(centred, 1 << (2 * n - 1).bit_length())
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:n]
    pairs = (correlation[0 : n - 1 : 2] + correlation[1:n:2]) / correlation[0]
    ends = np.flatnonzero(pairs <= 0)
    return min(float(n), max(1.0, 2.0 * float(pairs[: ends[0] if len(ends) else len(pairs)].sum()) - 1.0))


def dependence(values: Series) -> float:
    """tau of the values or of their ranks, whichever is larger: one huge outlier hides the correlation of the rest."""
    ranks = np.searchsorted(np.sort(values), values)
    return max(autocorrelation_time(values), autocorrelation_time(ranks))


def binomial_at_most(successes: int, trials: int, share: float) -> float:
    """P(Binomial(trials, share) <= successes), summed in logarithms; 0 < share < 1."""
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    k = np.arange(successes, dtype=np.float64)
    steps = np.cumsum(np.log((trials - k) / (k + 1.0)) + math.log(share / (1.0 - share)))
    logarithms = np.concatenate(([0.0], steps)) + trials * math.log1p(-share)
    return min(1.0, float(np.exp(logarithms).sum()))


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
    """The 95 % interval of quantile `q` of sorted values that count as n / tau independent ones; None: unbounded."""
    effective = math.floor(len(ordered) / tau)
    if effective < 1:
        return None, None
    low, high = quantile_ranks(q, effective)
    return (
        None if low is None else quantile(ordered, low / effective),
        None if high is None else quantile(ordered, high / effective),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean and its standard error (BLOCKS - 1 degrees of freedom)."""

    value: float
    error: float


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


def slope_of_blocks(values: Series) -> tuple[float, float]:
    """The change of the block means from first to last by least squares, and its t value; zeros with too few values."""
    if len(values) < 2 * BLOCKS:
        return 0.0, 0.0
    means = np.array([np.mean(block) for block in np.array_split(values, BLOCKS)])
    place = np.linspace(-0.5, 0.5, BLOCKS)
    slope = float(place @ means / (place @ place))
    residuals = means - means.mean() - slope * place
    error = math.sqrt(float(residuals @ residuals) / (BLOCKS - 2) / float(place @ place))
    return slope, slope / error if error > 0 else math.copysign(math.inf, slope) if slope else 0.0
