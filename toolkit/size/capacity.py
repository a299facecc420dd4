"""From the measured curves of one configuration to a CapacityPlan. Pure: trials and what was asked in, a plan out.

One replica is the measured server on the measured machine. Two beside each other on one machine were not measured, so
a replica is a machine. Replicas are taken to share the demand evenly and not to disturb each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from toolkit.errors import UsageError
from toolkit.load.slo import Slo
from toolkit.size.cost import Fleet, cost_of
from toolkit.size.figure import Figure, combined
from toolkit.size.footprint import Footprint, client_share_text
from toolkit.size.plan import Asked, CapacityPlan, Part, Replicas, Year
from toolkit.size.prices import PriceBook
from toolkit.size.queue_fit import Served
from toolkit.size.replay import replayed_replicas
from toolkit.size.resources import resources_of
from toolkit.size.sustained import Sustained, sustained
from toolkit.tune.decision import Trial
from toolkit.tune.words import rate_text

ASSUMPTIONS = (
    "One replica is one machine like the measured one; several on one machine were not measured.",
    "Replicas share the demand evenly and do not disturb each other: no common storage, cache or network is the limit.",
    "Requests are like the measured ones in size and content, and arrive at random (Poisson) unless they are replayed.",
)


def plan_of(
    run: str,
    model: str,
    trial: Trial,
    slo: Slo,
    served: Mapping[str, Served],
    footprint: Footprint,
    asked: Asked,
    *,
    prices: PriceBook | None = None,
) -> CapacityPlan:
    """The plan. Raises UsageError where nothing can be sized: no point, no rate within the SLO, other hardware."""
    hardware = hardware_of(footprint, asked)
    found = sustained(trial, slo, served, extrapolate=asked.extrapolate)
    one, demand = found.rate_per_s, asked.demand
    replayed = _replayed(found, asked)
    count = replicas_for(demand.peak_per_s, one, asked, replayed=replayed)
    at_peak = _at_peak(demand.peak_per_s, count)
    profile = _profile(one, asked)
    mean = mean_replicas(profile)
    return CapacityPlan(
        run=run,
        model=model,
        candidate=trial.candidate.name,
        slo=slo,
        hardware=hardware,
        device=footprint.environment.device if footprint.environment.is_known else "",
        asked=asked,
        sustained_per_s=one,
        at_peak_per_s=at_peak,
        quantile=found.criterion.quantile or 0.0,
        latency_s=found.curve.at(at_peak.value) if found.curve else None,
        busiest_latency_s=found.curve.at(at_peak.high) if found.curve else None,
        replicas=count,
        replayed=replayed,
        resources=resources_of(footprint, asked, count, at_peak.high),
        years=tuple(_year(number, one, asked) for number in range(1, demand.years + 1)),
        profile=profile,
        mean_replicas=mean,
        client_share=client_share_text(footprint),
        assumptions=ASSUMPTIONS,
        prices=prices,
        cost=cost_of(prices, _fleet(count, mean, one, asked, hardware)) if prices else None,
    )


def _at_peak(peak_per_s: float, count: Replicas) -> Figure:
    even, busiest = peak_per_s / count.recommended, peak_per_s / (count.recommended - count.spare)
    how = f"{rate_text(peak_per_s)}/s over {count.recommended} replicas; at most with {count.spare} of them away"
    return Figure(value=even, low=even, high=busiest, basis="given", how=how)


def _profile(one_per_s: Figure, asked: Asked) -> tuple[Part, ...]:
    """Each part of the day with the replicas that it needs; never fewer than one and the spare ones."""
    return tuple(
        Part(
            start_s=p.start_s,
            duration_s=p.duration_s,
            rate_per_s=p.rate_per_s,
            replicas=replicas_for(p.rate_per_s, one_per_s, asked).recommended,
        )
        for p in asked.demand.profile
    )


def mean_replicas(profile: Sequence[Part]) -> float | None:
    """The mean over the day, weighted by time; None without a profile."""
    length_s = sum(p.duration_s for p in profile)
    return sum(p.replicas * p.duration_s for p in profile) / length_s if length_s else None


def _year(number: int, one_per_s: Figure, asked: Asked) -> Year:
    peak = asked.demand.peak_in(number)
    return Year(year=number, peak_per_s=peak, replicas=replicas_for(peak, one_per_s, asked).recommended)


def _replayed(found: Sustained, asked: Asked) -> Figure | None:
    if not asked.demand.arrivals_s:
        return None
    if found.curve is None:
        raise UsageError("arrivals can be replayed for a latency percentile only", mend="--slo p99=20ms, or --rate")
    return replayed_replicas(asked.demand.arrivals_s, found.curve, found.criterion.limit)


def hardware_of(footprint: Footprint, asked: Asked) -> str:
    """The machine that the figures are of. Raises UsageError for another than the measured one, or none at all."""
    environment = footprint.environment
    if not environment.is_known:
        if not asked.hardware:
            raise UsageError(
                "these results do not say where they were measured", mend="--hardware 'NVIDIA L4', if you know it"
            )
        return f"{asked.hardware} (as you say)"
    measured = ", ".join([*(g.name for g in environment.gpus), environment.cpu])
    if asked.hardware and asked.hardware.lower() not in measured.lower():
        raise UsageError(
            f"these figures were measured on {measured}, and are never used for {asked.hardware}",
            mend="measure there (toolkit run), or import results that were measured there (toolkit import FILE)",
        )
    return measured


def _fleet(count: Replicas, mean: float | None, sustained_per_s: Figure, asked: Asked, hardware: str) -> Fleet:
    demand = asked.demand

    def rebuilt(rate: float, capacity: float, follows: bool) -> float:
        can = combined(lambda r: capacity / rate * r, sustained_per_s, how="")
        followed = mean_replicas(_profile(can, asked)) if follows else None
        return followed or replicas_for(demand.peak_per_s, can, asked).recommended

    return Fleet(
        replicas=combined(lambda n: n + count.spare, count.for_peak, how="replicas for the peak, and spare ones"),
        elastic_replicas=mean,
        capacity_per_s=(1 - asked.headroom) * sustained_per_s.low,
        peak_per_s=demand.peak_per_s,
        mean_per_s=demand.mean_per_s,
        hardware=hardware,
        rebuilt=rebuilt,
    )


def replicas_for(
    rate_per_s: float, sustained_per_s: Figure, asked: Asked, *, replayed: Figure | None = None
) -> Replicas:
    """Replicas that carry a rate: ceil(rate / ((1 - headroom) * what one sustains)), and the spare ones.

    Where replayed arrivals need more, as many as they need.

    The plan counts with the lower end of what one sustains; the interval of the number comes from both ends.
    """

    def count(one_per_s: float) -> float:
        # An exact multiple must not ask for one more because of rounding in the last digit.
        return max(1.0, float(math.ceil(rate_per_s / ((1 - asked.headroom) * one_per_s) - 1e-9)))

    wanted, least = count(sustained_per_s.low), count(sustained_per_s.high)
    how = f"ceil({rate_text(rate_per_s)} / ({1 - asked.headroom:g} x {rate_text(sustained_per_s.low)}))"
    figure = Figure(value=wanted, low=least, high=wanted, basis=sustained_per_s.basis, how=how)
    if replayed is not None and replayed.value > wanted:
        figure = replayed
    recommended = int(figure.value) + asked.spare
    surge = math.ceil(asked.surge * recommended) if asked.surge else 0
    return Replicas(
        for_peak=figure, spare=asked.spare, recommended=recommended, during_update=recommended + max(surge, 1)
    )
