"""How a capacity plan looks on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli import show

if TYPE_CHECKING:
    from toolkit.size.plan import CapacityPlan


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
