"""The decision: tables of points in, the chosen candidate, its sentence and the reasons for the others out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolkit.load.measurement import ClientHealth, Distribution, Measurement, Quantile, Warning
from toolkit.load.pattern import Concurrency
from toolkit.load.slo import Criterion, Slo, slo_from_text
from toolkit.load.verdict import Outcome, Verdict
from toolkit.tune.decision import Candidate, Point, Trial, best_point, decide, ranked, rivals_within_noise
from toolkit.tune.words import (
    config_text,
    instance_count,
    interval_text,
    rate_text,
    target_text,
    time_text,
    verdict_text,
)

SLO = slo_from_text("p99=20ms")
TWO = {"digits": {"instance_group": [{"count": 2}]}}
SLOW = Warning(kind="ClientLimited", text="the client was the limit", figure=0.9, threshold=0.7, invalid=True)


def make_verdict(criterion: Criterion, outcome: Outcome, measured: float | None) -> Verdict:
    return Verdict(
        criterion=criterion,
        outcome=outcome,
        measured=measured,
        low=None if measured is None else 0.8 * measured,
        high=None if measured is None else 1.2 * measured,
        samples=1000,
        effective_samples=400,
        over_limit=3,
        confidence=0.99,
        reason="",
    )


def point(clients: int, rate: float, p99_s: float, outcome: Outcome, **changes: Any) -> Point:
    times = Distribution(
        count=1000,
        mean_s=p99_s / 2,
        minimum_s=p99_s / 4,
        maximum_s=2 * p99_s,
        quantiles=(Quantile(q=0.99, value_s=p99_s, low_s=None, high_s=None),),
    )
    figures: dict[str, Any] = {
        "load": Concurrency(clients=clients),
        "latency": times,
        "service": times,
        "throughput_per_s": rate,
        "offered_per_s": None,
        "requests": 1000,
        "errors": (),
        "window_s": 5.0,
        "warmup_discarded": 0,
        "models": (),
        "split": None,
        "client": ClientHealth(cpu_share=0.1, cpu_per_request_s=1e-5),
        "warnings": (SLOW,) if outcome == "INVALID" else (),
    }
    measurement = Measurement(**(figures | changes))
    return Point(measurement=measurement, verdicts=(make_verdict(SLO.criteria[0], outcome, p99_s),), outcome=outcome)


def trial(name: str, *points: Point, config: dict[str, dict[str, Any]] | None = None) -> Trial:
    return Trial(candidate=Candidate(name=name, config=config or {}), points=points)


CHOICES = {
    "the fastest passing point wins, not the fastest point": (
        (
            trial("one", point(1, 100, 0.010, "PASS"), point(2, 150, 0.015, "PASS"), point(4, 900, 0.050, "FAIL")),
            trial("two", point(1, 90, 0.010, "PASS"), point(2, 180, 0.018, "PASS")),
        ),
        ("two", 2, 180),
    ),
    "an undecided point is not passed over for a slower pass, it only does not count": (
        (trial("one", point(1, 100, 0.010, "PASS"), point(8, 500, 0.0201, "UNDECIDED")),),
        ("one", 1, 100),
    ),
    "an invalid point does not count": (
        (trial("one", point(1, 100, 0.010, "PASS"), point(8, 5000, 0.001, "INVALID")),),
        ("one", 1, 100),
    ),
    "a tie goes to the lower tail": (
        (trial("one", point(2, 100, 0.015, "PASS")), trial("two", point(2, 100, 0.012, "PASS"))),
        ("two", 2, 100),
    ),
    "then to fewer instances": (
        (trial("two", point(2, 100, 0.015, "PASS"), config=TWO), trial("one", point(2, 100, 0.015, "PASS"))),
        ("one", 2, 100),
    ),
    "then to the order": (
        (trial("first", point(2, 100, 0.015, "PASS")), trial("second", point(2, 100, 0.015, "PASS"))),
        ("first", 2, 100),
    ),
}


@pytest.mark.parametrize(("trials", "expected"), CHOICES.values(), ids=CHOICES.keys())
def test_choice(trials: tuple[Trial, ...], expected: tuple[str, int, float]) -> None:
    decision = decide(SLO, trials)
    assert decision.outcome == "PASS"
    assert decision.load is not None
    assert (decision.candidate, decision.load.clients, decision.throughput_per_s) == expected
    assert [r.candidate for r in decision.rejected] == [
        t.candidate.name for t in trials if t.candidate.name != decision.candidate
    ]


NEGATIVE = {
    "FAIL": (trial("one", point(1, 40, 0.052, "FAIL")), trial("two", point(1, 30, 0.031, "FAIL"))),
    "UNDECIDED": (trial("one", point(1, 40, 0.052, "FAIL")), trial("two", point(1, 30, 0.0205, "UNDECIDED"))),
    "INVALID": (trial("one", point(1, 40, 0.010, "INVALID")), trial("two")),
}


@pytest.mark.parametrize("outcome", NEGATIVE)
def test_without_a_pass_nothing_is_chosen_and_everything_has_a_reason(outcome: Outcome) -> None:
    decision = decide(SLO, NEGATIVE[outcome])
    assert decision.outcome == outcome
    assert (decision.candidate, decision.load, decision.throughput_per_s) == (None, None, None)
    assert [r.candidate for r in decision.rejected] == ["one", "two"]
    assert all(r.reason for r in decision.rejected)


def test_nothing_measured_is_invalid() -> None:
    decision = decide(SLO, ())
    assert (decision.outcome, decision.rejected) == ("INVALID", ())
    assert decision.sentence == "UNDECIDED: nothing was measured, so nothing can be judged."


SENTENCES = {
    "go": (
        (trial("two", point(8, 1234, 0.0182, "PASS"), config=TWO),),
        "GO: 'two' (2 instances of digits) serves 1,234 requests/s at p99 18.2 ms (limit 20 ms) with 8 clients at once "
        "on this CPU.",
    ),
    "no-go names the nearest": (
        NEGATIVE["FAIL"],
        "NO-GO: no configuration meets p99 ≤ 20 ms on this CPU; the nearest is 'two' (as deployed) with 1 client: p99 "
        "31 ms (limit 20 ms) at 30 requests/s.",
    ),
    "undecided says how much evidence there is": (
        NEGATIVE["UNDECIDED"],
        "UNDECIDED: the measurements do not settle whether any configuration meets p99 ≤ 20 ms on this CPU; the "
        "nearest is 'two' (as deployed) with 1 client: p99 20.5 ms (limit 20 ms) at 30 requests/s, on 400 "
        "effective samples. Measure longer.",
    ),
    "invalid says why": (
        NEGATIVE["INVALID"],
        "UNDECIDED: no measurement is valid, so nothing can be judged. 'one': no valid measurement: the client was the "
        "limit",
    ),
    "a rival within the noise is named": (
        (trial("one", point(2, 100, 0.015, "PASS")), trial("two", point(2, 95, 0.012, "PASS"))),
        "GO: 'one' (as deployed) serves 100 requests/s at p99 15 ms (limit 20 ms) with 2 clients at once on this CPU. "
        "'two' also passes, at a rate that is the same within the noise.",
    ),
}


@pytest.mark.parametrize(("trials", "sentence"), SENTENCES.values(), ids=SENTENCES.keys())
def test_sentence(trials: tuple[Trial, ...], sentence: str) -> None:
    assert decide(SLO, trials, device="CPU").sentence == sentence


def test_the_sentence_names_no_device_that_it_was_not_told() -> None:
    assert "on this" not in decide(SLO, SENTENCES["go"][0]).sentence


REASONS = {
    "slower": (
        trial("other", point(2, 75, 0.012, "PASS")),
        "meets the SLO with 25 % less throughput: 75 requests/s with 2 clients at once, p99 12 ms (limit 20 ms)",
    ),
    "within the noise": (
        trial("other", point(2, 95, 0.012, "PASS")),
        "meets the SLO with 5 % less throughput, which one window does not tell apart (10 %): 95 requests/s with "
        "2 clients at once, p99 12 ms (limit 20 ms)",
    ),
    "as fast": (
        trial("other", point(2, 99.9, 0.016, "PASS")),
        "meets the SLO with the same throughput, which one window does not tell apart (10 %): 99.9 requests/s with "
        "2 clients at once, p99 16 ms (limit 20 ms)",
    ),
    "too slow": (
        trial("other", point(1, 10, 0.025, "FAIL"), point(8, 60, 0.080, "FAIL")),
        "misses the SLO at every load; the nearest: p99 25 ms (limit 20 ms) at 10 requests/s with 1 client",
    ),
    "undecided": (
        trial("other", point(1, 10, 0.0199, "UNDECIDED"), point(8, 60, 0.080, "FAIL")),
        "undecided; the nearest: p99 19.9 ms (limit 20 ms) at 10 requests/s with 1 client, on 400 effective samples",
    ),
    "invalid": (trial("other", point(1, 10, 0.010, "INVALID")), "no valid measurement: the client was the limit"),
    "interrupted": (
        trial("other", point(1, 10, 0.010, "INVALID", interrupted=True)),
        "the measurement was interrupted",
    ),
    "not measured": (trial("other"), "was not measured"),
}


@pytest.mark.parametrize(("other", "reason"), REASONS.values(), ids=REASONS.keys())
def test_reason_of_a_rejection(other: Trial, reason: str) -> None:
    decision = decide(SLO, (trial("best", point(2, 100, 0.015, "PASS")), other))
    assert decision.candidate == "best"
    assert [r.reason for r in decision.rejected] == [reason]


def test_all_criteria_are_in_the_sentence() -> None:
    slo = slo_from_text("p90=5ms,throughput=100,errors=0.1%")
    measured = (0.004, 120.0, 0.0)
    verdicts = tuple(make_verdict(c, "PASS", m) for c, m in zip(slo.criteria, measured, strict=True))
    base = point(2, 120, 0.010, "PASS")
    both = trial("one", Point(measurement=base.measurement, verdicts=verdicts, outcome="PASS"))
    text = "at p90 4 ms (limit 5 ms) and throughput 120/s (at least 100/s) and error rate 0 % (limit 0.1 %) with"
    assert text in decide(slo, (both,)).sentence


def test_the_nearest_is_by_the_worst_criterion() -> None:
    slo = slo_from_text("p99=20ms,throughput=100")

    def failing(name: str, p99_s: float, rate: float) -> Trial:
        verdicts = tuple(make_verdict(c, "FAIL", m) for c, m in zip(slo.criteria, (p99_s, rate), strict=True))
        return trial(
            name, Point(measurement=point(1, rate, p99_s, "FAIL").measurement, verdicts=verdicts, outcome="FAIL")
        )

    leaders = ranked((failing("idle", 0.002, 10), failing("near", 0.024, 90), failing("unmeasured", 0.0, 0.0)))
    assert [t.candidate.name for t, _ in leaders] == ["near", "idle", "unmeasured"]


def test_rivals_are_only_passing_ones() -> None:
    trials = (
        trial("best", point(2, 100, 0.015, "PASS")),
        trial("near", point(2, 91, 0.015, "PASS")),
        trial("far", point(2, 89, 0.015, "PASS")),
        trial("undecided", point(2, 99, 0.020, "UNDECIDED")),
    )
    assert rivals_within_noise(trials) == ("near",)
    assert rivals_within_noise(NEGATIVE["FAIL"]) == ()


def test_best_point_of_a_trial_without_a_valid_one() -> None:
    assert best_point(trial("one", point(1, 10, 0.010, "INVALID"))) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (2.5e-6, "2.5 us"),
        (0.00085, "850 us"),
        (0.0009996, "1 ms"),
        (0.0182, "18.2 ms"),
        (0.02, "20 ms"),
        (0.9994, "999 ms"),
        (1.25, "1.25 s"),
    ],
)
def test_time_text(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize(("rate", "text"), [(0.25, "0.25"), (9.999, "10"), (56.7, "56.7"), (1234.5, "1,234")])
def test_rate_text(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("slo", "target", "measured", "said"),
    [
        ("p99=20ms", "p99 ≤ 20 ms", 0.0182, "p99 18.2 ms (limit 20 ms)"),
        ("latency.mean=5ms", "mean latency ≤ 5 ms", 0.004, "mean latency 4 ms (limit 5 ms)"),
        ("service.p50=900us", "service p50 ≤ 900 us", 0.001, "service p50 1 ms (limit 900 us)"),
        ("throughput=100", "throughput ≥ 100/s", 99.5, "throughput 99.5/s (at least 100/s)"),
        ("errors=0.1%", "error rate ≤ 0.1 %", 0.004, "error rate 0.4 % (limit 0.1 %)"),
        ("p99=20ms", "p99 ≤ 20 ms", None, "p99 not measurable (limit 20 ms)"),
    ],
)
def test_criterion_in_words(slo: str, target: str, measured: float | None, said: str) -> None:
    criterion = Slo(criteria=slo_from_text(slo).criteria).criteria[0]
    assert target_text(criterion) == target
    assert verdict_text(make_verdict(criterion, "PASS", measured)) == said


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.016, 0.024, "16 ms to 24 ms"),
        (0.016, None, "16 ms or more"),
        (None, 0.024, "24 ms or less"),
        (None, None, "too few samples"),
    ],
)
def test_interval_in_words(low: float | None, high: float | None, text: str) -> None:
    verdict = replace(make_verdict(SLO.criteria[0], "PASS", 0.02), low=low, high=high)
    assert interval_text(verdict) == text


@pytest.mark.parametrize(
    ("config", "text", "instances"),
    [
        ({}, "as deployed", 0),
        (TWO, "2 instances of digits", 2),
        ({"digits": {"instance_group": [{"count": 1}, {}]}, "decode": {"instance_group": [{"count": 3}]}},
         "digits: 2 instances; decode: 3 instances", 5),
        ({"digits": {"dynamic_batching": {"max_queue_delay_microseconds": 500}}}, "queue delay 500 us", 0),
        ({"digits": {"dynamic_batching": {}}}, "dynamic batching", 0),
        ({"digits": {"dynamic_batching": {"preferred_batch_size": [4, 8]}}}, "preferred_batch_size 4/8", 0),
        ({"digits": {"parameters": {"intra_op_thread_count": {"string_value": "2"}}}}, "intra_op_thread_count 2", 0),
        ({"digits": {"parameters": {"intra_op_thread_count": 2}}}, "intra_op_thread_count 2", 0),
        ({"digits": {"max_batch_size": 8}}, "max_batch_size 8", 0),
    ],
)  # fmt: skip
def test_configuration_in_words(config: dict[str, dict[str, Any]], text: str, instances: int) -> None:
    assert config_text(config) == text
    assert instance_count(config) == instances
