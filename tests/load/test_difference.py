"""Differences: their arithmetic, their words and gates, and how often queues that do not differ seem to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.load.difference import (
    METRICS,
    Difference,
    difference_of_pairs,
    differences_of_records,
    differences_of_rounds,
    sentence,
    student_t,
)
from toolkit.load.gate import Gate, GateOutcome, gate_from_text, judge_gate
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import Concurrency, RequestRate, arrivals_s
from toolkit.load.queue_model import Queue, finish_times_s
from toolkit.load.request_records import Records
from toolkit.load.statistics import binomial_at_most, quantile

Make = Callable[..., Records]
CLOSED = Concurrency(clients=1)


def difference(low: float | None, high: float | None, metric: str = "p99") -> Difference:
    change = 0.041 if low is None or high is None else (low + high) / 2
    return Difference(
        metric=metric, a=1.0, b=1.0 + change, change=change, low=low, high=high, method="rounds", why="few"
    )


def latencies_s(rho: float, seconds: float, seed: int, slower: float = 1.0) -> tuple[RequestRate, NDArray[np.float64]]:
    """An M/M/1 queue of 250 requests/s at load `rho`: the load, and every latency in the order of the arrivals."""
    load = RequestRate(rate_per_s=rho * 250, duration_s=seconds, warmup_s=0.0, seed=seed)
    arrivals = arrivals_s(load)
    queue = Queue(service_s=0.004 * slower, law="exponential", seed=seed + 500_000)
    return load, finish_times_s(queue, arrivals) - arrivals


def records(rho: float, seconds: float, seed: int, slower: float = 1.0) -> Records:
    load, times = latencies_s(rho, seconds, seed, slower)
    sent = np.round(arrivals_s(load) * 1e9).astype(np.int64)
    done = sent + np.round(times * 1e9).astype(np.int64)
    return Records(
        intended_ns=sent,
        sent_ns=sent,
        first_ns=done,
        done_ns=done,
        status=np.full(len(sent), 200, np.int16),
        payload=np.zeros(len(sent), np.int32),
        window_start_ns=0,
        window_end_ns=int(seconds * 1e9),
        client_cpu_ns=0,
    )


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_rounds_that_all_say_the_same_leave_no_doubt() -> None:
    found = difference_of_pairs("p99", [1.0, 2.0, 4.0], [1.1, 2.2, 4.4])
    assert (found.change, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert (found.a, found.b, found.rounds) == pytest.approx((2.0, 2.2, 3))


def test_drift_that_both_sides_share_cancels() -> None:
    drift = np.array([1.0, 1.5, 2.5, 1.2, 0.8, 1.1])
    noise = np.array([1.01, 0.99, 1.0, 1.02, 0.98, 1.0])
    found = difference_of_pairs("p50", drift.tolist(), (1.05 * drift * noise).tolist())
    assert found.low is not None and found.high is not None
    assert 0 < found.low < 0.05 < found.high < 0.08


def test_the_interval_is_students_t_on_the_logarithms() -> None:
    ratios = np.array([1.02, 1.06, 1.04, 1.08])
    found = difference_of_pairs("mean", [1.0] * 4, ratios.tolist())
    half = 3.182 * np.log(ratios).std(ddof=1) / 2
    assert found.low == pytest.approx(np.expm1(np.log(ratios).mean() - half))
    assert [student_t(n) for n in (1, 2, 30, 31, 1000)] == [12.706, 4.303, 2.042, 1.96, 1.96]


def test_two_rounds_have_no_interval_and_say_what_it_takes() -> None:
    found = difference_of_pairs("p99", [1.0, 1.0], [2.0, 2.1])
    assert (found.low, found.high, found.is_shown) == (None, None, False)
    assert "needs 3" in found.why


def test_every_metric_is_compared(records_of: Make) -> None:
    pairs = [
        tuple(measurement_from_records(records_of(scale * x), CLOSED) for scale in (1.0, 1.25))
        for x in np.random.default_rng(0).uniform(0.004, 0.006, (4, 500))
    ]
    found = {d.metric: d for d in differences_of_rounds(pairs)}  # type: ignore[arg-type]
    assert list(found) == list(METRICS)
    assert found["p99"].change == pytest.approx(0.25, abs=1e-6)
    assert found["throughput"].change == pytest.approx(-0.2, abs=0.01)
    assert all(d.is_shown for d in found.values())


def test_without_single_requests_there_is_no_interval(records_of: Make) -> None:
    one = records_of(np.full(500, 0.01))
    m = measurement_from_records(one, CLOSED)
    found = differences_of_records(m, one, m, None)
    assert {d.metric for d in found} == set(METRICS)
    assert all(d.low is None and "single requests" in d.why for d in found)


def test_too_few_requests_have_no_interval_of_their_p99(records_of: Make) -> None:
    one = records_of(np.random.default_rng(0).uniform(0.004, 0.006, 200))
    m = measurement_from_records(one, CLOSED)
    found = {d.metric: d for d in differences_of_records(m, one, m, one)}
    assert found["p99"].low is None
    assert "too few" in found["p99"].why
    assert found["p50"].low is not None


# --- error rates, simulated -------------------------------------------------------------------------------------------


def may_be_five_percent(alarms: int, runs: int) -> bool:
    """Whether so many false alarms come up in at least one of a thousand series when one run in twenty errs."""
    return 1 - binomial_at_most(alarms - 1, runs, 0.05) > 0.001


@pytest.mark.parametrize(("rho", "seconds"), [(0.5, 4.0), (0.8, 5.0)])
def test_rounds_of_equal_queues_seem_to_differ_in_one_of_twenty(rho: float, seconds: float) -> None:
    runs, rounds, alarms = 150, 6, dict.fromkeys(("p50", "p99"), 0)
    for run in range(runs):
        figures: dict[str, list[list[float]]] = {metric: [[], []] for metric in alarms}
        for side in range(2 * rounds):
            times = np.sort(latencies_s(rho, seconds, 1 + run * 2 * rounds + side)[1])
            for metric, q in (("p50", 0.5), ("p99", 0.99)):
                figures[metric][side % 2].append(quantile(times, q))
        for metric, (a, b) in figures.items():
            alarms[metric] += difference_of_pairs(metric, a, b).is_shown
    assert all(may_be_five_percent(n, runs) for n in alarms.values()), alarms


def false_alarms(runs: int, rho: float, seconds: float) -> tuple[dict[str, int], dict[str, int]]:
    alarms, judged = dict.fromkeys(METRICS, 0), dict.fromkeys(METRICS, 0)
    for run in range(runs):
        a, b = records(rho, seconds, 2 * run), records(rho, seconds, 2 * run + 1)
        sides = [measurement_from_records(side, CLOSED) for side in (a, b)]
        for found in differences_of_records(sides[0], a, sides[1], b):
            judged[found.metric] += found.low is not None
            alarms[found.metric] += found.is_shown
    return alarms, judged


def test_windows_of_equal_queues_seem_to_differ_in_one_of_twenty() -> None:
    alarms, judged = false_alarms(12, 0.5, 8.0)
    assert all(may_be_five_percent(alarms[m], judged[m]) for m in METRICS if judged[m]), (alarms, judged)
    assert judged["p50"] >= 6


@pytest.mark.slow
@pytest.mark.parametrize(("rho", "seconds"), [(0.5, 16.0), (0.8, 50.0)])
def test_many_windows_of_equal_queues_seem_to_differ_in_one_of_twenty(rho: float, seconds: float) -> None:
    alarms, judged = false_alarms(150, rho, seconds)
    assert all(may_be_five_percent(alarms[m], judged[m]) for m in METRICS if judged[m]), (alarms, judged)


def test_a_difference_that_is_there_is_found() -> None:
    a, b = records(0.3, 60.0, 1), records(0.3, 60.0, 2, slower=1.2)
    sides = [measurement_from_records(side, CLOSED) for side in (a, b)]
    found = {d.metric: d for d in differences_of_records(sides[0], a, sides[1], b)}
    mean = found["mean"]
    assert mean.low is not None and mean.high is not None
    true = (0.0048 / (1 - 0.36)) / (0.004 / (1 - 0.3)) - 1
    assert mean.is_shown
    assert mean.low < true < mean.high


# --- words and gates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (difference(0.019, 0.063), "B is 4.1 % [1.9, 6.3] slower at p99"),
        (difference(-0.063, -0.019), "B is 4.1 % [1.9, 6.3] faster at p99"),
        (difference(-0.063, -0.019, "throughput"), "B is 4.1 % [1.9, 6.3] lower in throughput"),
        (difference(0.019, 0.063, "throughput"), "B is 4.1 % [1.9, 6.3] higher in throughput"),
        (
            difference(-0.01, 0.03, "mean"),
            "no difference shown in the mean: +1.0 % [-1.0, +3.0]; one of more than 3.0 % is ruled out",
        ),
        (difference(None, None), "B differs from A by +4.1% at p99, without an interval: few"),
    ],
)
def test_words(found: Difference, words: str) -> None:
    assert sentence(found) == words


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("p99:+3%", Gate(metric="p99", limit=0.03)),
        ("latency.p99:3%", Gate(metric="p99", limit=0.03)),
        ("throughput:-2%", Gate(metric="throughput", limit=-0.02)),
        ("mean: +0.5%", Gate(metric="mean", limit=0.005)),
    ],
)
def test_gates_as_typed(text: str, gate: Gate) -> None:
    assert gate_from_text(text) == gate


@pytest.mark.parametrize("text", ["p99", "p99:+3", "p98:+3%", ":3%", "p99:x%", "p99:nan%", ""])
def test_gates_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError, match="--gate"):
        gate_from_text(text)


@pytest.mark.parametrize(
    ("gate", "low", "high", "outcome"),
    [
        ("p99:+3%", -0.01, 0.02, "PASS"),
        ("p99:+3%", 0.01, 0.05, "UNDECIDED"),
        ("p99:+3%", 0.04, 0.09, "FAIL"),
        ("p99:-5%", -0.09, -0.06, "PASS"),
        ("throughput:-2%", -0.01, 0.01, "PASS"),
        ("throughput:-2%", -0.03, 0.01, "UNDECIDED"),
        ("throughput:-2%", -0.09, -0.03, "FAIL"),
        ("throughput:+10%", 0.02, 0.05, "FAIL"),
        ("p99:+3%", None, None, "UNDECIDED"),
    ],
)
def test_gates(gate: str, low: float | None, high: float | None, outcome: GateOutcome) -> None:
    asked = gate_from_text(gate)
    assert judge_gate(asked, difference(low, high, asked.metric)) == outcome
