"""The queue of known behaviour against the laws of queueing theory, and its rules one by one as tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.load.pattern import RequestRate, arrivals_s
from toolkit.load.queue_model import BIMODAL_LONG, BIMODAL_SHARE, BIMODAL_SHORT, Law, Queue, QueueModel, finish_times_s

SERVICE_S = 0.001
SECOND_MOMENT = {  # E[S^2] / E[S]^2
    "constant": 1.0,
    "exponential": 2.0,
    "bimodal": BIMODAL_SHARE * BIMODAL_SHORT**2 + (1 - BIMODAL_SHARE) * BIMODAL_LONG**2,
}


def poisson_s(load: float, count: int, seed: int = 1) -> NDArray[np.float64]:
    rate = load / SERVICE_S
    return arrivals_s(RequestRate(rate_per_s=rate, duration_s=count / rate, warmup_s=0.0, seed=seed))


@pytest.mark.parametrize("load", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("law", ["constant", "exponential", "bimodal"])
def test_mean_wait_is_that_of_pollaczek_and_khinchine(law: Law, load: float) -> None:
    """M/D/1, M/M/1, M/G/1: the mean wait is load / (1 - load) * E[S^2] / (2 E[S])."""
    arrivals = poisson_s(load, 400_000)
    waits = finish_times_s(Queue(service_s=SERVICE_S, law=law), arrivals) - arrivals - SERVICE_S
    expected = load / (1 - load) * SECOND_MOMENT[law] * SERVICE_S / 2
    assert waits.mean() == pytest.approx(expected, rel=0.05)


def test_sojourn_of_m_m_1_is_exponential() -> None:
    arrivals = poisson_s(0.5, 400_000)
    sojourn = finish_times_s(Queue(service_s=SERVICE_S, law="exponential"), arrivals) - arrivals
    mean_s = SERVICE_S / (1 - 0.5)
    for q in (0.5, 0.9, 0.99):
        assert np.quantile(sojourn, q) == pytest.approx(-mean_s * np.log(1 - q), rel=0.05)


@pytest.mark.parametrize("law", ["constant", "exponential", "bimodal"])
def test_event_by_event_is_lindleys_recursion(law: Law) -> None:
    """A stall that comes too late to matter takes the same queue the other way."""
    arrivals, queue = poisson_s(0.9, 20_000), Queue(service_s=SERVICE_S, row_s=1e-4, law=law, seed=3)
    late = replace(queue, stall_at_s=1e9, stall_s=1.0)
    np.testing.assert_allclose(finish_times_s(late, arrivals), finish_times_s(queue, arrivals), rtol=0, atol=1e-9)


def test_several_servers_are_kiefer_and_wolfowitz() -> None:
    arrivals, queue = poisson_s(2.5, 5_000), Queue(service_s=SERVICE_S, capacity=3)
    free, expected = np.zeros(3), []
    for arrival in arrivals:
        first = int(free.argmin())
        free[first] = max(arrival, free[first]) + SERVICE_S
        expected.append(free[first])
    np.testing.assert_allclose(finish_times_s(queue, arrivals), expected)


BATCHES = [
    # what, queue, arrivals, finish
    ("one alone waits for the delay", Queue(service_s=1, max_batch_size=4, batch_delay_s=0.5), [0], [1.5]),
    ("a full batch begins at once", Queue(service_s=1, max_batch_size=2, batch_delay_s=0.5), [0, 0.2], [1.2, 1.2]),
    ("who comes in the delay joins", Queue(service_s=1, max_batch_size=4, batch_delay_s=0.5), [0, 0.4], [1.5, 1.5]),
    ("who comes after it does not", Queue(service_s=1, max_batch_size=4, batch_delay_s=0.5), [0, 0.6], [1.5, 2.5]),
    ("without a delay none waits", Queue(service_s=1, max_batch_size=4), [0, 0.1, 0.2], [1, 2, 2]),
    ("a busy server fills its batch", Queue(service_s=1, max_batch_size=2), [0, 0.1, 0.2, 0.3], [1, 2, 2, 3]),
    ("each row adds its time", Queue(service_s=1, row_s=0.1, max_batch_size=2), [0, 0.1, 0.2], [1.1, 2.3, 2.3]),
    ("two servers take two batches", Queue(service_s=1, capacity=2, max_batch_size=2), [0, 0.1, 0.2], [1, 1.1, 2]),
    ("refused beyond the limit", Queue(service_s=1, max_queue_size=1), [0, 0.1, 0.2, 1.5], [1, 2, np.nan, 3]),
    (
        "refused beyond the limit of a batcher",
        Queue(service_s=1, max_batch_size=2, max_queue_size=2),
        [0, 0.1, 0.2, 0.3, 1.5],
        [1, 2, 2, np.nan, 3],
    ),
    ("running is not waiting", Queue(service_s=1, capacity=2, max_queue_size=1), [0, 0, 0, 0], [1, 1, 2, np.nan]),
]


@pytest.mark.parametrize("queue, arrivals, finish", [row[1:] for row in BATCHES], ids=[row[0] for row in BATCHES])
def test_rules(queue: Queue, arrivals: list[float], finish: list[float]) -> None:
    np.testing.assert_allclose(finish_times_s(queue, np.asarray(arrivals, dtype=float)), finish)


STALLS = [
    # arrival (the first is at 10, the stall from 15 to 16), finish; one server of 0.4 s
    ("before", 14.0, 14.4),
    ("ends as the stall begins", 14.6, 15.0),
    ("met in the middle", 14.8, 16.2),
    ("comes in the stall", 15.5, 16.4),
    ("after", 16.1, 16.5),
]


@pytest.mark.parametrize("arrival, finish", [row[1:] for row in STALLS], ids=[row[0] for row in STALLS])
def test_stall_counts_from_the_first_arrival(arrival: float, finish: float) -> None:
    queue = Queue(service_s=0.4, stall_at_s=5.0, stall_s=1.0)
    assert finish_times_s(queue, np.array([10.0, arrival]))[1] == pytest.approx(finish)


def test_next_event_is_when_something_happens() -> None:
    model = QueueModel(Queue(service_s=1.0, max_batch_size=2, batch_delay_s=0.5))
    assert model.next_event_s() == np.inf
    assert model.arrive(7, 3.0)
    assert model.next_event_s() == 3.5
    assert model.advance(3.5) == []
    assert model.next_event_s() == 4.5
    assert model.advance(4.5) == [(7, 4.5)]
    assert model.next_event_s() == np.inf


def test_counts_are_of_what_was_told() -> None:
    model = QueueModel(Queue(service_s=1.0, max_batch_size=2))
    for request, arrival in enumerate([0.0, 0.5, 0.5]):
        model.arrive(request, arrival)
    model.advance(1.5)
    assert dict(model.executions) == {1: 1} and model.queue_s == 0.0 and model.execution_s == 1.0
    model.advance(2.0)
    assert dict(model.executions) == {1: 1, 2: 1} and dict(model.batch_s) == {1: 1.0, 2: 1.0}
    assert model.queue_s == 1.0 and model.execution_s == 3.0


def test_a_long_queue_costs_no_more_per_request() -> None:
    """Ten times the requests of an overload without end, batches too: the steps of the model grow by ten, not more."""
    queue = Queue(service_s=1.0, max_batch_size=4)
    finish = finish_times_s(queue, np.arange(100_000) * 1e-6)
    assert finish[-1] == pytest.approx(25_001, abs=1)


@pytest.mark.parametrize(
    "field, value", [("capacity", 0), ("max_batch_size", 0), ("service_s", -1.0), ("row_s", np.nan)]
)
def test_a_queue_that_cannot_be(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"Queue.{field} is"):
        replace(Queue(), **{field: value})


@pytest.mark.parametrize("spacing", ["drawn", "many at one moment"])
def test_batch_by_batch_comes_to_what_event_by_event_does(spacing: str) -> None:
    draw = np.random.default_rng(3)
    for seed in range(300):
        queue = Queue(
            service_s=float(draw.choice([0.0, 0.5, draw.random()])),
            row_s=float(draw.choice([0.0, 0.25, draw.random() / 10])),
            law=("constant", "exponential", "bimodal")[seed % 3],
            capacity=int(draw.integers(1, 5)),
            max_batch_size=int(draw.integers(1, 7)),
            batch_delay_s=float(draw.choice([0.0, 0.5, draw.random()])),
            seed=seed,
        )
        count = int(draw.integers(0, 60))
        moments = 10 * draw.random(count) if spacing == "drawn" else draw.integers(0, 20, count) / 2
        arrivals = np.sort(moments)
        # A limit that nothing reaches: such a queue goes event by event.
        finish = finish_times_s(replace(queue, max_queue_size=1000), arrivals)
        np.testing.assert_allclose(finish_times_s(queue, arrivals), finish, rtol=0, atol=1e-12, err_msg=repr(queue))
