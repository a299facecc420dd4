"""The model of the batcher: its rule by tables, its figures against formulas and the null server's own queue."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_queue import md1_capacity_per_s, md1_share_over

from toolkit.errors import UsageError
from toolkit.load.queue_model import Queue, finish_times_s
from toolkit.load.slo import slo_from_text
from toolkit.tune.batcher import (
    Stage,
    latencies_s,
    latency_limit_s,
    next_batch,
    percentile_s,
    saturated_per_s,
    sustained_rate_per_s,
)
from toolkit.tune.batcher import finish_times_s as batcher_times_s


def stage(**changes: object) -> Stage:
    return Stage(**({"service": lambda size, busy: 0.010, "max_batch_size": 8} | changes))  # type: ignore[arg-type]


ARRIVALS = [0.000, 0.001, 0.002, 0.003, 0.020, 0.021]


@pytest.mark.parametrize(
    ("settings", "ready_s", "begun"),
    [
        ({}, 0.000, (0.000, 1)),  # nothing waits for company without a delay
        ({}, 0.0025, (0.0025, 3)),  # what came while the instance was busy goes together
        ({"max_batch_size": 2}, 0.010, (0.010, 2)),  # as many as fit
        ({"queue_delay_s": 0.005}, 0.000, (0.005, 4)),  # waits for the delay, and takes who came by then
        ({"queue_delay_s": 0.005, "max_batch_size": 2}, 0.000, (0.001, 2)),  # full before the delay is over
        ({"queue_delay_s": 0.005}, 0.010, (0.010, 4)),  # waited enough already
        ({"queue_delay_s": 0.005, "preferred_batch_sizes": (2,)}, 0.000, (0.001, 2)),  # preferred: at once
        ({"queue_delay_s": 0.005, "preferred_batch_sizes": (2,)}, 0.0025, (0.0025, 2)),  # the largest preferred
        ({"queue_delay_s": 0.005, "preferred_batch_sizes": (2, 3)}, 0.0025, (0.0025, 3)),
        ({"queue_delay_s": 0.005, "preferred_batch_sizes": (2,)}, 0.0055, (0.0055, 4)),  # late: all that wait
        ({"preferred_batch_sizes": (3,)}, 0.0015, (0.0015, 2)),  # no delay, none preferred: what is there
    ],
)
def test_the_rule_of_the_batcher(settings: dict[str, object], ready_s: float, begun: tuple[float, int]) -> None:
    assert next_batch(stage(**settings), ARRIVALS, 0, ready_s) == pytest.approx(begun)


@pytest.mark.parametrize("delay_s", [0.0, 0.002])
@pytest.mark.parametrize("instances", [1, 3])
def test_without_preferred_sizes_it_is_the_queue_of_the_null_server(delay_s: float, instances: int) -> None:
    """Two implementations of one rule, written apart."""
    arrivals = np.cumsum(np.random.default_rng(1).exponential(0.0008, 4000))
    queue = Queue(service_s=0.003, row_s=0.0005, capacity=instances, max_batch_size=8, batch_delay_s=delay_s)
    ours = stage(service=lambda size, busy: 0.003 + 0.0005 * size, instances=instances, queue_delay_s=delay_s)
    assert batcher_times_s(ours, arrivals.tolist()) == pytest.approx(finish_times_s(queue, arrivals), abs=1e-9)


def test_one_instance_without_batches_is_m_d_1() -> None:
    alone = stage(service=lambda size, busy: 0.001, max_batch_size=1)
    arrivals = np.cumsum(np.random.default_rng(0).exponential(1 / 800, 300_000))
    share = float((latencies_s((alone,), arrivals) > 0.005).mean())
    assert share == pytest.approx(md1_share_over(800.0, 0.001, 0.005), rel=0.15)


def test_the_sustained_rate_is_that_of_the_formula() -> None:
    alone = stage(service=lambda size, busy: 0.001, max_batch_size=1)
    found = sustained_rate_per_s((alone,), slo_from_text("p90=5ms"), requests=20_000, spread=0.0)
    assert found == pytest.approx(md1_capacity_per_s(0.001, 0.005, 0.1), rel=0.06)


def test_more_of_everything_that_helps_sustains_more() -> None:
    slo = slo_from_text("p95=60ms")

    def rate(**settings: object) -> float:
        return sustained_rate_per_s((stage(service=lambda size, busy: 0.008 + 0.001 * size, **settings),), slo)

    assert rate(max_batch_size=1) < rate(max_batch_size=8) < rate(max_batch_size=8, instances=2)
    assert rate(queue_delay_s=0.055) < rate(queue_delay_s=0.0), "a delay near the limit leaves no time to serve"
    assert sustained_rate_per_s((stage(service=lambda size, busy: 0.070),), slo) == 0.0


def test_stages_follow_on_each_other_and_the_slowest_binds() -> None:
    fast = stage(service=lambda size, busy: 0.001)
    slow = stage(service=lambda size, busy: 0.010)
    assert saturated_per_s((fast, slow)) == saturated_per_s((slow,)) == pytest.approx(800)
    arrivals = np.array([0.0, 1.0, 2.0])
    assert latencies_s((fast, slow), arrivals) == pytest.approx([0.011] * 3)
    assert percentile_s((fast, slow), 10.0, 0.5) == pytest.approx(0.011, rel=0.2)


def test_busy_neighbours_slow_an_execution_down() -> None:
    shared = stage(service=lambda size, busy: 0.010 * busy, instances=2, max_batch_size=1)
    assert batcher_times_s(shared, [0.0, 0.001, 1.0]) == pytest.approx([0.010, 0.021, 1.010])


@pytest.mark.parametrize(
    "wrong", [{"instances": 0}, {"max_batch_size": 0}, {"preferred_batch_sizes": (9,)}, {"preferred_batch_sizes": (0,)}]
)
def test_a_batcher_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        stage(**wrong)


def test_a_throughput_is_not_to_be_held() -> None:
    with pytest.raises(UsageError, match="throughput"):
        sustained_rate_per_s((stage(),), slo_from_text("throughput=5"))


@pytest.mark.parametrize(
    ("text", "limit_s"),
    [("p99=20ms", 0.020), ("service.mean=5ms", 0.005), ("goodput(latency=30ms)=0.9", 0.030), ("errors=1%", None)],
)
def test_the_limit_of_the_whole_time(text: str, limit_s: float | None) -> None:
    assert latency_limit_s(slo_from_text(text).criteria[0]) == limit_s


def test_a_goodput_is_held_like_the_percentile_that_it_is() -> None:
    alone = stage(service=lambda size, busy: 0.001, max_batch_size=1)
    by_percentile = sustained_rate_per_s((alone,), slo_from_text("p90=5ms"))
    assert sustained_rate_per_s((alone,), slo_from_text("goodput(latency=5ms)=0.9")) == by_percentile
    assert sustained_rate_per_s((alone,), slo_from_text("errors=1%")) > 0.9 * saturated_per_s((alone,))
