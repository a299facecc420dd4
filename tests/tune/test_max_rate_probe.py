"""What a probe says of each criterion: tables of records in, means and their bounds out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.errors import UsageError
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import RequestRate
from toolkit.load.request_records import Records
from toolkit.load.slo import slo_from_text
from toolkit.tune.max_rate_fit import Bound
from toolkit.tune.max_rate_probe import bound_of, observation_of, series_of

MS = 1_000_000


def records(latencies_ms: list[float], *, status: Any = 200, late_ms: float = 0.0, **more: Any) -> Records:
    """Requests a millisecond apart, each really sent `late_ms` after it was meant to be."""
    intended = np.arange(len(latencies_ms), dtype=np.int64) * MS
    done = intended + (np.array(latencies_ms) * MS).astype(np.int64)
    return Records(
        **{
            "intended_ns": intended,
            "sent_ns": intended + int(late_ms * MS),
            "first_ns": done,
            "done_ns": done,
            "status": np.broadcast_to(np.asarray(status, dtype=np.int16), len(done)).copy(),
            "payload": np.zeros(len(done), dtype=np.int32),
            "window_start_ns": 0,
            "window_end_ns": len(done) * MS,
            "client_cpu_ns": 0,
        }
        | more
    )


@pytest.mark.parametrize(
    ("slo", "limit", "is_share"),
    [
        ("p99=20ms", 0.01, True),
        ("errors=0.1%", 0.001, True),
        ("mean=4ms", 0.004, False),
        ("ttft=20ms,tpot=5ms", 0.05, True),
        ("itl.p90=5ms", 0.1, True),
    ],
)
def test_bounds(slo: str, limit: float, is_share: bool) -> None:
    bound = bound_of(slo_from_text(slo).criteria[0])
    assert (bound.limit, bound.is_share) == (pytest.approx(limit), is_share)
    assert isinstance(bound, Bound)


def test_a_throughput_has_no_bound() -> None:
    with pytest.raises(UsageError, match="what max-rate looks for"):
        bound_of(slo_from_text("throughput=100").criteria[0])


@pytest.mark.parametrize(
    ("slo", "expected"),
    [
        ("p50=10ms", [0, 1, 1, 0]),
        ("service.p50=10ms", [0, 1, 1, 0]),
        ("service.p50=16ms", [0, 0, 1, 0]),
        ("errors=1%", [0, 0, 1, 0]),
        ("mean=10ms", [0.004, 0.020, 0.020, 0.008]),
        ("service.mean=1ms", [0.000, 0.016, 0.016, 0.004]),
        ("goodput(latency=10ms,service=10ms)=0.9", [0, 1, 1, 0]),
        ("ttft.p90=1ms", []),
    ],
)
def test_series(slo: str, expected: list[float]) -> None:
    """A failed request misses every limit, and counts with the longest, or the limit, where a mean is bounded."""
    made = records([4, 20, 1, 8], status=[200, 200, 503, 200], late_ms=4.0)
    assert series_of(slo_from_text(slo).criteria[0], made) == pytest.approx(expected, abs=1e-9)


def test_series_of_streams() -> None:
    """Two streams of three responses and a failure: a gap each way, and one that never ended."""
    made = records(
        [50, 50, 50],
        status=[200, 200, 503],
        responses=np.array([3, 3, 0], np.int32),
        response_ns=np.array([10, 20, 40, 12, 24, 25], np.int64) * MS,
    )
    of = {text: series_of(slo_from_text(text).criteria[0], made).tolist() for text in
          ("itl.p50=11ms", "ttft.p50=10ms", "tpot.p50=7ms", "ttft=11ms,tpot=7ms")}  # fmt: skip
    # Gaps in the order of their ends: 10 ms (20), 12 ms (24), 1 ms (25), 20 ms (40), and the failed one at 52 ms.
    assert of["itl.p50=11ms"] == [0, 1, 0, 1, 1]
    assert of["ttft.p50=10ms"] == [0, 1, 1]
    assert of["tpot.p50=7ms"] == [1, 0, 1]
    assert of["ttft=11ms,tpot=7ms"] == [1, 0, 1]


def test_an_observation_has_every_criterion_in_order() -> None:
    slo = slo_from_text("p90=10ms,mean=5ms")
    made = records(list(np.random.default_rng(0).uniform(1, 11, 2000)))
    measurement = measurement_from_records(made, RequestRate(rate_per_s=1000.0))
    share, mean = observation_of(slo, measurement, made, 2.5).seen
    assert share.mean == pytest.approx(0.1, abs=0.03)
    assert mean.mean == pytest.approx(0.006, rel=0.1)
    assert share.samples == mean.samples == 2000
    assert 500 < share.effective_samples <= 2000
    assert observation_of(slo, measurement, made, 2.5).spent_s == 2.5


def test_only_what_spoils_a_point_at_any_rate_ends_the_search() -> None:
    """An overloaded server answers nothing in time: that is what the search is to find, not a reason to end it."""
    slo = slo_from_text("p90=10ms")
    for made, is_spoiled in (
        (records([1.0] * 100, status=503), False),
        (records([1.0] * 100, ended="server lost"), True),
    ):
        measurement = measurement_from_records(made, RequestRate(rate_per_s=1000.0))
        assert bool(observation_of(slo, measurement, made, 1.0).spoiled) == is_spoiled


def test_an_empty_window_says_nothing() -> None:
    made = records([1.0] * 10, window_start_ns=10**12, window_end_ns=10**12 + 1)
    measurement = measurement_from_records(made, RequestRate(rate_per_s=1000.0))
    (seen,) = observation_of(slo_from_text("p90=10ms"), measurement, made, 1.0).seen
    assert (seen.samples, seen.effective_samples) == (0, 0.0)
