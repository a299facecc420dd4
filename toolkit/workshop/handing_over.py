"""What the notebooks decided, as one report and one bundle to take away."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from IPython.display import display

from toolkit.records import read_json
from toolkit.tune.decision import Decision
from toolkit.workflow.handover import BUNDLE, hand_over, run_or_reason
from toolkit.workflow.report import DECISION
from toolkit.workflow.runs import RUNS
from toolkit.workshop import actions
from toolkit.workshop.actions import ROOT, short
from toolkit.workshop.deciding import bundle
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import Table, same_as

MEND = "press Run > Run All Cells in its notebook, or: toolkit run pocs/NAME"


@plainly
def decided(runs: Sequence[str]) -> Table:
    """Which of the runs (`latest:<poc>`, or folders) are there and decided; nothing is written."""
    found = {text: run_or_reason(text, ROOT / RUNS) for text in runs}
    rows = tuple(_decided_row(text, run) for text, run in found.items())
    there = sum(isinstance(run, Path) for run in found.values())
    caption = f"{there} of {len(rows)} runs are there" + ("" if there == len(rows) else f"; of the others: {MEND}")
    return Table(columns=("run", "folder", "decision"), rows=rows, caption=caption)


def _decided_row(text: str, run: Path | str) -> tuple[str, str, str]:
    if isinstance(run, str):
        return text, "missing", run
    return text, short(run), read_json(run / DECISION, Decision).sentence


@plainly
def handover(runs: Sequence[str], *, output: str = "handover", title: str = "Handover") -> Table:
    """Collect runs into one report and one bundle below `output`; a second time replaces the first.

    What is missing or did not pass is in the table, with the reason.
    """
    place = ROOT / output
    same_as(actions.handover(runs, place, title))
    found = hand_over(runs, place, root=ROOT / RUNS, title=title)
    if found.bundle is not None:
        display(bundle(found.bundle, found.validation))
    rows = tuple((r.title, r.outcome or "MISSING", r.said, "yes" if r.in_bundle else "no") for r in found.runs)
    passed = sum(r.outcome == "PASS" for r in found.runs)
    served = sum(r.in_bundle for r in found.runs)
    why = f"none: {found.no_bundle}" if found.bundle is None else short(found.bundle)
    caption = (
        f"{found.outcome}: {passed} of {len(rows)} use cases passed, {served} are in {BUNDLE}/ "
        f"(report: {short(found.page)}; bundle: {why})"
    )
    columns = ("use case", "verdict", "what was decided", "in the bundle")
    return Table(columns=columns, rows=rows, caption=caption)
