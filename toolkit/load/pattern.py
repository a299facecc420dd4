"""The shape of a load, as pure values, and the moments at which an open load means to send. No clock, no sockets.

Closed loop: `Concurrency`. Open loops keep their schedule whatever the server does: `RequestRate`, `Ramp`, `Trace`;
`arrivals_s` turns each into the seconds, from its beginning, at which its requests are meant to be sent.
Another kind of load is another class here and another member of `Load`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError

Arrival = Literal["constant", "poisson", "gamma"]

#: Connections that an open loop opens at most, unless it says otherwise.
MAX_CONNECTIONS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Closed loop: `clients` connections, each sends its next request when the last one has answered."""

    clients: int
    duration_s: float = 5.0
    warmup_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a load that cannot be driven. Raises UsageError."""
        if self.clients < 1:
            raise UsageError(f"Concurrency.clients is {self.clients}; expected 1 or more")
        _check_times(self)

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        return f"concurrency-{self.clients}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRate:
    """Open loop at a steady rate. Gaps between requests: all equal, exponential (Poisson arrivals), or gamma.

    `variation` is the coefficient of variation of gamma gaps: 1 is Poisson, above it requests come in bursts.
    """

    rate_per_s: float
    arrival: Arrival = "poisson"
    variation: float = 1.0
    duration_s: float = 5.0
    warmup_s: float = 1.0
    seed: int = 0
    max_connections: int = MAX_CONNECTIONS

    def __post_init__(self) -> None:
        """Refuse a load that cannot be driven. Raises UsageError."""
        _check_positive("RequestRate.rate_per_s", self.rate_per_s)
        _check_positive("RequestRate.variation", self.variation)
        _check_times(self)
        _check_connections(self)

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        burst = f"-{self.variation:g}" if self.arrival == "gamma" else ""
        return f"rate-{self.rate_per_s:g}-{self.arrival}{burst}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """Open loop whose rate goes linearly from one value to another; Poisson arrivals, or constant in the local rate."""

    from_per_s: float
    to_per_s: float
    arrival: Literal["constant", "poisson"] = "poisson"
    duration_s: float = 10.0
    warmup_s: float = 0.0
    seed: int = 0
    max_connections: int = MAX_CONNECTIONS

    def __post_init__(self) -> None:
        """Refuse a load that cannot be driven. Raises UsageError."""
        _check_positive("Ramp.from_per_s", self.from_per_s)
        _check_positive("Ramp.to_per_s", self.to_per_s)
        _check_times(self)
        _check_connections(self)

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        return f"ramp-{self.from_per_s:g}-{self.to_per_s:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Open loop with the moments given: `timestamps_s` from the beginning, ascending, none negative."""

    timestamps_s: tuple[float, ...]
    warmup_s: float = 0.0
    max_connections: int = MAX_CONNECTIONS

    def __post_init__(self) -> None:
        """Refuse a trace that cannot be driven. Raises UsageError that names the place."""
        times = np.asarray(self.timestamps_s, dtype=np.float64)
        if not len(times):
            raise UsageError("the trace holds no timestamp")
        bad = np.flatnonzero(~np.isfinite(times) | (times < 0))
        if len(bad):
            raise UsageError(f"timestamp {bad[0] + 1} of the trace is {times[bad[0]]:g}; expected 0 seconds or more")
        falls = np.flatnonzero(np.diff(times) < 0)
        if len(falls):
            raise UsageError(
                f"timestamp {falls[0] + 2} of the trace, {times[falls[0] + 1]:g}, is before the one in front of it, "
                f"{times[falls[0]]:g}",
                mend="sort the trace by time",
            )
        _check_times(self)
        _check_connections(self)

    @property
    def duration_s(self) -> float:
        """The time of the window: up to a moment after the last request."""
        return max(self.timestamps_s[-1] - self.warmup_s, 0.0) + 1e-3

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        digest = hashlib.sha256(np.asarray(self.timestamps_s, dtype=np.float64).tobytes()).hexdigest()
        return f"trace-{len(self.timestamps_s)}-{digest[:8]}"


