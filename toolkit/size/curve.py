"""The latency of one replica at a rate that was not measured: a curve through what was, with a 95 % interval.

In: measured points of one configuration in one environment, and the chain of queues fitted to them. Out: predictions.

The chain is simulated under each measured load, and the logarithm of measured over simulated is what it errs there.
That error is interpolated between open loads, or averaged over closed ones; the simulation at the asked rate, times
the error, is the prediction. Its interval is Student's t on three things together: how the errors scatter (with a
prior, since three points say little), how well the nearest points were measured, and how well a new one would be. So
it is an interval for a measurement as long as the ones that it rests on, not for the long-run percentile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement, Quantile
from toolkit.load.pattern import Concurrency, Load, RequestRate, load_text
from toolkit.load.statistics import quantile, student_t
from toolkit.size.figure import Basis, Figure
from toolkit.size.queue_fit import Chain
from toolkit.size.simulation import latencies_s

#: What a fitted chain errs where nothing is known yet, as the standard deviation of a logarithm, and how many points
#: that knowledge counts for.
PRIOR_ERROR, PRIOR_POINTS = 0.10, 4
#: The error of a percentile's logarithm where its samples bound it on no side, and how much larger than the side that
#: they do bound it is where the other one is open.
UNBOUNDED_ERROR, OPEN_SIDE = 0.35, 1.3
#: What a chain errs besides when only closed loops stand behind it: how a queue forms under arrivals at random was not
#: seen. (A real two-core server's p90 under Poisson arrivals was 2.2 times what two short closed loops had promised.)
CLOSED_ERROR = 0.35
#: Rates this near to a measured one are that one.
SAME_RATE = 0.02
#: Beyond the highest measured rate, each doubling of it adds this much to the error of the logarithm.
ERROR_PER_DOUBLING = 0.7
#: An open load whose answers fell this far behind what was offered was not sustained, and says how long it lasted only.
SUSTAINED = 0.95
SIMULATED_REQUESTS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One measured point. `rate_per_s`: offered, of a closed loop achieved. `error` is of the percentile's logarithm.

    `residual` is the logarithm of measured over simulated; of measured alone where there is no chain.
    """

    load: Load
    rate_per_s: float
    latency_s: float
    error: float
    residual: float

    @property
    def is_open(self) -> bool:
        """Whether the load kept to its schedule."""
        return not isinstance(self.load, Concurrency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The percentile `q` of one replica over the rate that it is asked for. `points` ascend by rate."""

    q: float
    points: tuple[Seen, ...]
    chain: Chain | None

    @property
    def guiding(self) -> tuple[Seen, ...]:
        """The points that a prediction rests on: the open loads, or all where fewer than two are open."""
        opened = tuple(p for p in self.points if p.is_open)
        return opened if len(opened) > 1 else self.points

    @property
    def highest_per_s(self) -> float:
        """The highest rate that was measured and sustained; beyond it everything is extrapolated."""
        return max(p.rate_per_s for p in self.points)

    def basis_at(self, rate_per_s: float) -> Basis:
        """Whether a rate was measured, lies within what was, or beyond."""
        if any(p.is_open and _is_same(p.rate_per_s, rate_per_s) for p in self.points):
            return "measured"
        return "interpolated" if rate_per_s <= (1 + SAME_RATE) * self.highest_per_s else "extrapolated"

    def at(self, rate_per_s: float) -> Figure:
        """The latency in seconds at a rate, its 95 % interval, and what it rests on."""
        basis, near = self.basis_at(rate_per_s), self._neighbours(rate_per_s)
        latency_s = self._simulated_s(rate_per_s) * math.exp(self.residual_at(rate_per_s))
        scatter, noise = self._scatter(), sum(p.error**2 for p in near) / len(near) ** 2
        if basis == "measured":
            point = min(near, key=lambda p: abs(p.rate_per_s - rate_per_s))
            latency_s, scatter, noise = point.latency_s, 0.0, point.error**2
        elif basis == "extrapolated":
            scatter = math.hypot(scatter, ERROR_PER_DOUBLING * math.log2(rate_per_s / self.highest_per_s))
        if not self.guiding[0].is_open:
            scatter = math.hypot(scatter, CLOSED_ERROR)
        noise += max(p.error for p in near) ** 2
        freedom = PRIOR_POINTS + len(self._errors())
        half = math.hypot(student_t(0.025, freedom) * scatter, 1.96 * math.sqrt(noise))
        ends = latency_s * math.exp(-half), latency_s * math.exp(half)
        return Figure(value=latency_s, low=ends[0], high=ends[1], basis=basis, how=self._how(basis, near))

    def residual_at(self, rate_per_s: float) -> float:
        """The logarithm of measured over simulated: between open loads interpolated, of closed ones the mean."""
        if not self.guiding[0].is_open:
            return _mean_residual(self.guiding)
        return _interpolated(self._neighbours(rate_per_s), rate_per_s)

    def _neighbours(self, rate_per_s: float) -> tuple[Seen, ...]:
        """The guiding points on both sides of a rate; the nearest alone beyond them."""
        below = [p for p in self.guiding if p.rate_per_s <= rate_per_s][-1:]
        above = [p for p in self.guiding if p.rate_per_s > rate_per_s][:1]
        return (*below, *above)

    def _simulated_s(self, rate_per_s: float) -> float:
        load = RequestRate(rate_per_s=rate_per_s)
        return 1.0 if self.chain is None else simulated_percentile_s(self.chain, load, self.q)

    def _errors(self) -> tuple[float, ...]:
        """What each guiding point would have been wrong by from its neighbours, beyond what noise explains."""
        points = self.guiding
        if not points[0].is_open:
            mean = _mean_residual(points)
            return tuple(_beyond_noise(p.residual - mean, p) for p in points) if len(points) > 1 else ()
        inner = zip(points, points[1:], points[2:], strict=False)
        return tuple(
            _beyond_noise(p.residual - _interpolated((low, high), p.rate_per_s), low, p, high) for low, p, high in inner
        )

    def _scatter(self) -> float:
        """The standard deviation of those errors, with a prior (scaled inverse chi-squared)."""
        errors = self._errors()
        squares = PRIOR_POINTS * PRIOR_ERROR**2 + sum(e**2 for e in errors)
        return math.sqrt(squares / (PRIOR_POINTS + len(errors)))

    def _how(self, basis: Basis, near: Sequence[Seen]) -> str:
        names = " and ".join(load_text(p.load) for p in near)
        if basis == "measured":
            return f"measured at {load_text(min(near, key=lambda p: p.error).load)}"
        model = "the fitted queue" if self.chain else "a line in the logarithm"
        if not self.guiding[0].is_open:
            return f"{model}, simulated, with its error at {len(self.guiding)} closed loads"
        return f"{model} through {names}"


def curve_of(measurements: Sequence[Measurement], chain: Chain | None, q: float) -> Curve:
    """The curve of one configuration. Invalid points, and open loads that were not sustained, are left out.

    Raises UsageError where nothing remains, or only closed loads without the server's statistics.
    """
    usable = [m for m in measurements if m.is_valid and _is_sustained(m) and _percentile(m, q) is not None]
    if not usable:
        raise UsageError(
            f"no valid and sustained measurement of this run has a p{100 * q:g} to size from",
            mend="toolkit sweep RUN --rate 100,200,400 --duration 20s",
        )
    if chain is None and sum(m.offered_per_s is not None for m in usable) < 2:
        raise UsageError(
            "this run has fewer than two open loads, and no server statistics that tell how a queue would form",
            mend="toolkit sweep RUN --rate 100,200,400 --duration 20s",
        )
    chain = _calibrated(chain, usable) if chain else None
    points = [_seen(m, chain, q) for m in usable if chain or m.offered_per_s is not None]
    return Curve(q=q, points=tuple(sorted(points, key=lambda p: p.rate_per_s)), chain=chain)


def _calibrated(chain: Chain, measurements: Sequence[Measurement]) -> Chain:
    """The chain slowed down to the throughput that the busiest closed loop really had: cores are shared under load."""
    closed = [m for m in measurements if isinstance(m.load, Concurrency)]
    if not closed:
        return chain
    busiest = max(closed, key=lambda m: m.throughput_per_s)
    assert isinstance(busiest.load, Concurrency)
    simulated_s = float(_simulated(chain, busiest.load).mean())
    slower = max(1.0, busiest.load.clients / busiest.throughput_per_s / simulated_s)
    stages = (replace(q, service_s=slower * q.service_s, row_s=slower * q.row_s) for q in chain.stages)
    return Chain(stages=tuple(stages), overhead_s=chain.overhead_s)


def _seen(measurement: Measurement, chain: Chain | None, q: float) -> Seen:
    found = _percentile(measurement, q)
    assert found is not None
    simulated_s = simulated_percentile_s(chain, measurement.load, q) if chain else 1.0
    return Seen(
        load=measurement.load,
        rate_per_s=_rate_of(measurement),
        latency_s=found.value_s,
        error=_error(found),
        residual=math.log(found.value_s / simulated_s),
    )


def _rate_of(measurement: Measurement) -> float:
    """What was offered; the nominal rate of a steady load, which what was offered in a window scatters around."""
    if isinstance(measurement.load, RequestRate):
        return measurement.load.rate_per_s
    return measurement.offered_per_s or measurement.throughput_per_s


def _percentile(measurement: Measurement, q: float) -> Quantile | None:
    found = (v for v in measurement.latency.quantiles if abs(v.q - q) < 1e-9 and v.value_s > 0)
    return next(found, None)


def _is_sustained(measurement: Measurement) -> bool:
    offered = measurement.offered_per_s
    return offered is None or measurement.throughput_per_s >= SUSTAINED * offered


def _error(found: Quantile) -> float:
    """The standard error of the logarithm, from the 95 % interval; the larger of its two halves."""
    halves = [abs(math.log(end / found.value_s)) / 1.96 for end in (found.low_s, found.high_s) if end]
    if not halves:
        return UNBOUNDED_ERROR
    return max(max(halves) * (OPEN_SIDE if len(halves) < 2 else 1.0), 1e-3)


def _beyond_noise(error: float, *points: Seen) -> float:
    """What of an error the noise of the points does not explain."""
    return math.sqrt(max(0.0, error**2 - max(p.error for p in points) ** 2))


def _interpolated(points: Sequence[Seen], rate_per_s: float) -> float:
    rates = [p.rate_per_s for p in points]
    return float(np.interp(rate_per_s, rates, [p.residual for p in points]))


def _mean_residual(points: Sequence[Seen]) -> float:
    return sum(p.residual for p in points) / len(points)


def _is_same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_RATE * b


@lru_cache(maxsize=512)
def simulated_percentile_s(chain: Chain, load: Load, q: float) -> float:
    """The percentile `q` of the chain under a load, in seconds."""
    return quantile(np.sort(_simulated(chain, load)), q)


@lru_cache(maxsize=64)
def _simulated(chain: Chain, load: Load) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return latencies_s(chain.stages, load, overhead_s=chain.overhead_s, requests=SIMULATED_REQUESTS)
