"""Arrivals replayed against simulated replicas."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_run import measured, served

from toolkit.errors import UsageError
from toolkit.load.pattern import RequestRate
from toolkit.load.queue_model import Queue
from toolkit.size.curve import Curve, curve_of
from toolkit.size.queue_fit import chain_of
from toolkit.size.replay import replayed_replicas

QUEUE = Queue(service_s=0.004)


@pytest.fixture(scope="module")
def curve() -> Curve:
    points = [measured(QUEUE, RequestRate(rate_per_s=r, duration_s=15, seed=i))[0] for i, r in enumerate((80, 200))]
    return curve_of(points, chain_of(points, served(QUEUE)), 0.99)


def bursts(rate_per_s: float, burst: int, count: int = 4000) -> tuple[float, ...]:
    times = np.repeat(np.arange(count // burst) * burst / rate_per_s, burst)
    return tuple((times + np.tile(np.arange(burst) * 1e-4, count // burst)).tolist())


def test_bursts_need_more_replicas_than_the_same_rate_in_even_gaps(curve: Curve) -> None:
    even, crowded = (replayed_replicas(bursts(400, size), curve, 0.04) for size in (1, 40))
    assert crowded.value > even.value >= 400 / 250
    assert crowded.low <= crowded.value and crowded.basis == "interpolated"


def test_a_limit_below_one_service_time_is_never_held(curve: Curve) -> None:
    with pytest.raises(UsageError, match="not even"):
        replayed_replicas(bursts(400, 1, 400), curve, 0.001)


def test_without_a_queue_nothing_can_be_replayed() -> None:
    points = [measured(QUEUE, RequestRate(rate_per_s=r, duration_s=8, seed=i))[0] for i, r in enumerate((80, 200))]
    with pytest.raises(UsageError, match="no server statistics"):
        replayed_replicas(bursts(100, 1, 400), curve_of(points, None, 0.99), 0.04)
