"""A trend, a step, a start that differs: found where they are, seldom where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_series import Series, open_queue, windows

from toolkit.load.stationarity import NONE, start, step, trend

PLACE = np.linspace(0, 1, 2000)
PATTERNS = {
    "steady": np.ones(2000),
    "rising": 1 + 0.2 * PLACE,
    "late step": 1 + 0.2 * (PLACE > 0.8),
    "slow start": 1 + 0.5 * (PLACE < 0.1),
    "decaying start": 1 + np.exp(-PLACE / 0.03),
}


def found_in(values: Series) -> set[str]:
    tests = {"trend": trend, "step": step, "start": start}
    return {name for name, test in tests.items() if (c := test(values)).is_significant and abs(c.share) > 0.1}


@pytest.mark.parametrize(
    ("pattern", "test", "is_there"),
    [
        ("steady", "trend", False),
        ("steady", "step", False),
        ("steady", "start", False),
        ("rising", "trend", True),
        ("rising", "start", False),
        ("late step", "step", True),
        ("late step", "start", False),
        ("slow start", "start", True),
        ("decaying start", "start", True),
    ],
)
def test_independent_requests(pattern: str, test: str, is_there: bool) -> None:
    random = np.random.default_rng(0)
    hits = sum(test in found_in(PATTERNS[pattern] * np.exp(0.2 * random.standard_normal(2000))) for _ in range(20))
    assert hits >= 19 if is_there else hits <= 1


def test_the_sign_and_size_of_a_change() -> None:
    noise = np.random.default_rng(0).normal(1, 0.05, 2000)
    assert trend(noise * PATTERNS["rising"]).share == pytest.approx(0.18, abs=0.03)
    assert step(noise * PATTERNS["late step"]).share == pytest.approx(0.19, abs=0.03)
    assert start(noise * (2 - PATTERNS["slow start"])).share == pytest.approx(-0.5, abs=0.03)


def test_a_queue_in_its_steady_state() -> None:
    """At 80 % load and 6 000 requests; without the correlation between blocks, trends alone are found in 3 %."""
    found = [found_in(values) for values in windows(open_queue("constant", 0.8)(600_000, 1), 6000, 100)]
    assert sum(bool(names) for names in found) <= 8


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(79), np.zeros(200), np.ones(200)])
def test_nothing_is_found_in_nothing(values: Series) -> None:
    assert not any(test(values).is_significant for test in (trend, step, start))
    if len(values) < 80:
        assert trend(values) == step(values) == start(values) == NONE
