"""The Pareto front and the knee, on curves whose shape is known."""

from __future__ import annotations

import pytest

from toolkit.load.measurement import Distribution, Measurement, Quantile
from toolkit.load.pattern import Concurrency
from toolkit.load.slo import slo_from_text
from toolkit.load.verdict import Outcome
from toolkit.report.front import knee, pareto_front
from toolkit.report.front_chart import pareto_chart
from toolkit.tune.decision import Candidate, Point, Trial


def point(clients: int, rate: float, latency_s: float, outcome: Outcome) -> Point:
    found = Quantile(q=0.99, value_s=latency_s, low_s=None, high_s=None)
    latency = Distribution(count=1000, mean_s=latency_s, minimum_s=0.0, maximum_s=latency_s, quantiles=(found,))
    measurement = Measurement(
        load=Concurrency(clients=clients),
        latency=latency,
        service=latency,
        throughput_per_s=rate,
        offered_per_s=None,
        requests=1000,
        errors=(),
        window_s=5.0,
        warmup_discarded=0,
        models=(),
        split=None,
        client=None,
        warnings=(),
    )
    return Point(measurement=measurement, verdicts=(), outcome=outcome)


def trial(name: str, *points: tuple[int, float, float, Outcome]) -> Trial:
    return Trial(candidate=Candidate(name=name, config={}), points=tuple(point(*p) for p in points))


A = trial("a", (1, 100, 0.010, "PASS"), (2, 200, 0.012, "PASS"), (4, 250, 0.030, "FAIL"))
B = trial("b", (1, 90, 0.011, "PASS"), (2, 220, 0.011, "PASS"))


def test_the_front_is_what_nothing_beats() -> None:
    front = [(t.candidate.name, p.measurement.throughput_per_s) for t, p in pareto_front((A, B), 0.99, "Throughput")]
    assert front == [("a", 100), ("b", 220)]


def test_the_chart_draws_the_front_as_steps_and_says_it() -> None:
    chart = pareto_chart((A, B), slo_from_text("p99=20ms"))
    layers = chart.to_dict()["layer"]
    assert layers[0]["mark"]["interpolate"] == "step-before"
    assert "'a' with 1 client, 100 requests/s at 10 ms; 'b' with 2 clients, 220 requests/s" in chart.description


@pytest.mark.parametrize(
    ("latencies_ms", "at"),
    [
        ((10, 11, 12, 14, 60), 400),  # flat, then steep: the last point before it turns
        ((10, 20, 30, 40, 50), None),  # a straight line turns nowhere
        ((10, 50), None),  # two points are no curve
    ],
)
def test_the_knee_is_where_a_curve_turns(latencies_ms: tuple[int, ...], at: int | None) -> None:
    points = tuple((i, 100.0 * i, ms / 1e3, "PASS") for i, ms in enumerate(latencies_ms, 1))
    found = knee(trial("c", *points), 0.99, "Throughput")
    assert (found.measurement.throughput_per_s if found else None) == at
