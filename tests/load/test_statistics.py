"""The arithmetic of correlated samples, against known tables, closed forms and simulations with a fixed seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from simulated_series import batcher

from toolkit.load import statistics


def autoregressive(n: int, phi: float, seed: int) -> statistics.Series:
    """AR(1), whose integrated autocorrelation time is (1 + phi) / (1 - phi)."""
    noise = np.random.default_rng(seed).standard_normal(n)
    values = np.empty(n)
    last = 0.0
    for index in range(n):
        last = phi * last + noise[index]
        values[index] = last
    return values


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_a_known_process(phi: float) -> None:
    """It errs on the large side: the sequence of pairs ends where chance has it, never below nothing."""
    known = (1 + phi) / (1 - phi)
    found = np.mean([statistics.autocorrelation_time(autoregressive(20_000, phi, seed)) for seed in range(20)])
    assert known < found < known * 1.5


def test_autocorrelation_time_of_latencies_that_swing_by_the_batch() -> None:
    """The variance of counts in blocks of 5 000 says what is right; the sum over single requests stops much earlier."""
    latencies = batcher(0.8)(150_000, 3)
    late = latencies > np.quantile(latencies, 0.99)
    counts = late[: len(late) // 5000 * 5000].reshape(-1, 5000).sum(axis=1)
    known = float(counts.var(ddof=1)) / 5000 / float(late.var())
    found = [statistics.autocorrelation_time(part) for part in np.array_split(late, 5)]
    assert known > 10 and known / 2 < np.median(found) < known * 2


@pytest.mark.parametrize("series", [[], [1.0], [2.0] * 100, [0.0, 1.0] * 50])
def test_autocorrelation_time_is_at_least_one(series: list[float]) -> None:
    assert statistics.autocorrelation_time(np.array(series)) == 1.0


def test_one_outlier_does_not_hide_the_dependence_of_the_rest() -> None:
    values = autoregressive(5_000, 0.9, 0)
    values[2_500] = 1e4
    assert statistics.autocorrelation_time(values) < 2
    assert statistics.dependence(values) > 10


@pytest.mark.parametrize(
    ("successes", "trials", "share", "probability"),
    [(0, 459, 0.01, 0.99**459), (1, 2, 0.5, 0.75), (-1, 5, 0.3, 0.0), (5, 5, 0.3, 1.0), (0, 0, 0.3, 1.0)],
)
def test_binomial(successes: int, trials: int, share: float, probability: float) -> None:
    assert statistics.binomial_at_most(successes, trials, share) == pytest.approx(probability)


def test_binomial_with_many_trials() -> None:
    exact = sum(math.comb(2000, k) * 0.01**k * 0.99 ** (2000 - k) for k in range(26))
    assert statistics.binomial_at_most(25, 2000, 0.01) == pytest.approx(exact)
    assert statistics.binomial_at_most(500_000, 1_000_000, 0.5) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("misses", "needed"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010), (20, 3304)])
def test_early_stopping_table_of_loadgen(misses: int, needed: int) -> None:
    assert statistics.binomial_at_most(misses, needed, 0.01) <= 0.01
    assert statistics.binomial_at_most(misses, needed - 1, 0.01) > 0.01


@pytest.mark.parametrize(
    ("q", "samples", "low_is_open", "high_is_open"),
    [(0.99, 367, False, True), (0.99, 368, False, False), (0.5, 5, True, True), (0.5, 6, False, False)],
)
def test_open_ends(q: float, samples: int, low_is_open: bool, high_is_open: bool) -> None:
    low, high = statistics.quantile_ranks(q, samples)
    assert (low is None, high is None) == (low_is_open, high_is_open)


@pytest.mark.parametrize(("samples", "low", "high"), [(1000, 0.983, 0.997), (10_000, 0.988, 0.992)])
def test_interval_of_the_p99(samples: int, low: float, high: float) -> None:
    ranks = statistics.quantile_ranks(0.99, samples)
    assert [round(rank / samples, 3) for rank in ranks if rank] == [low, high]


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_interval_covers(q: float) -> None:
    """At least 93.5 % of 400 (95 % less twice the sampling error would be 92.8 %)."""
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        low, high = statistics.quantile_interval(np.sort(random.uniform(size=1000)), q, 1.0)
        covered += low is not None and high is not None and low <= q <= high
    assert covered >= 374


def test_quantiles_are_order_statistics() -> None:
    ordered = np.arange(1.0, 101.0)
    assert [statistics.quantile(ordered, q) for q in (0.0, 0.01, 0.5, 0.9, 0.99, 1.0)] == [1, 1, 50, 90, 99, 100]
    assert statistics.quantile_interval(np.array([1.0, 2.0]), 0.5, 10.0) == (None, None)


def test_means_by_blocks() -> None:
    assert statistics.mean_of_blocks(np.ones(39)) is None
    found = statistics.mean_of_blocks(np.random.default_rng(0).normal(10, 1, 10_000))
    assert found is not None
    assert abs(found.value - 10) < 3 * found.error
    assert 0.005 < found.error < 0.02
    correlated = statistics.mean_of_blocks(np.random.default_rng(0).normal(10, 1, 10_000), tau=100.0)
    assert correlated is not None and correlated.error > 5 * found.error


@pytest.mark.parametrize(
    ("level", "freedom", "bound"), [(0.025, 19, 2.0930), (0.001, 19, 3.5794), (0.001, 31, 3.3749), (0.001, 4, 7.1732)]
)
def test_student_t(level: float, freedom: float, bound: float) -> None:
    assert statistics.student_t(level, freedom) == pytest.approx(bound, rel=0.04)


@pytest.mark.parametrize(("successes", "trials", "share"), [(3.3, 544.2, 0.01), (0.4, 50.5, 0.1), (900.5, 1e5, 0.01)])
def test_binomial_of_fractions_is_the_incomplete_beta_function(successes: float, trials: float, share: float) -> None:
    from scipy import special

    at_most = special.betainc(trials - successes, successes + 1, 1 - share)
    assert statistics.binomial_at_most(successes, trials, share) == pytest.approx(at_most)
    at_least = special.betainc(successes, trials - successes + 1, share)
    assert statistics.binomial_at_least(successes, trials, share) == pytest.approx(at_least)


def test_binomial_at_least() -> None:
    assert statistics.binomial_at_least(26, 2000, 0.01) == pytest.approx(
        1 - statistics.binomial_at_most(25, 2000, 0.01)
    )
    assert (statistics.binomial_at_least(0, 5, 0.5), statistics.binomial_at_least(6, 5, 0.5)) == (1.0, 0.0)


def bootstrapped(series: statistics.Series, statistic: statistics.Statistic, tau: float) -> tuple[float, float]:
    values = statistics.block_bootstrap(series, statistic, tau=tau, resamples=300, seed=1)
    return statistics.percentile_interval(values)


def test_block_bootstrap_covers_a_mean_of_correlated_values() -> None:
    covered = {1.0: 0, 19.0: 0}
    for seed in range(50):
        series = autoregressive(4000, 0.9, seed)
        for tau in covered:
            low, high = bootstrapped(series, statistics.mean_of_rows, tau)
            covered[tau] += low <= 0 <= high
    assert covered[19.0] >= 43 and covered[1.0] <= 38, covered


def test_block_bootstrap_of_a_quantile() -> None:
    series = np.random.default_rng(0).uniform(size=5000)
    low, high = bootstrapped(series, statistics.quantile_of_rows(0.9), 1.0)
    assert low < 0.9 < high and 0.01 < high - low < 0.03


def test_block_bootstrap_is_repeatable_and_keeps_blocks() -> None:
    series, tables = np.arange(100.0), []

    def remember(rows: statistics.Series) -> statistics.Series:
        tables.append(rows)
        return rows[:, 0]

    first = statistics.block_bootstrap(series, remember, tau=2.0, resamples=50, seed=4)
    assert (first == statistics.block_bootstrap(series, remember, tau=2.0, resamples=50, seed=4)).all()
    assert tables[0].shape == (50, 100)
    steps = np.diff(tables[0][:, :8], axis=1)
    assert set(np.unique(steps)) <= {1.0, -99.0}
    assert len(statistics.block_bootstrap(np.zeros(0), remember, tau=1.0)) == 0
    with pytest.raises(ValueError, match="no values"):
        statistics.percentile_interval(np.zeros(0))
