"""The arithmetic of correlated samples, against known tables, closed forms and simulations with a fixed seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

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
    known = (1 + phi) / (1 - phi)
    found = np.mean([statistics.autocorrelation_time(autoregressive(20_000, phi, seed)) for seed in range(5)])
    assert known / 1.25 < found < known * 1.25


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


def test_slope() -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, 1000)
    change, t_value = statistics.slope_of_blocks(noise + np.linspace(0, 1, 1000))
    assert 0.8 < change < 1.2 and t_value > 10
    assert abs(statistics.slope_of_blocks(noise)[1]) < 2.878
    assert statistics.slope_of_blocks(np.ones(1000))[0] == pytest.approx(0.0, abs=1e-12)
    assert statistics.slope_of_blocks(np.arange(39.0)) == (0.0, 0.0)
