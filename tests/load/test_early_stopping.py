"""The rule on shares of misses: its tables, what makes it wait, and its margin. Its error rates have their own file."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.load.early_stopping import UNSURE, decide, decided, discounted, requests_needed, tau_of_share


@pytest.mark.parametrize(
    ("misses", "needed"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010), (20, 3304), (50, 6898), (100, 12571)]
)
def test_the_table_of_loadgen(misses: int, needed: int) -> None:
    """What is counted is already discounted: then the rule is LoadGen's to the request."""
    assert decided(needed, misses / needed, 0.01) == "PASS"
    assert decided(needed - 1, misses / (needed - 1), 0.01) == "UNDECIDED"


@pytest.mark.parametrize(
    ("counted", "share", "looks", "outcome"),
    [
        (459, 0.0, 1, "PASS"),
        (459, 0.0, 2, "UNDECIDED"),
        (528, 0.0, 2, "PASS"),
        (100, 0.12, 1, "FAIL"),
        (100, 0.05, 1, "FAIL"),
        (100, 0.05, 10, "UNDECIDED"),
        (1000, 0.01, 1, "UNDECIDED"),
        (0.5, 1.0, 1, "UNDECIDED"),
    ],
)
def test_the_error_probability_is_shared_between_looks(counted: float, share: float, looks: int, outcome: str) -> None:
    assert decided(counted, share, 0.01, looks) == outcome


def test_a_short_window_counts_for_less_than_its_effective_requests() -> None:
    assert discounted(UNSURE) == UNSURE / 2
    assert discounted(1e6) == pytest.approx(1e6, rel=1e-3)


@pytest.mark.parametrize(("allowed", "share"), [(0.01, 0.0), (0.01, 0.002), (0.01, 0.03), (0.1, 0.05), (0.1, 0.2)])
@pytest.mark.parametrize("looks", [1, 8])
def test_requests_needed_decide_and_fewer_do_not(allowed: float, share: float, looks: int) -> None:
    needed = requests_needed(allowed, share, 1.0, looks=looks)
    assert needed is not None
    expected = "PASS" if share < allowed else "FAIL"
    assert decided(discounted(needed), share, allowed, looks) == expected
    assert decided(discounted(needed - 2), share, allowed, looks) == "UNDECIDED"
    ten_times = requests_needed(allowed, share, 10.0, looks=looks)
    assert ten_times == pytest.approx(10 * needed, rel=0.02)


def test_no_number_of_requests_decides_at_the_limit() -> None:
    assert requests_needed(0.01, 0.01) is None


def test_a_burst_of_slow_requests_counts_as_one() -> None:
    """40 misses in one burst of 4 000 requests are no 1 %; spread evenly they are as many as are allowed."""
    values = np.random.default_rng(0).uniform(0.5, 1.0, 4000)
    burst, spread = values.copy(), values.copy()
    burst[2000:2080] = 2.0
    spread[::50] = 2.0
    assert decide(spread, spread > 1.5, 0.01).outcome == "FAIL"
    assert decide(burst, burst > 1.5, 0.01).outcome == "UNDECIDED"


def test_slow_requests_below_the_limit_tell_how_misses_would_cluster() -> None:
    values = np.random.default_rng(0).uniform(0.5, 1.0, 4000)
    values[1000:1100] = values[3000:3100] = 1.2
    nothing = np.zeros(4000, bool)
    assert tau_of_share(values, nothing, 0.01) > 20
    assert tau_of_share(np.random.default_rng(1).permutation(values), nothing, 0.01) < 3


@pytest.mark.parametrize(("limit", "outcome"), [(3.0, "PASS"), (1.35, "UNDECIDED"), (1.2, "UNDECIDED"), (0.4, "FAIL")])
def test_a_drifting_machine_far_from_its_limit(limit: float, outcome: str) -> None:
    """Its level changes by 15 % over the window, so that 2 000 requests count as few; the limit is far away or not."""
    random = np.random.default_rng(0)
    values = (1.0 + 0.15 * np.sin(np.linspace(0, 20, 2000))) * random.uniform(0.9, 1.1, 2000)
    found = decide(values, values > limit, 0.01, limit=limit)
    assert found.outcome == outcome
    assert found.by_margin == (outcome == "PASS")
    if outcome == "PASS":
        assert decide(values, values > limit, 0.01).outcome == "UNDECIDED"


def test_failures_are_beyond_every_margin() -> None:
    values = np.random.default_rng(0).uniform(0.9, 1.1, 2000)
    values[::30] = np.inf
    assert decide(values, values > 100, 0.01, limit=100.0).outcome == "FAIL"
