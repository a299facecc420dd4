"""The verdict rule: its tables, its rules of composition, and its error rates on simulated queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.load.measurement import Measurement
from toolkit.load.metrics import measurement_from_records
from toolkit.load.outcome import TIMED_OUT
from toolkit.load.pattern import Concurrency
from toolkit.load.request_records import Records
from toolkit.load.slo import slo_from_text
from toolkit.load.statistics import binomial_at_most
from toolkit.load.verdict import CONFIDENCE, Verdict, judge, overall

Make = Callable[..., Records]


def measure(records: Records) -> Measurement:
    return measurement_from_records(records, Concurrency(clients=1))


def judged(slo: str, records: Records) -> Verdict:
    (verdict,) = judge(slo_from_text(slo), measure(records), records)
    return verdict


def with_misses(requests: int, misses: int) -> NDArray[np.float64]:
    """Independent latencies below 10 ms, of which `misses`, spread at random, are 30 ms."""
    random = np.random.default_rng(0)
    latencies = random.uniform(0.005, 0.010, requests)
    latencies[random.choice(requests, misses, replace=False)] = 0.030
    return latencies


@pytest.mark.parametrize(
    ("misses", "needed"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010), (20, 3304), (50, 6898), (100, 12571)]
)
def test_early_stopping_of_loadgen_on_independent_requests(records_of: Make, misses: int, needed: int) -> None:
    """tau of independent requests is estimated at 1 to 1.3: two thirds more pass for sure, one fewer never does."""
    assert judged("p99=20ms", records_of(with_misses(needed - 1, misses))).outcome == "UNDECIDED"
    verdict = judged("p99=20ms", records_of(with_misses(needed * 5 // 3, misses)))
    assert (verdict.outcome, verdict.over_limit, verdict.confidence) == ("PASS", misses, CONFIDENCE)
    assert verdict.samples == needed * 5 // 3 >= verdict.effective_samples >= verdict.samples / 1.6


@pytest.mark.parametrize(
    ("requests", "misses", "outcome"), [(100, 12, "FAIL"), (1000, 40, "FAIL"), (1000, 12, "UNDECIDED")]
)
def test_the_symmetric_rule(records_of: Make, requests: int, misses: int, outcome: str) -> None:
    verdict = judged("p99=20ms", records_of(with_misses(requests, misses)))
    assert verdict.outcome == outcome
    assert verdict.measured == pytest.approx(0.030)
    assert str(misses) in verdict.reason and "20ms" in verdict.reason


def test_an_undecided_verdict_says_how_much_more_it_takes(records_of: Make) -> None:
    verdict = judged("p99=20ms", records_of(with_misses(300, 0)))
    assert (verdict.outcome, verdict.confidence, verdict.high) == ("UNDECIDED", 0.0, None)
    assert "2 times as many would decide" in verdict.reason
    at_the_limit = judged("p99=20ms", records_of(with_misses(3000, 30)))
    assert "too near the limit" in at_the_limit.reason


@pytest.mark.parametrize("failure", [503, TIMED_OUT])
def test_errors_and_time_outs_are_misses(records_of: Make, failure: int) -> None:
    status = np.full(2000, 200)
    assert judged("p99=20ms", records_of([0.01] * 2000, status=status)).outcome == "PASS"
    status[::20] = failure
    verdict = judged("p99=20ms", records_of([0.01] * 2000, status=status))
    assert (verdict.outcome, verdict.over_limit, verdict.measured) == ("FAIL", 100, None)


@pytest.mark.parametrize(
    ("failures", "outcome"), [(0, "PASS"), (200, "FAIL"), (20, "UNDECIDED")]
)  # fmt: skip
def test_error_rate(records_of: Make, failures: int, outcome: str) -> None:
    status = np.full(2000, 200)
    status[np.random.default_rng(0).choice(2000, failures, replace=False)] = 503
    verdict = judged("errors=1%", records_of(np.random.default_rng(1).uniform(0.01, 0.02, 2000), status=status))
    assert (verdict.outcome, verdict.over_limit, verdict.measured) == (outcome, failures, failures / 2000)
    assert verdict.low is not None and verdict.high is not None
    assert verdict.low <= failures / 2000 <= verdict.high


@pytest.mark.parametrize(
    ("slo", "outcome"),
    [
        ("mean=12ms", "PASS"),
        ("mean=8ms", "FAIL"),
        ("mean=10ms", "UNDECIDED"),
        ("service.mean=12ms", "PASS"),
        ("throughput=80", "PASS"),
        ("throughput=120", "FAIL"),
        ("throughput=100", "UNDECIDED"),
    ],
)
def test_means_and_throughput(records_of: Make, slo: str, outcome: str) -> None:
    records = records_of(np.random.default_rng(0).normal(0.010, 0.001, 4000).clip(0.001))
    verdict = judged(slo, records)
    assert verdict.outcome == outcome, verdict.reason
    assert verdict.measured is not None and verdict.low is not None and verdict.high is not None
    assert verdict.low <= verdict.measured <= verdict.high


@pytest.mark.parametrize("slo", ["p99=20ms", "mean=20ms", "throughput=1", "errors=1%"])
def test_too_few_requests(records_of: Make, slo: str) -> None:
    assert judged(slo, records_of([0.01] * 20)).outcome == "UNDECIDED"


def test_a_window_without_requests_decides_nothing(records_of: Make) -> None:
    records = records_of([0.1] * 10, window_s=(5.0, 6.0))
    assert judged("p99=20ms", records).outcome == "INVALID"


def test_warm_up_is_not_judged(records_of: Make) -> None:
    records = records_of([1.0] * 50 + [0.001] * 1000, window_s=(50.0, 51.0))
    assert judged("p99=20ms", records).outcome == "PASS"


def test_an_invalid_measurement_decides_nothing(records_of: Make) -> None:
    slo, latencies = slo_from_text("p99=20ms,mean=1ms"), [0.01] * 2000
    for changes in ({"ended": "interrupted"}, {"ended": "server lost"}, {"client_cpu_ns": 10**11}):
        records = records_of(latencies, **changes)
        verdicts = judge(slo, measure(records), records)
        assert {verdict.outcome for verdict in verdicts} == {"INVALID"}
        assert all(verdict.reason.startswith("the measurement is invalid: ") for verdict in verdicts)
        assert overall(verdicts, measure(records)) == "INVALID"


@pytest.mark.parametrize(
    ("slo", "outcome"),
    [
        ("p99=20ms,throughput=50", "PASS"),
        ("p99=20ms,throughput=50,errors=0.01%", "UNDECIDED"),
        ("p99=20ms,throughput=500,errors=0.01%", "FAIL"),
    ],
)
def test_overall(records_of: Make, slo: str, outcome: str) -> None:
    records = records_of(with_misses(2000, 0))
    verdicts = judge(slo_from_text(slo), measure(records), records)
    assert overall(verdicts, measure(records)) == outcome


def queue(requests: int, load: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Latencies of M/D/1 with service time 1 by Lindley's recursion, started in its steady state."""
    settling = 2000
    steps = 1.0 - random.exponential(1.0 / load, requests + settling)
    walk = np.concatenate(([0.0], np.cumsum(steps[:-1])))
    return (walk - np.minimum.accumulate(walk) + 1.0)[settling:]


