"""The verdict: its tables and its rules of composition. Its error rates have a file of their own."""

from __future__ import annotations

import dataclasses
import math
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
    """tau of independent requests is estimated at 1 to 3: four times as many pass for sure, one fewer never does."""
    assert judged("p99=10.05ms", records_of(with_misses(needed - 1, misses))).outcome == "UNDECIDED"
    verdict = judged("p99=10.05ms", records_of(with_misses(4 * needed, misses)))
    assert (verdict.outcome, verdict.over_limit, verdict.confidence) == ("PASS", misses, CONFIDENCE)
    assert verdict.samples == 4 * needed >= verdict.effective_samples >= verdict.samples / 3.5


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
    times = float(verdict.reason.rpartition("about ")[2].split()[0])
    assert 1.5 < times < 3
    assert judged("p99=20ms", records_of(with_misses(math.ceil(1.5 * times * 300), 0))).outcome == "PASS"
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


def test_more_looks_ask_for_more(records_of: Make) -> None:
    records = records_of(np.random.default_rng(0).exponential(0.01, 3000))
    for slo in ("p99=60ms", "errors=0.4%", "mean=11.3ms", "throughput=90"):
        outcomes = [judge(slo_from_text(slo), measure(records), records, looks=n)[0].outcome for n in (1, 10_000)]
        assert outcomes == ["PASS", "UNDECIDED"], slo


@pytest.mark.parametrize(
    ("late", "failed", "outcome"), [(20, 10, "PASS"), (300, 10, "FAIL"), (20, 280, "FAIL"), (100, 50, "UNDECIDED")]
)
def test_goodput_counts_failures_and_late_requests(records_of: Make, late: int, failed: int, outcome: str) -> None:
    random = np.random.default_rng(0)
    chosen = random.choice(3000, late + failed, replace=False)
    latencies, status = random.uniform(0.005, 0.010, 3000), np.full(3000, 200)
    latencies[chosen[:late]], status[chosen[late:]] = 0.030, 503
    verdict = judged("goodput(latency=20ms,service=25ms)=0.95", records_of(latencies, status=status))
    assert (verdict.outcome, verdict.over_limit) == (outcome, late + failed)
    assert verdict.measured == pytest.approx(1 - (late + failed) / 3000)
    assert verdict.low is not None and verdict.high is not None and verdict.low < verdict.measured < verdict.high
    assert "latency 20ms" in verdict.reason and "service 25ms" in verdict.reason


@pytest.mark.parametrize(
    ("slo", "outcome"),
    [
        ("ttft.p99=5ms", "PASS"),
        ("ttft.p90=2ms", "FAIL"),
        ("tpot.mean=3ms", "PASS"),
        ("tpot.p90=1ms", "FAIL"),
        ("goodput(ttft=5ms,tpot=3ms)=95%", "PASS"),
        ("goodput(ttft=5ms,tpot=1ms)=95%", "FAIL"),
    ],
)
def test_times_of_streamed_answers(records_of: Make, slo: str, outcome: str) -> None:
    """Five responses each: the first after 3 ms, then one every 2 ms or so."""
    random = np.random.default_rng(0)
    records = records_of(np.full(2000, 0.02))
    after_ns = 1_000_000 * (3 + 2 * np.arange(5) + random.uniform(0, 0.3, (2000, 5)))
    streamed = dataclasses.replace(
        records,
        responses=np.full(2000, 5, np.int32),
        response_ns=(records.intended_ns[:, None] + after_ns).astype(np.int64).ravel(),
    )
    assert judged(slo, streamed).outcome == outcome
    plain = judged(slo, records)
    assert plain.outcome == "UNDECIDED" and "not streamed" in plain.reason


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
