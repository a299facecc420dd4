"""The tables about machines and money. Pure: a CapacityPlan in, Tables and page one's lines out."""

from __future__ import annotations

from toolkit.report.report import Report
from toolkit.report.table import Column, Table
from toolkit.size import words
from toolkit.size.plan import CapacityPlan, PlanOmitted
from toolkit.tune.words import rate_text

NO_PLAN = (
    "No demand was given, so no number of machines and no price follows from these figures. "
    "`toolkit size RUN --rate PEAK --prices FILE` adds them."
)


def plan_of(report: Report) -> CapacityPlan | None:
    """The plan of the run, None where none could be made or none was asked for."""
    return report.sizing if isinstance(report.sizing, CapacityPlan) else None


def sizing_text(report: Report) -> str:
    """The plan in a sentence, or why there is none."""
    if isinstance(report.sizing, PlanOmitted):
        return f"No plan could be made: {report.sizing.reason}"
    return words.sentence(report.sizing) if report.sizing else NO_PLAN


def sizing_facts(report: Report) -> tuple[tuple[str, str], ...]:
    """What page one says of the plan: replicas for the peak, and what they cost."""
    plan = plan_of(report)
    if plan is None:
        return ()
    peak = rate_text(plan.asked.demand.peak_per_s)
    count = plan.replicas
    replicas = f"{count.recommended} for {peak} requests/s ({count.for_peak.value:g} and {count.spare} spare)"
    if plan.cost is None or not plan.cost.options:
        return (("Replicas", replicas), ("Cost", "no price was given"))
    option = plan.cost.options[0]
    cost = f"{words.money(option.per_month.value, plan.cost)} a month, "
    cost += f"{words.money(option.per_million.value, plan.cost)} per million inferences ({option.name})"
    return (("Replicas", replicas), ("Cost", cost + (", by EXAMPLE prices" if plan.cost.example else "")))


def sizing_tables(report: Report) -> tuple[Table, ...]:
    """Every table of the plan that has a row."""
    plan = plan_of(report)
    if plan is None:
        return ()
    figures = ("figure", "value []", "95 % interval or range []", "basis", "from")
    titled = (("What the plan counts with", figures, words.figure_rows(plan)), *words.tables(plan))
    return tuple(_table(title, columns, rows) for title, columns, rows in titled if rows)


def sizing_notes(report: Report) -> tuple[str, ...]:
    """What the plan takes for granted."""
    plan = plan_of(report)
    return () if plan is None else (plan.client_share, *plan.assumptions)


def _table(title: str, columns: tuple[str, ...], rows: words.Rows) -> Table:
    return Table(caption=title, columns=tuple(map(_column, columns)), rows=rows)


def _column(text: str) -> Column:
    """`rate [requests/s]` is a column of numbers with that unit, `value []` one without."""
    name, bracket, unit = text.partition(" [")
    title = name[:1].upper() + name[1:]
    return Column(title=title, unit=unit.rstrip("]"), kind="number") if bracket else Column(title=title)
