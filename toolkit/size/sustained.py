"""What one replica sustains within an SLO: the rate at which a limit leaves the interval of the latency. Pure.

In: a trial with its points, and how its models were served. Out: a rate with its interval, and the curve that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import UsageError
from toolkit.load.pattern import Concurrency
from toolkit.load.slo import Criterion, Slo, criterion_text
from toolkit.size.curve import Curve, curve_of
from toolkit.size.figure import Figure
from toolkit.size.queue_fit import Served, chain_of
from toolkit.tune.decision import Point, Trial
from toolkit.tune.words import rate_text, target_text

#: Rates that are looked at between the lowest measured one and the highest.
GRID = 16
#: With --extrapolate, rates up to this many times the highest measured one are looked at.
FARTHEST = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained:
    """What one replica can do within the SLO, and the curve that says so (None where points alone do)."""

    rate_per_s: Figure
    criterion: Criterion
    curve: Curve | None


def sustained(trial: Trial, slo: Slo, served: Mapping[str, Served], *, extrapolate: bool = False) -> Sustained:
    """What one replica can do within every criterion of the SLO: the least of what each allows. Raises UsageError."""
    if not slo.criteria:
        raise UsageError("there is no SLO to size for", mend="--slo p99=20ms")
    measurements = [p.measurement for p in trial.points]
    chain = chain_of([m for m in measurements if m.is_valid], served)
    found = []
    for criterion in slo.criteria:
        if criterion.metric == "latency" and criterion.quantile is not None and _has(trial, criterion.quantile):
            curve = curve_of(measurements, chain, criterion.quantile)
            rate = _rate_within(curve, criterion, extrapolate)
            found.append(Sustained(rate_per_s=rate, criterion=criterion, curve=curve))
        else:
            found.append(Sustained(rate_per_s=_rate_of_points(trial, criterion), criterion=criterion, curve=None))
    return min(found, key=lambda s: (s.rate_per_s.low, s.curve is None))


def _has(trial: Trial, q: float) -> bool:
    return any(abs(v.q - q) < 1e-9 for p in trial.points for v in p.measurement.latency.quantiles)


def _rate_within(curve: Curve, criterion: Criterion, extrapolate: bool) -> Figure:
    """The rate at which the limit leaves the interval of the latency: its upper end, its middle, its lower end."""
    top = curve.highest_per_s * (FARTHEST if extrapolate else 1.0)
    lowest = min(p.rate_per_s for p in curve.guiding)
    rates = [float(r) for r in np.linspace(min(lowest, top / GRID), top, GRID)]
    figures = [curve.at(rate) for rate in rates]
    ends = [[f.high for f in figures], [f.value for f in figures], [f.low for f in figures]]
    low, value, high = (_crossing(rates, latencies, criterion.limit) for latencies in ends)
    if not low:
        best = min(figures, key=lambda f: f.high)
        raise UsageError(
            f"no rate is sure to hold {target_text(criterion)}: at the lowest that was looked at, "
            f"{rate_text(rates[0])}/s, the 95 % interval is {1e3 * best.low:.4g} ms to {1e3 * best.high:.4g} ms",
            mend="toolkit sweep RUN --rate LOWER,RATES --duration 30s, so that the interval becomes narrower",
        )
    basis = curve.basis_at(low)
    how = f"{curve.at(low).how}; {criterion_text(criterion)}"
    if low >= top * (1 - 1e-9):
        how += "; the limit holds at the highest rate that was looked at, so more may be possible"
    return Figure(value=value, low=low, high=high, basis=basis, how=how)


def _crossing(rates: Sequence[float], latencies_s: Sequence[float], limit_s: float) -> float:
    """The rate at which a latency, made to rise with the rate, reaches the limit; 0 when it is above it at once."""
    rising = np.maximum.accumulate(latencies_s)
    if rising[0] > limit_s:
        return 0.0
    over = np.flatnonzero(rising > limit_s)
    if not len(over):
        return rates[-1]
    i = int(over[0])
    share = (limit_s - rising[i - 1]) / (rising[i] - rising[i - 1])
    return float(rates[i - 1] + share * (rates[i] - rates[i - 1]))


def _rate_of_points(trial: Trial, criterion: Criterion) -> Figure:
    """For criteria that no curve is made of: the highest rate whose point passed, up to the next that did not."""
    rates = [(_achieved(p), _outcome(p, criterion)) for p in trial.points]
    passed = [rate for rate, outcome in rates if outcome == "PASS"]
    if not passed:
        raise UsageError(
            f"no point of '{trial.candidate.name}' passes {target_text(criterion)}, so no rate can be planned with",
            mend="toolkit tune, or another SLO with --slo",
        )
    best = max(passed)
    beyond = min((rate for rate, outcome in rates if rate > best and outcome != "PASS"), default=best)
    return Figure(
        value=best,
        low=best,
        high=beyond,
        basis="measured",
        how=f"the fastest point that passes {target_text(criterion)}",
    )


def _achieved(point: Point) -> float:
    m = point.measurement
    return m.throughput_per_s if isinstance(m.load, Concurrency) else min(m.offered_per_s or 0.0, m.throughput_per_s)


def _outcome(point: Point, criterion: Criterion) -> str:
    return next((v.outcome for v in point.verdicts if v.criterion == criterion), "UNDECIDED")
