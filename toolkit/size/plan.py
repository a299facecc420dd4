"""The CapacityPlan: how many replicas carry a demand, what they need and cost, and what each figure rests on.

Values only, written as plan.json; capacity.py and cost.py make them. Times are in seconds, rates per second.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.load.pattern import Load
from toolkit.load.slo import Criterion, Slo
from toolkit.size.cost import Cost
from toolkit.size.demand import Demand
from toolkit.size.figure import Figure
from toolkit.size.prices import PriceBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """How many servers, each one a machine like the measured one.

    `for_peak` carries the peak with the headroom kept; `spare` may be away besides; while a new version rolls out,
    `during_update` run. `recommended` = for_peak + spare.
    """

    for_peak: Figure
    spare: int
    recommended: int
    during_update: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something that replicas need, in `unit`: each one, and all recommended ones. `note` says what follows from it."""

    name: str
    unit: str
    per_replica: Figure
    total: Figure
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Year:
    """The demand and the replicas after so many years of growth."""

    year: int
    peak_per_s: float
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the day: what is asked, and how many replicas carry it when they are scaled with the demand."""

    start_s: float
    duration_s: float
    rate_per_s: float
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The recommended rate of one replica, measured again: the percentile and whether the plan's interval holds it."""

    load: Load
    criterion: Criterion
    predicted_s: Figure
    measured_s: float | None
    low_s: float | None
    high_s: float | None
    within: bool
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan was asked for. `headroom` is the share of what a replica can do that stays free at the peak.

    `spare` replicas may be away at the peak; `surge` is the share that starts besides while a version rolls out. The
    bandwidths are bytes per second of one replica, None where nobody said. `hardware` names the machine of results
    that do not say where they were measured. `extrapolate` allows rates beyond the measured ones.
    """

    demand: Demand
    headroom: float = 0.3
    spare: int = 1
    surge: float = 0.25
    storage_bytes_per_s: float | None = None
    nic_bytes_per_s: float | None = None
    hardware: str = ""
    extrapolate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOmitted:
    """Why a plan that was asked for could not be made."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """Machines for a demand, from the measured curves of one configuration on one kind of machine.

    `sustained_per_s` is what one replica can do within the SLO: the rate at which its limit lies within the interval
    of the latency, `low` being the one that the plan counts with. `at_peak_per_s` is what each one is asked at the
    peak, its high end with the spare ones away; `latency_s` and `busiest_latency_s` are the predicted percentile
    `quantile` there. `mean_replicas` is the day's mean when replicas follow
    the demand, None without a profile.
    """

    run: str
    model: str
    candidate: str
    slo: Slo
    hardware: str
    device: str
    asked: Asked
    sustained_per_s: Figure
    at_peak_per_s: Figure
    quantile: float
    latency_s: Figure | None
    busiest_latency_s: Figure | None
    replicas: Replicas
    replayed: Figure | None
    resources: tuple[Resource, ...]
    years: tuple[Year, ...]
    profile: tuple[Part, ...]
    mean_replicas: float | None
    client_share: str
    assumptions: tuple[str, ...]
    prices: PriceBook | None = None
    cost: Cost | None = None
    verification: Verification | None = None
