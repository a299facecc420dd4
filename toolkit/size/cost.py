"""What a number of replicas costs: per hour, month and million inferences, rented, owned or paid by the inference.

In: a price book, replicas, rates. Out: a Cost with its arithmetic, break-even rates and a sensitivity table. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from toolkit.errors import UsageError
from toolkit.size.figure import Figure, combined
from toolkit.size.prices import AS_MEASURED, Owned, PerInference, Price, PriceBook, Rented

HOURS_PER_YEAR = 8766.0
HOURS_PER_MONTH = HOURS_PER_YEAR / 12
#: How much each thing is changed, one at a time, in the sensitivity table.
CHANGE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One way to pay. `per_replica_hour` is None for a service paid by the inference; `arithmetic` shows the way."""

    name: str
    kind: str
    per_replica_hour: float | None
    per_hour: Figure
    per_month: Figure
    per_million: Figure
    per_million_at_peak: float
    arithmetic: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """The mean rate, inferences per second, above which `cheaper_above` costs less than `cheaper_below`."""

    cheaper_below: str
    cheaper_above: str
    rate_per_s: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The monthly cost of the first option when one thing is `change` more or less, all else as it was."""

    what: str
    change: float
    less_per_month: float
    more_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What the plan costs. `example` says that the prices are made up."""

    currency: str
    source: str
    date: str
    example: bool
    options: tuple[Option, ...]
    break_even: tuple[BreakEven, ...]
    sensitivity: tuple[Sensitivity, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What is paid for: replicas around the clock, or as many as the demand needs (`elastic_replicas`, a mean).

    `replicas` has its interval; `capacity_per_s` is the rate that one replica is planned to carry. `rebuilt` is the
    number of replicas when the demand, and what one replica sustains, are so many times what they are; the day's mean
    where they follow the demand (the third argument).
    """

    replicas: Figure
    elastic_replicas: float | None
    capacity_per_s: float
    peak_per_s: float
    mean_per_s: float
    hardware: str
    rebuilt: Callable[[float, float, bool], float]


def cost_of(book: PriceBook, fleet: Fleet) -> Cost:
    """The cost of a fleet by every price of the book. Raises UsageError for a price of other hardware."""
    for name, price in book.prices.items():
        check_hardware(f"prices.{name}", getattr(price, "hardware", AS_MEASURED), fleet.hardware)
    options = tuple(_option(name, price, fleet, book.currency) for name, price in book.prices.items())
    return Cost(
        currency=book.currency,
        source=book.source,
        date=book.date,
        example=book.example,
        options=options,
        break_even=tuple(_break_evens(options, fleet, book)),
        sensitivity=_sensitivity(book, fleet),
    )


def check_hardware(where: str, wanted: str, measured: str) -> None:
    """Refuse figures of one machine for another. Raises UsageError."""
    if wanted != AS_MEASURED and wanted.lower() not in measured.lower():
        raise UsageError(
            f"{where} is for '{wanted}', and the figures were measured on '{measured or 'an unknown machine'}'",
            mend="measure there (toolkit run), or import results that were measured there (toolkit import FILE)",
        )


def hourly(price: Rented | Owned) -> float:
    """What one machine costs in an hour.

    Owned: (purchase - residual) / lifetime + power * pue * price of energy + hosting, each for an hour.
    """
    if isinstance(price, Rented):
        return price.price_per_hour
    depreciation = (price.purchase - price.residual) / (price.lifetime_years * HOURS_PER_YEAR)
    energy = price.power_w / 1000 * price.pue * price.price_per_kwh
    return depreciation + energy + price.hosting_per_month / HOURS_PER_MONTH


def per_million(per_hour: float, rate_per_s: float) -> float:
    """The cost of a million inferences: an hour's cost over the inferences of an hour, in millions."""
    return per_hour / (rate_per_s * 3600) * 1e6


def _option(name: str, price: Price, fleet: Fleet, currency: str) -> Option:
    if isinstance(price, PerInference):
        return _by_inference(name, price, fleet, currency)
    each, kind = hourly(price), "rented" if isinstance(price, Rented) else "owned"
    count = fleet.replicas
    if isinstance(price, Rented) and fleet.elastic_replicas is not None:
        share = fleet.elastic_replicas / fleet.replicas.value
        count = combined(lambda n: n * share, fleet.replicas, how="the day's mean, scaled with the demand")
        kind = "rented, scaled with the demand"
    total = combined(lambda n: n * each, count, how=f"{count.value:.4g} x {each:.4g} {currency}/h")
    return Option(
        name=name,
        kind=kind,
        per_replica_hour=each,
        per_hour=total,
        per_month=combined(lambda h: h * HOURS_PER_MONTH, total, how=f"per hour x {HOURS_PER_MONTH:g}"),
        per_million=combined(
            lambda h: per_million(h, fleet.mean_per_s), total, how=f"at the mean rate of {fleet.mean_per_s:,.6g}/s"
        ),
        per_million_at_peak=per_million(fleet.replicas.value * each, fleet.peak_per_s),
        arithmetic=_arithmetic(price, each, currency),
    )


def _arithmetic(price: Rented | Owned, each: float, currency: str) -> str:
    if isinstance(price, Rented):
        return f"{each:.4g} {currency}/h as billed"
    return (
        f"({price.purchase:g} - {price.residual:g}) / {price.lifetime_years:g} years + {price.power_w:g} W x PUE "
        f"{price.pue:g} x {price.price_per_kwh:g}/kWh + {price.hosting_per_month:g}/month = {each:.4g} {currency}/h"
    )


def _by_inference(name: str, price: PerInference, fleet: Fleet, currency: str) -> Option:
    each = price.price_per_million
    hour = Figure(
        value=fleet.mean_per_s * 3600 / 1e6 * each,
        low=fleet.mean_per_s * 3600 / 1e6 * each,
        high=fleet.mean_per_s * 3600 / 1e6 * each,
        basis="given",
        how=f"{fleet.mean_per_s:,.6g}/s x 3600 x {each:g} {currency} per million",
    )
    return Option(
        name=name,
        kind="by the inference",
        per_replica_hour=None,
        per_hour=hour,
        per_month=combined(lambda h: h * HOURS_PER_MONTH, hour, how=f"per hour x {HOURS_PER_MONTH:g}"),
        per_million=replace(hour, value=each, low=each, high=each, how="as billed"),
        per_million_at_peak=each,
        arithmetic=f"{each:g} {currency} per million inferences",
    )


def _break_evens(options: tuple[Option, ...], fleet: Fleet, book: PriceBook) -> list[BreakEven]:
    """Where a cost that does not depend on the mean rate meets one that does.

    Owned machines stand there for the peak and cost the same whatever is asked; rented ones can follow the demand, and
    then cost as many replica hours as the mean rate needs; a service is paid by the inference.
    """
    owned = [o for o in options if isinstance(book.prices[o.name], Owned)]
    found = []
    for fixed in owned:
        assert fixed.per_replica_hour is not None
        fixed_hour = fleet.replicas.value * fixed.per_replica_hour
        for other in options:
            per_inference = _per_inference(other, fleet)
            if other.kind == "owned" or not per_inference:
                continue
            rate = fixed_hour / 3600 / per_inference
            how = f"{fixed_hour:.4g} {book.currency}/h / ({per_inference * 1e6:.4g} {book.currency} per million)"
            found.append(BreakEven(cheaper_below=other.name, cheaper_above=fixed.name, rate_per_s=rate, how=how))
    return found


def _per_inference(option: Option, fleet: Fleet) -> float:
    """What one more inference costs where what is paid follows the demand."""
    if option.per_replica_hour is None:
        return option.per_million.value / 1e6
    return option.per_replica_hour / (fleet.capacity_per_s * 3600)


def _sensitivity(book: PriceBook, fleet: Fleet) -> tuple[Sensitivity, ...]:
    """What the monthly cost of the first machine of the book hangs on."""
    machines = [p for p in book.prices.values() if not isinstance(p, PerInference)]
    if not machines:
        return ()
    price = machines[0]

    def month(rate: float, capacity: float, money: float) -> float:
        return fleet.rebuilt(rate, capacity, isinstance(price, Rented)) * hourly(price) * money * HOURS_PER_MONTH

    less, more = 1 - CHANGE, 1 + CHANGE
    rows = (
        ("Peak rate", month(less, 1, 1), month(more, 1, 1)),
        ("What one replica sustains", month(1, less, 1), month(1, more, 1)),
        ("Price of a machine", month(1, 1, less), month(1, 1, more)),
    )
    return tuple(
        Sensitivity(what=what, change=CHANGE, less_per_month=low, more_per_month=high) for what, low, high in rows
    )
