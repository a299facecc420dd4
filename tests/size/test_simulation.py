"""Chains of queues against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.load.pattern import Concurrency, RequestRate, Trace
from toolkit.load.queue_model import Queue
from toolkit.size.simulation import latencies_s, open_finishes_s


def test_one_exponential_server_waits_as_long_as_the_formula_says() -> None:
    """M/M/1: the mean time in the system is 1 / (mu - lambda)."""
    times = latencies_s([Queue(service_s=0.01, law="exponential")], RequestRate(rate_per_s=60), requests=60_000)
    assert times.mean() == pytest.approx(1 / (100 - 60), rel=0.08)


def test_a_closed_loop_obeys_littles_law() -> None:
    """Clients / latency = throughput, which a server that is always busy fixes."""
    times = latencies_s([Queue(service_s=0.01)], Concurrency(clients=8), requests=4000)
    assert times.mean() == pytest.approx(8 * 0.01, rel=0.01)
    with_overhead = latencies_s([Queue(service_s=0.01)], Concurrency(clients=8), overhead_s=0.005, requests=4000)
    assert with_overhead.mean() == pytest.approx(8 * 0.01, rel=0.01)


def test_a_closed_loop_of_one_pays_every_stage_and_the_overhead() -> None:
    stages = [Queue(service_s=0.003), Queue(service_s=0.004, max_batch_size=4)]
    times = latencies_s(stages, Concurrency(clients=1), overhead_s=0.002, requests=200)
    assert times == pytest.approx(0.009, rel=1e-6)


def test_stages_follow_each_other() -> None:
    begins = np.array([0.0, 0.0, 1.0])
    done = open_finishes_s([Queue(service_s=0.1), Queue(service_s=0.2)], begins)
    assert done == pytest.approx([0.3, 0.5, 1.3])


def test_a_trace_is_simulated_as_it_is() -> None:
    times = latencies_s([Queue(service_s=0.1)], Trace(timestamps_s=tuple(float(i) for i in range(30))))
    assert times == pytest.approx(0.1)
