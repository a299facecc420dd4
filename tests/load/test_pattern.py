"""Loads as values: what is refused, what they are called, and when their requests are meant to be sent."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import UsageError
from toolkit.load.pattern import Concurrency, Load, OpenLoad, Ramp, RequestRate, Trace, arrivals_s, load_text
from toolkit.load.sweep import describe


@pytest.mark.parametrize(
    ("load", "fields"),
    [
        (Concurrency, {"clients": 0}),
        (Concurrency, {"clients": -1}),
        (Concurrency, {"clients": 1, "duration_s": 0.0}),
        (Concurrency, {"clients": 1, "duration_s": float("nan")}),
        (Concurrency, {"clients": 1, "warmup_s": -1.0}),
        (RequestRate, {"rate_per_s": 0.0}),
        (RequestRate, {"rate_per_s": -5.0}),
        (RequestRate, {"rate_per_s": float("inf")}),
        (RequestRate, {"rate_per_s": 1.0, "variation": 0.0}),
        (RequestRate, {"rate_per_s": 1.0, "duration_s": -1.0}),
        (RequestRate, {"rate_per_s": 1.0, "max_connections": 0}),
        (Ramp, {"to_per_s": 1.0, "from_per_s": 0.0}),
        (Ramp, {"from_per_s": 1.0, "to_per_s": -1.0}),
        (Ramp, {"from_per_s": 1.0, "to_per_s": 1.0, "max_connections": -1}),
        (Trace, {"timestamps_s": (1.0,), "max_connections": 0}),
        (Trace, {"timestamps_s": (1.0,), "warmup_s": float("inf")}),
    ],
)
def test_refused(load: type, fields: dict[str, float]) -> None:
    name, value = list(fields.items())[-1]
    with pytest.raises(UsageError, match=f"{load.__name__}.{name} is {value:g}"):
        load(**fields)


@pytest.mark.parametrize(
    ("timestamps_s", "message"),
    [
        ((), "no timestamp"),
        ((0.0, -1.0), "timestamp 2 of the trace is -1"),
        ((0.0, float("nan")), "timestamp 2 of the trace is nan"),
        ((0.0, 3.0, 2.0), "timestamp 3 of the trace, 2, is before the one in front of it, 3"),
    ],
)
def test_traces_refused(timestamps_s: tuple[float, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Trace(timestamps_s=timestamps_s)


@pytest.mark.parametrize(
    ("load", "name", "text"),
    [
        (Concurrency(clients=1), "concurrency-1", "1 client"),
        (Concurrency(clients=8), "concurrency-8", "8 clients"),
        (RequestRate(rate_per_s=1500.5), "rate-1500.5-poisson", "1,500 requests/s (poisson)"),
        (RequestRate(rate_per_s=2, arrival="gamma", variation=3), "rate-2-gamma-3", "2 requests/s (gamma)"),
        (Ramp(from_per_s=10, to_per_s=2000), "ramp-10-2000", "10 to 2,000 requests/s"),
    ],
)
def test_called(load: Load, name: str, text: str) -> None:
    assert (load.name, load_text(load)) == (name, text)


def test_a_trace_is_called_after_its_content() -> None:
    one, other = Trace(timestamps_s=(0.0, 1.0)), Trace(timestamps_s=(0.0, 1.5))
    assert load_text(one) == "a trace of 2 requests"
    assert one.name.startswith("trace-2-") and one.name != other.name


def test_described() -> None:
    assert describe(Concurrency(clients=8)) == "8 clients for 5 s after 1 s of warm-up"
    assert describe(Concurrency(clients=1, duration_s=0.5, warmup_s=0)) == "1 client for 0.5 s after 0 s of warm-up"


@pytest.mark.parametrize(("rate", "warmup_s", "duration_s", "count"), [(10, 1, 2, 30), (3, 0, 1, 3), (0.4, 0, 1, 1)])
def test_constant_gaps(rate: float, warmup_s: float, duration_s: float, count: int) -> None:
    load = RequestRate(rate_per_s=rate, arrival="constant", warmup_s=warmup_s, duration_s=duration_s)
    assert arrivals_s(load) == pytest.approx(np.arange(count) / rate)


@pytest.mark.parametrize(
    ("arrival", "variation"),
    [("poisson", 1.0), ("poisson", 9.0), ("gamma", 0.3), ("gamma", 1.0), ("gamma", 3.0)],
)
def test_gaps_have_the_mean_and_the_variation_that_were_asked_for(arrival: str, variation: float) -> None:
    """Both within five standard errors of 200 000 gaps; `variation` is for gamma gaps only."""
    rate, count = 250.0, 200_000
    load = RequestRate(
        rate_per_s=rate, arrival=arrival, variation=variation, warmup_s=100.0, duration_s=count / rate - 100.0, seed=3
    )  # type: ignore[arg-type]
    times = arrivals_s(load)
    gaps, expected = np.diff(times) * rate, variation if arrival == "gamma" else 1.0
    assert len(times) == pytest.approx(count, abs=5 * expected * np.sqrt(count))
    assert gaps.mean() == pytest.approx(1.0, abs=5 * expected / np.sqrt(count))
    # A gamma law of variation v has an excess kurtosis of 6 v^2: Var(s^2) = (2 + 6 v^2) v^4 / n.
    error = expected**2 * np.sqrt((2 + 6 * expected**2) / count)
    assert gaps.var() == pytest.approx(expected**2, abs=5 * error)
    assert gaps.min() >= 0 and times[-1] < load.warmup_s + load.duration_s


def test_poisson_counts_in_equal_spans_vary_as_much_as_their_mean() -> None:
    times = arrivals_s(RequestRate(rate_per_s=100.0, warmup_s=0.0, duration_s=1000.0, seed=1))
    counts = np.bincount(times.astype(int), minlength=1000)
    assert counts.var() / counts.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / 1000))


@pytest.mark.parametrize("arrival", ["constant", "poisson"])
@pytest.mark.parametrize(("first", "last"), [(10.0, 1000.0), (1000.0, 10.0), (200.0, 200.0), (200.0, 200.0 + 1e-9)])
def test_a_ramp_sends_the_integral_of_its_rate(arrival: str, first: float, last: float) -> None:
    """By every tenth of the ramp, as many arrivals as its rate adds up to; the warm-up goes at the first rate."""
    load = Ramp(from_per_s=first, to_per_s=last, arrival=arrival, warmup_s=2.0, duration_s=40.0, seed=5)  # type: ignore[arg-type]
    times = arrivals_s(load)
    for t in np.linspace(0, load.duration_s, 11):
        expected = first * load.warmup_s + first * t + (last - first) / load.duration_s * t**2 / 2
        found = int((times < load.warmup_s + t).sum())
        assert found == pytest.approx(expected, abs=1.5 if arrival == "constant" else 5 * np.sqrt(expected))
    assert (np.diff(times) >= 0).all()
    assert times[-1] < load.warmup_s + load.duration_s
    assert times[-1] == pytest.approx(load.warmup_s + load.duration_s, abs=10 / last)


@pytest.mark.parametrize(
    "load",
    [
        RequestRate(rate_per_s=50.0, seed=7),
        RequestRate(rate_per_s=50.0, arrival="gamma", variation=2.0, seed=7),
        Ramp(from_per_s=10.0, to_per_s=90.0, seed=7),
    ],
)
def test_a_seed_gives_the_same_arrivals_again_and_another_seed_others(load: OpenLoad) -> None:
    other = type(load)(**{name: getattr(load, name) for name in load.__slots__} | {"seed": 8})
    assert np.array_equal(arrivals_s(load), arrivals_s(load))
    assert not np.array_equal(arrivals_s(load)[:10], arrivals_s(other)[:10])


def test_a_trace_is_sent_as_it_is_and_its_window_holds_the_last_request() -> None:
    trace = Trace(timestamps_s=(0.0, 0.5, 0.5, 4.0), warmup_s=0.5)
    assert arrivals_s(trace).tolist() == [0.0, 0.5, 0.5, 4.0]
    assert 3.5 < trace.duration_s < 3.6
