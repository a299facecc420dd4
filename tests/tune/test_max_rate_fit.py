"""The fit of probes at several rates: tables of shares in, the capacity and its interval out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toolkit.tune.max_rate_fit import Bound, Estimate, Evidence, estimate, is_overloaded, lowest, smooth_taus

P99 = Bound(limit=0.01, is_share=True)
MEAN = Bound(limit=0.004, is_share=False)


def probe(rate: float, mean: float, effective: float = 2000.0, samples: int = 4000) -> Evidence:
    return Evidence(rate_per_s=rate, mean=mean, effective_samples=effective, samples=samples)


def on_the_line(bound: Bound, capacity: float, slope: float, rates: list[float], effective: float) -> list[Evidence]:
    """Probes that measured exactly what the model says."""
    links = [bound.link + slope * math.log(rate / capacity) for rate in rates]
    means = [1 / (1 + math.exp(-link)) if bound.is_share else math.exp(link) for link in links]
    return [probe(rate, mean, effective) for rate, mean in zip(rates, means, strict=True)]


@pytest.mark.parametrize(("bound", "slope"), [(P99, 5.0), (P99, 40.0), (MEAN, 5.0)])
def test_the_capacity_of_a_line_is_found_and_more_samples_narrow_its_interval(bound: Bound, slope: float) -> None:
    rates = [100 * math.exp(unit * bound.unit / slope) for unit in (-1, 1, -1, 1, 0)]
    few, many = (estimate(on_the_line(bound, 100.0, slope, rates, n), bound, 80.0) for n in (1000, 4000))
    assert few.rate_per_s == pytest.approx(100.0, rel=0.05)
    assert many.rate_per_s == pytest.approx(100.0, rel=0.03)
    assert few.low < 100.0 < few.high
    assert many.half_width < few.half_width
    assert many.slope == pytest.approx(slope, rel=0.5)


def test_no_miss_bounds_the_capacity_from_below_only() -> None:
    found = estimate([probe(100.0, 0.0)], P99, 100.0)
    assert 100 < found.low < 120
    assert found.high > 200


def test_an_overloaded_probe_bounds_the_capacity_from_above_and_no_more() -> None:
    """A backlog's share depends on how long it lasted: 60 % says as little about the edge as 100 %."""
    passing = probe(100.0, 0.0)
    some, all_of_them = (estimate([passing, probe(150.0, mean)], P99, 100.0) for mean in (0.6, 1.0))
    assert some.high < 150.0
    assert (some.low, some.high) == pytest.approx((all_of_them.low, all_of_them.high), rel=0.01)


@pytest.mark.parametrize(
    ("mean", "effective", "is_over"), [(1.0, 3, True), (0.16, 5.8, False), (0.16, 100, True), (0.03, 4000, False)]
)
def test_overload_is_told_from_one_cluster_of_misses(mean: float, effective: float, is_over: bool) -> None:
    assert is_overloaded(probe(100.0, mean, effective), P99) == is_over


def test_probes_that_contradict_each_other_widen_the_interval() -> None:
    rates = [95.0, 105.0] * 3
    calm = on_the_line(P99, 100.0, 20.0, rates, 2000.0)
    restless = [probe(e.rate_per_s, e.mean * factor) for e, factor in zip(calm, (4, 0.2, 0.2, 4, 1, 1), strict=True)]
    assert estimate(restless, P99, 80.0).half_width > 1.3 * estimate(calm, P99, 80.0).half_width


def test_taus_lie_on_a_rising_line() -> None:
    noisy = [probe(rate, 0.01, 4000 / tau) for rate, tau in ((80, 30), (90, 20), (95, 200), (100, 90))]
    taus = smooth_taus(noisy)
    assert taus == sorted(taus)
    assert min(taus) >= 1.0 and max(taus) < 200
    assert smooth_taus([]) == []


def test_the_lowest_capacity_binds() -> None:
    one = Estimate(rate_per_s=100.0, low=90.0, high=120.0, slope=10.0)
    other = Estimate(rate_per_s=110.0, low=80.0, high=115.0, slope=20.0)
    assert lowest([one, other]) == Estimate(rate_per_s=100.0, low=80.0, high=115.0, slope=10.0)


def test_no_evidence_leaves_everything_open() -> None:
    found = estimate([], P99, 100.0)
    assert found.high / found.low > 20
    assert np.isfinite([found.low, found.high]).all()
