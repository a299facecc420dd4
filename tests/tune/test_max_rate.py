"""The search for the highest rate: on queues of known capacity its interval holds the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from simulated_queue import Case, capacity_per_s, md1_capacity_per_s, measure_on, search

from toolkit.errors import UsageError
from toolkit.load.queue_model import Queue
from toolkit.load.slo import slo_from_text
from toolkit.records import from_data, to_data
from toolkit.tune.max_rate import MaxRate, least_budget_s, max_rate
from toolkit.tune.max_rate_fit import Bound
from toolkit.tune.max_rate_probe import Observation

Measure = Callable[[float, float, float], Observation]
FAST = Case(Queue(service_s=0.001), "p99=20ms")
SEEDS = 40
#: P(Binomial(40, 0.95) < 34) is under 1 %.
LEAST_OF_40 = 34


def holds(answer: MaxRate, capacity: float) -> bool:
    return answer.low is not None and answer.high is not None and answer.low <= capacity <= answer.high


def test_the_two_ways_to_the_true_capacity_agree() -> None:
    by_formula = md1_capacity_per_s(0.001, 0.020, 0.01)
    assert by_formula == pytest.approx(885.6, abs=0.1)
    assert capacity_per_s(FAST, 1_000_000) == pytest.approx(by_formula, rel=0.01)


def test_the_interval_holds_the_true_capacity() -> None:
    capacity = md1_capacity_per_s(0.001, 0.020, 0.01)
    answers = [search(FAST, seed, 40.0) for seed in range(SEEDS)]
    assert sum(holds(answer, capacity) for answer in answers) >= LEAST_OF_40
    found = [answer.rate_per_s for answer in answers if answer.outcome == "PASS" and answer.rate_per_s]
    assert len(found) >= SEEDS / 4
    assert all(rate == pytest.approx(capacity, rel=0.08) for rate in found)
    assert all(0.8 * 40 <= answer.spent_s <= 1.1 * 40 for answer in answers)


@pytest.mark.parametrize(
    "case",
    [
        Case(Queue(service_s=0.001), "mean=4ms"),
        Case(Queue(service_s=0.001, law="exponential"), "p90=10ms"),
    ],
    ids=["mean", "exponential"],
)
def test_other_queues_and_criteria(case: Case) -> None:
    capacity = capacity_per_s(case, 1_000_000)
    answers = [search(case, seed, 20.0) for seed in range(4)]
    assert sum(holds(answer, capacity) for answer in answers) >= 3
    assert all(answer.rate_per_s == pytest.approx(capacity, rel=0.10) for answer in answers)


def test_a_larger_budget_gives_a_narrower_interval_and_the_same_seed_the_same_answer() -> None:
    case = replace(FAST, slo="p90=10ms")
    short, long = search(case, 1, 10.0), search(case, 1, 80.0)
    assert all(answer.low and answer.high for answer in (short, long))
    assert (long.high or 0) - (long.low or 0) < (short.high or 0) - (short.low or 0)
    assert search(case, 1, 10.0) == short
    assert from_data(MaxRate, to_data(short), "max_rate.json") == short


def test_a_budget_that_cannot_decide_is_refused_beforehand_and_its_time_decides_no_less() -> None:
    said: list[str] = []
    slo = slo_from_text("p99.9=20ms")
    answer = max_rate(_never, slo, first_per_s=10.0, budget_s=60.0, progress=said.append)
    assert (answer.outcome, answer.probes, answer.rate_per_s) == ("UNDECIDED", (), None)
    assert answer.seconds_needed == pytest.approx(737.4, abs=1)
    assert "too few to decide" in said[0] and "12m" in answer.sentence


@pytest.mark.parametrize(("share", "requests"), [(0.1, 71), (0.01, 735), (0.001, 7374)])
def test_the_least_budget(share: float, requests: int) -> None:
    """Twice the smallest n with 97.5 % confidence on a zero: David and Nagaraja's 368 for a p99, less the last one."""
    assert least_budget_s((Bound(limit=share, is_share=True),), 1.0) == pytest.approx(requests, rel=0.02)


def test_an_interval_that_stays_wide_is_undecided_with_the_time_that_would_decide() -> None:
    slow = Case(Queue(service_s=0.020), "p99=100ms")
    answer = search(slow, 0, 40.0)
    assert answer.outcome == "UNDECIDED"
    assert answer.seconds_needed is not None and answer.seconds_needed > 40
    assert "give it a budget of about" in answer.sentence


def test_no_rate_holds_an_slo_below_the_service_time() -> None:
    answer = search(Case(Queue(service_s=0.010), "p99=8ms"), 0, 60.0)
    assert (answer.outcome, answer.rate_per_s, answer.low) == ("FAIL", None, None)
    assert answer.sentence.startswith("No rate holds p99 ≤ 8 ms") and "100 % of the requests miss it" in answer.sentence
    assert answer.spent_s < 60


def test_an_slo_that_holds_up_to_the_highest_rate_asked_for() -> None:
    answer = max_rate(measure_on(FAST, 0), slo_from_text(FAST.slo), first_per_s=300.0, budget_s=60.0, to_per_s=400.0)
    assert (answer.outcome, answer.rate_per_s, answer.low, answer.high) == ("PASS", 400.0, 400.0, None)
    assert max(probe.rate_per_s for probe in answer.probes) == 400.0
    assert answer.spent_s < 60


def test_rates_outside_the_range_are_not_driven() -> None:
    answer = max_rate(
        measure_on(FAST, 0), slo_from_text(FAST.slo), first_per_s=950.0, budget_s=60.0, from_per_s=920.0, to_per_s=980.0
    )
    assert all(920.0 <= probe.rate_per_s <= 980.0 for probe in answer.probes)
    assert answer.outcome in ("FAIL", "UNDECIDED")


def test_a_spoiled_probe_ends_the_search() -> None:
    measure, slo = measure_on(FAST, 0), slo_from_text(FAST.slo)

    def limited(rate_per_s: float, warmup_s: float, duration_s: float) -> Observation:
        seen = measure(rate_per_s, warmup_s, duration_s)
        return replace(seen, spoiled="the client is the limit") if rate_per_s > 700 else seen

    answer = max_rate(limited, slo, first_per_s=600.0, budget_s=60.0)
    assert (answer.outcome, answer.rate_per_s, len(answer.probes)) == ("UNDECIDED", None, 1)
    assert "requests/s: the client is the limit" in answer.sentence


def test_of_two_criteria_the_one_that_binds_is_the_answer() -> None:
    alone, loose = search(FAST, 3, 60.0), slo_from_text("p99=20ms,errors=5%")
    measure = measure_on(FAST, 3)

    def both(rate_per_s: float, warmup_s: float, duration_s: float) -> Observation:
        seen = measure(rate_per_s, warmup_s, duration_s)
        return replace(seen, seen=(*seen.seen, replace(seen.seen[0], mean=0.0)))

    answer = max_rate(both, loose, first_per_s=600.0, budget_s=60.0)
    assert {probe.criterion for probe in answer.probes if probe.measured} == {"p99"}
    assert alone.rate_per_s and answer.rate_per_s == pytest.approx(alone.rate_per_s, rel=0.05)


def test_a_throughput_is_not_a_limit_to_hold() -> None:
    with pytest.raises(UsageError, match="which is what max-rate looks for"):
        max_rate(_never, slo_from_text("p99=20ms,throughput=100"), first_per_s=10.0, budget_s=60.0)


def _never(rate_per_s: float, warmup_s: float, duration_s: float) -> Observation:
    raise AssertionError("nothing is to be measured")
