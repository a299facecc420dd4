"""How a capacity plan and an audit look on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli import show

if TYPE_CHECKING:
    from toolkit.size.plan import CapacityPlan
    from toolkit.workflow.audit import Audit


def plan(run: Path, made: CapacityPlan, *, as_json: bool) -> None:
    """The plan's sentence, its figures with their intervals, and where it was written."""
    if as_json:
        show.document({"run": run, "plan": made, "report": run / "report.html"})
        return
    from toolkit.size import words

    show.out.print(words.sentence(made), markup=False, style="bold")
    show.table(("figure", "value []", "95 % interval or range []", "basis", "from"), words.figure_rows(made))
    for title, columns, rows in words.tables(made):
        if rows:
            show.out.print()
            show.table(columns, rows, title=title)
    show.out.print()
    for line in (made.client_share, *made.assumptions):
        show.out.print(f"- {line}", markup=False)
    show.out.print(f"plan: {run / 'plan.json'}\nreport: {run / 'report.html'}", markup=False)


def audit(found: Audit, *, as_json: bool) -> None:
    """What was computed again, and every place that differs."""
    if as_json:
        show.document(found)
        return
    if found.altered:
        show.table(("evidence", "what"), tuple(found.altered.items()))
    if found.differences:
        rows = tuple((d.where, d.reported, d.computed) for d in found.differences)
        show.table(("where", "reported", "computed from the evidence"), rows)
    state = show.coloured("PASS" if found.passed else "FAIL")
    show.out.print(f"audit {state}  ", end="")
    text = (
        f"{found.points} points computed again from their records, {found.figures:,} numbers compared, "
        f"{found.files} files of evidence hashed"
    )
    show.out.print(text, markup=False)
    for name in found.taken:
        show.out.print(f"- taken as it was sealed: {name}", markup=False)
