"""The Pareto front and the choice on it, as tables."""

from __future__ import annotations

import pytest

from toolkit.load.measurement import ClientHealth, Distribution, Measurement, Quantile
from toolkit.load.pattern import Concurrency
from toolkit.load.verdict import Outcome
from toolkit.tune.index_choice import IndexPoint, choose_index, pareto_front


def point(name: str, recall: float, rate: float, outcome: Outcome = "PASS", width: float = 0.0) -> IndexPoint:
    tail = Quantile(q=0.99, value_s=0.004, low_s=None, high_s=None)
    times = Distribution(count=100, mean_s=0.002, minimum_s=0.001, maximum_s=0.005, quantiles=(tail,))
    measurement = Measurement(
        load=Concurrency(clients=8),
        latency=times,
        service=times,
        throughput_per_s=rate,
        offered_per_s=None,
        requests=100,
        errors=(),
        window_s=5.0,
        warmup_discarded=0,
        models=(),
        split=None,
        client=ClientHealth(cpu_share=0.1, cpu_per_request_s=1e-5),
        warnings=(),
    )
    return IndexPoint(
        index=name,
        effort_name="",
        effort=0,
        k=10,
        recall=recall,
        recall_low=recall - width,
        recall_high=recall + width,
        measurement=measurement,
        verdicts=(),
        outcome=outcome,
        in_process_per_s=1000.0,
        in_process_p99_s=0.001,
        build_s=1.0,
        index_bytes=1,
    )


POINTS = (
    point("flat", 1.0, 100),
    point("slow", 0.99, 90),
    point("good", 0.99, 500),
    point("same", 0.99, 500),
    point("fast", 0.80, 900),
    point("broken", 1.0, 9000, "INVALID"),
)


def test_the_front_holds_what_nothing_beats() -> None:
    assert [p.index for p in pareto_front(POINTS)] == ["fast", "good", "same", "flat"]
    assert pareto_front(()) == ()


@pytest.mark.parametrize(
    ("recall", "chosen"), [(0.5, "fast"), (0.8, "fast"), (0.95, "good"), (0.999, "flat"), (1.0, "flat")]
)
def test_the_fastest_with_the_recall_asked_for(recall: float, chosen: str) -> None:
    found, sentence = choose_index(POINTS, recall, has_slo=False)
    assert found is not None and found.index == chosen
    assert f"(asked: {recall:g})" in sentence and "p99 4ms" in sentence


def test_recall_must_be_sure() -> None:
    found, sentence = choose_index((point("a", 0.96, 100, width=0.02),), 0.95, has_slo=False)
    assert found is None and "the nearest, a, finds 0.9600" in sentence


def test_the_objective_must_be_shown() -> None:
    points = (point("a", 0.99, 100, "UNDECIDED"), point("b", 0.99, 50, "FAIL"))
    found, sentence = choose_index(points, 0.95, has_slo=True)
    assert found is None and "none is shown to meet the SLO (FAIL, UNDECIDED)" in sentence
    assert choose_index(points, 0.95, has_slo=False)[0] is points[0]


def test_without_points() -> None:
    assert choose_index((), 0.9, has_slo=False)[0] is None
