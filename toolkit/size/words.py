"""A capacity plan in words and rows of text: the same for the terminal and the report. Pure."""

from __future__ import annotations

from toolkit.size.cost import Cost
from toolkit.size.figure import Figure
from toolkit.size.plan import CapacityPlan, Resource
from toolkit.tune.words import rate_text, target_text, time_text

Rows = tuple[tuple[str, ...], ...]
Titled = tuple[str, tuple[str, ...], Rows]


def sentence(plan: CapacityPlan) -> str:
    """The plan in one sentence, with the cost of its first price where there is one."""
    peak, count = rate_text(plan.asked.demand.peak_per_s), plan.replicas
    text = (
        f"{count.recommended} replicas of {plan.model} ('{plan.candidate}') carry {peak} requests/s within "
        f"{', '.join(target_text(c) for c in plan.slo.criteria)}: {count.for_peak.value:g} for the peak with "
        f"{100 * plan.asked.headroom:g} % headroom, {count.spare} spare."
    )
    if plan.cost is None or not plan.cost.options:
        return text
    option = plan.cost.options[0]
    made_up = " by EXAMPLE prices, which are made up" if plan.cost.example else ""
    return f"{text} {money(option.per_month.value, plan.cost)} a month ('{option.name}'){made_up}."


def figure_rows(plan: CapacityPlan) -> Rows:
    """The plan's main figures: name with unit, value, interval, basis, where it comes from."""
    count = plan.replicas
    percentile = f"p{100 * plan.quantile:g}"
    found: list[tuple[str, Figure | None, str]] = [
        ("One replica sustains (requests/s)", plan.sustained_per_s, "rate"),
        ("Each is asked at the peak (requests/s)", plan.at_peak_per_s, "rate"),
        (f"{percentile} then", plan.latency_s, "time"),
        (f"{percentile} with the spare ones away", plan.busiest_latency_s, "time"),
        ("Replicas for the peak", count.for_peak, "rate"),
        ("Replicas by replayed arrivals", plan.replayed, "rate"),
    ]
    return tuple((name, *figure_cells(figure, kind)) for name, figure, kind in found if figure is not None)


def figure_cells(figure: Figure, kind: str) -> tuple[str, str, str, str]:
    """Value, interval, basis and source of a figure in words."""
    text = time_text if kind == "time" else rate_text
    interval = "none" if figure.low == figure.high else f"{text(figure.low)} to {text(figure.high)}"
    return text(figure.value), interval, figure.basis, figure.how


def tables(plan: CapacityPlan) -> tuple[Titled, ...]:
    """Every further table of the plan: title, columns, rows; those without rows too."""
    count = plan.replicas
    steps = (
        ("For the peak, headroom kept", f"{count.for_peak.value:g}"),
        (f"With {count.spare} that may be away (N+{count.spare})", f"{count.recommended}"),
        ("While a new version rolls out", f"{count.during_update}"),
    )
    return (
        ("Replicas", ("when", "replicas []"), steps),
        (
            "What the replicas need",
            ("what", "unit", "each []", "from .. to []", "all []", "basis", "how", "note"),
            tuple(_resource(r) for r in plan.resources),
        ),
        (
            "Growth",
            ("after", "peak [requests/s]", "replicas []"),
            tuple((_years(y.year), rate_text(y.peak_per_s), str(y.replicas)) for y in plan.years),
        ),
        (
            "The day",
            ("from", "rate [requests/s]", "replicas []"),
            tuple((clock(p.start_s), rate_text(p.rate_per_s), str(p.replicas)) for p in plan.profile),
        ),
        *(cost_tables(plan.cost) if plan.cost else ()),
        ("Measured again", ("load", "predicted", "measured", "within", "SLO"), _verification(plan)),
    )


def _resource(resource: Resource) -> tuple[str, ...]:
    each, total = resource.per_replica, resource.total
    ends = "–" if each.low == each.high else f"{rate_text(each.low)} to {rate_text(each.high)}"
    figures = rate_text(each.value), ends, rate_text(total.value)
    return (resource.name, resource.unit, *figures, each.basis, each.how, resource.note)


def _years(count: int) -> str:
    return f"{count} year{'' if count == 1 else 's'}"


def clock(seconds: float) -> str:
    """`08:30` of seconds since midnight."""
    return f"{int(seconds // 3600):02d}:{int(seconds % 3600 // 60):02d}"


def money(amount: float, cost: Cost) -> str:
    """An amount with its currency: `1,234 EUR`, `12.3 EUR`."""
    return f"{rate_text(amount)} {cost.currency}"


def cost_tables(cost: Cost) -> tuple[Titled, ...]:
    """The tables of a cost, in the currency of its price book."""
    source = f"{cost.source}, {cost.date}" + ("; EXAMPLE: these prices are made up" if cost.example else "")
    options = tuple(
        (
            o.name,
            o.kind,
            rate_text(o.per_hour.value),
            rate_text(o.per_month.value),
            f"{rate_text(o.per_month.low)} to {rate_text(o.per_month.high)}",
            rate_text(o.per_million.value),
            rate_text(o.per_million_at_peak),
            o.arithmetic,
        )
        for o in cost.options
    )
    heads = ("option", "kind", "per hour []", "per month []", "from .. to []", "per million []", "at the peak []")
    even = tuple((b.cheaper_below, b.cheaper_above, rate_text(b.rate_per_s), b.how) for b in cost.break_even)
    changed = tuple(
        (f"{s.what}, {100 * s.change:g} % less or more", rate_text(s.less_per_month), rate_text(s.more_per_month))
        for s in cost.sensitivity
    )
    return (
        (f"Cost in {cost.currency} ({source})", (*heads, "one replica"), options),
        ("Break-even", ("cheaper below", "cheaper above", "mean rate [inferences/s]", "how"), even),
        (f"What the cost per month hangs on, in {cost.currency}", ("what", "less []", "more []"), changed),
    )


def _verification(plan: CapacityPlan) -> Rows:
    found = plan.verification
    if found is None:
        return ()
    predicted = f"{time_text(found.predicted_s.low)} to {time_text(found.predicted_s.high)}"
    measured = "not measurable" if found.measured_s is None else time_text(found.measured_s)
    return ((found.load.name, predicted, measured, "yes" if found.within else "NO", found.outcome),)
