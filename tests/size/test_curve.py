"""The latency of a rate that was not measured, and how often its interval holds what is then measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from simulated_run import measured, served

from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.queue_model import Queue
from toolkit.load.statistics import binomial_at_least
from toolkit.size.curve import Curve, curve_of
from toolkit.size.queue_fit import chain_of

QUEUES = {
    "one server, constant": Queue(service_s=0.004),
    "one server, exponential": Queue(service_s=0.004, law="exponential"),
    "two servers, bimodal": Queue(service_s=0.005, law="bimodal", capacity=2),
    "batches": Queue(service_s=0.003, row_s=0.0004, max_batch_size=8, batch_delay_s=0.001),
    "batches, exponential, two": Queue(service_s=0.004, row_s=0.0005, max_batch_size=16, capacity=2, law="exponential"),
    "four servers, exponential": Queue(service_s=0.008, capacity=4, law="exponential"),
}
MEASURED, HELD_OUT = (0.3, 0.5, 0.7, 0.85), (0.35, 0.4, 0.45, 0.55, 0.6, 0.65, 0.72, 0.75, 0.78, 0.8, 0.82)
SINGLE = Queue(service_s=0.004, law="exponential")


def at_load(queue: Queue, load: float, seed: int, duration_s: float = 16.0) -> Measurement:
    full = queue.capacity * queue.max_batch_size / (queue.service_s + queue.row_s * queue.max_batch_size)
    rate = RequestRate(rate_per_s=round(load * full, 3), duration_s=duration_s, warmup_s=3.0, seed=seed)
    return measured(queue, rate)[0]


def curve(queue: Queue, loads: tuple[float, ...] = MEASURED, duration_s: float = 16.0) -> Curve:
    points = [at_load(queue, load, 10 + i, duration_s) for i, load in enumerate(loads)]
    return curve_of(points, chain_of(points, served(queue)), 0.99)


def test_the_nominal_95_percent_interval_holds_the_measured_p99_of_66_held_out_points() -> None:
    """At least 90 % must; and it must not be by being wide: half of the intervals end within a factor of two."""
    inside, widths = 0, []
    for queue in QUEUES.values():
        fitted = curve(queue)
        for i, load in enumerate(HELD_OUT):
            held_out = at_load(queue, load, 100 + i)
            predicted = fitted.at(held_out.load.rate_per_s)  # type: ignore[union-attr]
            assert predicted.basis == "interpolated"
            inside += predicted.low <= held_out.latency.at(0.99).value_s <= predicted.high
            widths.append(predicted.high / predicted.value)
    count = len(QUEUES) * len(HELD_OUT)
    assert count >= 60 and inside >= 0.9 * count, f"{inside} of {count}"
    assert sorted(widths)[count // 2] < 2.0


def test_a_share_inside_of_90_percent_would_be_no_accident() -> None:
    """Were only 80 % of intervals right, 60 of 66 inside would come about in 1 of 50 trials at most."""
    assert binomial_at_least(60, 66, 0.8) < 0.02


@pytest.mark.parametrize(("load", "basis"), [(0.5, "measured"), (0.6, "interpolated"), (0.95, "extrapolated")])
def test_every_figure_says_what_it_rests_on(load: float, basis: str) -> None:
    assert curve(SINGLE).at(load * 250).basis == basis


def test_beyond_the_measured_rates_the_interval_grows() -> None:
    fitted = curve(SINGLE)
    edge, beyond = fitted.at(0.85 * 250), fitted.at(0.97 * 250)
    assert beyond.high / beyond.value > edge.high / edge.value


def test_points_that_were_not_sustained_are_left_out() -> None:
    good = [at_load(SINGLE, load, i) for i, load in enumerate((0.4, 0.7))]
    flooded = at_load(SINGLE, 1.6, 9)
    assert flooded.throughput_per_s < 0.95 * (flooded.offered_per_s or 0)
    fitted = curve_of([*good, flooded], chain_of(good, served(SINGLE)), 0.99)
    assert fitted.highest_per_s == pytest.approx(0.7 * 250)


def test_closed_loops_alone_predict_an_open_one_by_their_statistics() -> None:
    """The same statistics under closed loads; the throughput that they achieved bounds what is interpolated."""
    open_point = at_load(SINGLE, 0.6, 3)
    points = [
        replace(
            open_point,
            load=Concurrency(clients=clients),
            offered_per_s=None,
            throughput_per_s=rate,
            latency=replace(
                open_point.latency,
                quantiles=tuple(replace(q, value_s=clients / rate * 2.2) for q in open_point.latency.quantiles),
            ),
        )
        for clients, rate in ((1, 220.0), (4, 245.0))
    ]
    fitted = curve_of(points, chain_of(points, served(SINGLE)), 0.99)
    predicted = fitted.at(150.0)
    assert predicted.basis == "interpolated" and "closed" in predicted.how
    assert predicted.low <= open_point.latency.at(0.99).value_s <= predicted.high


def test_without_statistics_open_points_carry_a_curve_and_closed_ones_do_not() -> None:
    opened = [replace(at_load(SINGLE, load, i), models=(), split=None) for i, load in enumerate((0.4, 0.8))]
    fitted = curve_of(opened, None, 0.99)
    ends = [m.latency.at(0.99).value_s for m in opened]
    assert min(ends) < fitted.at(0.6 * 250).value < max(ends)
    closed = [replace(m, load=Concurrency(clients=2), offered_per_s=None) for m in opened]
    with pytest.raises(UsageError, match="fewer than two open loads"):
        curve_of(closed, None, 0.99)


def test_nothing_valid_is_refused() -> None:
    with pytest.raises(UsageError, match="no valid and sustained"):
        curve_of([replace(at_load(SINGLE, 0.4, 0), interrupted=True)], None, 0.99)
