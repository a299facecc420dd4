"""Queues from Triton's statistics."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_run import MODEL, measured, served

from toolkit.load.pattern import RequestRate
from toolkit.load.queue_model import Queue
from toolkit.size.queue_fit import Served, chain_of, service_line


@pytest.mark.parametrize(
    ("sizes", "times_s", "expected"),
    [
        ((1, 2, 4), (0.003, 0.004, 0.006), (0.002, 0.001)),
        ((1, 2), (0.004, 0.004), (0.004, 0.0)),
        ((1, 4), (0.004, 0.003), (0.00323, 0.0)),  # faster in a batch is noise: no negative row
        ((1,), (0.004,), (0.004, 0.0)),
        ((8,), (0.008,), (0.0, 0.001)),  # of one size alone nobody saw that a batch saves anything
    ],
)
def test_a_line_through_the_times_of_executions(sizes: tuple, times_s: tuple, expected: tuple) -> None:
    counts = np.array([10.0, 33.478, 1.0][: len(sizes)])
    found = service_line(np.array(sizes, float), np.array(times_s), counts)
    assert found == pytest.approx(expected, abs=2e-5)


def test_a_queue_is_found_again_from_its_statistics() -> None:
    queue = Queue(service_s=0.003, row_s=0.0005, max_batch_size=8, batch_delay_s=0.001, capacity=2)
    points = [measured(queue, RequestRate(rate_per_s=r, duration_s=6, seed=i))[0] for i, r in enumerate((300, 1200))]
    chain = chain_of(points, served(queue))
    assert chain is not None
    (stage,) = chain.stages
    assert (stage.service_s, stage.row_s) == pytest.approx((0.003, 0.0005), rel=0.02)
    assert (stage.capacity, stage.max_batch_size, stage.batch_delay_s) == (2, 8, 0.001)
    assert chain.overhead_s == pytest.approx(2e-4, rel=0.05)
    assert chain.capacity_per_s == pytest.approx(2 * 8 / (0.003 + 8 * 0.0005), rel=0.02)


def test_models_that_are_not_served_by_themselves_are_no_stage() -> None:
    queue = Queue(service_s=0.003)
    point = measured(queue, RequestRate(rate_per_s=100, duration_s=3))[0]
    assert chain_of([point], {"another": Served()}) is None
    assert chain_of([point], {MODEL: Served(instances=3)}).stages[0].capacity == 3  # type: ignore[union-attr]