OpenLoad = RequestRate | Ramp | Trace
Load = Concurrency | RequestRate | Ramp | Trace


def load_text(load: Load) -> str:
    """A load in a few words: "8 clients", "400 requests/s (poisson)"."""
    if isinstance(load, Concurrency):
        return f"{load.clients} client{'' if load.clients == 1 else 's'}"
    if isinstance(load, RequestRate):
        return f"{_rate(load.rate_per_s)} requests/s ({load.arrival})"
    if isinstance(load, Ramp):
        return f"{_rate(load.from_per_s)} to {_rate(load.to_per_s)} requests/s"
    return f"a trace of {len(load.timestamps_s):,} requests"


def _rate(per_s: float) -> str:
    """From a thousand on without decimals."""
    return f"{per_s:,.0f}" if per_s >= 1000 else f"{per_s:.4g}"


def arrivals_s(load: OpenLoad) -> NDArray[np.float64]:
    """When each request is meant to be sent, in seconds from the beginning of the load, warm-up included, ascending.

    The same load gives the same arrivals (`seed`). A ramp's warm-up is driven at its first rate.
    """
    if isinstance(load, Trace):
        return np.asarray(load.timestamps_s, dtype=np.float64)
    if isinstance(load, Ramp):
        return _ramp_arrivals_s(load)
    end_s = load.warmup_s + load.duration_s
    return _unit_arrivals(load.rate_per_s * end_s, load.arrival, load.variation, load.seed) / load.rate_per_s


def _unit_arrivals(until: float, arrival: Arrival, variation: float, seed: int) -> NDArray[np.float64]:
    """Arrivals at the rate of one a second before `until`."""
    if arrival == "constant":
        return np.arange(math.ceil(until), dtype=np.float64)
    shape = 1.0 if arrival == "poisson" else 1.0 / variation**2
    generator = np.random.default_rng(seed)
    times = np.zeros(0)
    while not len(times) or times[-1] < until:
        count = int(until - (times[-1] if len(times) else 0.0)) + 64
        gaps = generator.gamma(shape, 1.0 / shape, count)
        times = np.concatenate((times, np.cumsum(gaps) + (times[-1] if len(times) else 0.0)))
    return times[times < until]


def _ramp_arrivals_s(load: Ramp) -> NDArray[np.float64]:
    """Unit arrivals put through the inverse of the expected count L(t) (time change of a Poisson process)."""
    first, duration_s = load.from_per_s, load.duration_s
    slope = (load.to_per_s - first) / duration_s
    warm = first * load.warmup_s
    until = warm + (first + load.to_per_s) / 2 * duration_s
    counts = _unit_arrivals(until, load.arrival, 1.0, load.seed)
    beyond = np.maximum(counts - warm, 0.0)
    # L(t) = first t + slope t^2 / 2, solved for t in the form that is stable for a slope near 0.
    in_ramp = 2 * beyond / (first + np.sqrt(np.maximum(first**2 + 2 * slope * beyond, 0.0)))
    return np.where(counts < warm, counts / first, load.warmup_s + in_ramp)


def _check_times(load: Load) -> None:
    name = type(load).__name__
    if not (load.duration_s > 0 and math.isfinite(load.duration_s)):
        raise UsageError(f"{name}.duration_s is {load.duration_s}; expected more than 0 seconds")
    if not (load.warmup_s >= 0 and math.isfinite(load.warmup_s)):
        raise UsageError(f"{name}.warmup_s is {load.warmup_s}; expected 0 seconds or more")


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{name} is {value:g}; expected more than 0")


def _check_connections(load: OpenLoad) -> None:
    if load.max_connections < 1:
        raise UsageError(f"{type(load).__name__}.max_connections is {load.max_connections}; expected 1 or more")