def simulated(slo: str, load: float, true_share: float, requests: int, runs: int, make: Make) -> Counter[str]:
    """Outcomes of `slo` ("p99") on queues whose requests exceed the limit with probability `true_share`."""
    random = np.random.default_rng(11)
    known = np.concatenate([queue(500_000, load, random) for _ in range(6)])
    limit = slo_from_text(f"{slo}={np.quantile(known, 1 - true_share):.9f}s")
    valid = measure(make([0.01] * 100))
    outcomes = (judge(limit, valid, make(queue(requests, load, random)))[0].outcome for _ in range(runs))
    return Counter(outcomes)


@pytest.mark.parametrize(
    ("slo", "allowed", "load", "requests"),
    [("p99", 0.01, 0.5, 3000), ("p99", 0.01, 0.8, 3000), ("p99", 0.01, 0.95, 3000), ("p90", 0.1, 0.8, 1000)],
)
def test_errors_at_the_limit_are_no_more_than_stated(
    records_of: Make, slo: str, allowed: float, load: float, requests: int
) -> None:
    found = simulated(slo, load, allowed, requests, 100, records_of)
    assert found["PASS"] <= 100 * (1 - CONFIDENCE) and found["FAIL"] <= 100 * (1 - CONFIDENCE), found


def test_a_true_failure_does_not_pass_on_a_queue(records_of: Make) -> None:
    """Twice the allowed misses at 80 % load: plain counts pass in every fifth run, effective counts never."""
    assert simulated("p99", 0.8, 0.02, 3000, 100, records_of)["PASS"] == 0
    random = np.random.default_rng(5)
    limit = np.quantile(queue(1_000_000, 0.8, random), 0.98)
    misses = [int((queue(3000, 0.8, random) > limit).sum()) for _ in range(200)]
    assert sum(binomial_at_most(t, 3000, 0.01) <= 0.01 for t in misses) > 200 * 0.1


@pytest.mark.parametrize(
    ("load", "true_share", "requests", "outcome"),
    [(0.5, 0.002, 8000, "PASS"), (0.5, 0.03, 8000, "FAIL"), (0.8, 0.06, 8000, "FAIL")],
)
def test_clear_cases_are_decided(records_of: Make, load: float, true_share: float, requests: int, outcome: str) -> None:
    found = simulated("p99", load, true_share, requests, 30, records_of)
    assert found[outcome] >= 24, found


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_errors_of_the_mean_are_no_more_than_stated(records_of: Make, load: float) -> None:
    """The limit is the true mean: 1 + load / (2 (1 - load)) (Pollaczek and Khinchine)."""
    random = np.random.default_rng(2)
    limit = slo_from_text(f"mean={1 + load / (2 * (1 - load)):.9f}s")
    valid = measure(records_of([0.01] * 100))
    found = Counter(judge(limit, valid, records_of(queue(3000, load, random)))[0].outcome for _ in range(100))
    assert found["PASS"] <= 100 * (1 - CONFIDENCE) and found["FAIL"] <= 100 * (1 - CONFIDENCE), found
