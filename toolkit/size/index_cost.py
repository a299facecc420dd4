"""What a million vector-search queries cost at a fixed recall, by every price of a book. Pure.

In: measured points of an index sweep, the recall asked for, a price book. Out: rows, the cheapest first. The rate of a
point is what the server answered in the sweep's closed loop on the measured machine; no other machine's price is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.errors import UsageError
from toolkit.size.cost import check_hardware, hourly, per_million
from toolkit.size.prices import AS_MEASURED, PerInference, PriceBook
from toolkit.tune.index_choice import IndexPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCost:
    """One index at one effort by one price. `per_million` at the full rate, `with_headroom` with a share kept free."""

    index: str
    price: str
    recall: float
    recall_low: float
    queries_per_s: float
    per_million: float
    with_headroom: float
    meets_slo: bool


def index_costs(
    points: Sequence[IndexPoint], recall: float, book: PriceBook, hardware: str, *, headroom: float = 0.3
) -> tuple[IndexCost, ...]:
    """The points that surely reach the recall (the low end of its interval), by every price of a machine.

    Raises UsageError for a price of other hardware, a book without machines, or a recall that no point reaches.
    """
    machines = {name: price for name, price in book.prices.items() if not isinstance(price, PerInference)}
    if not machines:
        raise UsageError("the price book names no machine", mend="add one with price_per_hour or purchase")
    for name, price in machines.items():
        check_hardware(f"prices.{name}", price.hardware or AS_MEASURED, hardware)
    enough = [p for p in points if p.outcome != "INVALID" and p.recall_low >= recall]
    if not enough:
        best = max((p.recall_low for p in points), default=0.0)
        raise UsageError(f"no point is sure to reach a recall of {recall:g}; the best one's low end is {best:.4f}")
    found = [
        IndexCost(
            index=point.name,
            price=name,
            recall=point.recall,
            recall_low=point.recall_low,
            queries_per_s=(rate := point.measurement.throughput_per_s),
            per_million=(cost := per_million(hourly(price), rate)),
            with_headroom=cost / (1 - headroom),
            meets_slo=point.outcome == "PASS",
        )
        for point in enough
        for name, price in machines.items()
    ]
    return tuple(sorted(found, key=lambda c: c.per_million))
