"""How a search for the best configuration looks: a table of what was tried, the decision, and its `--json` document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli.show import COLOURS, document, out, table
from toolkit.records import to_data

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.tune.tuned import Standing, Tuned

COLUMNS = ("configuration", "windows []", "rate [1/s]", "95 % interval [1/s]", "why")
#: Rows that are shown; the run folder has all of them.
MOST_ROWS = 15


def tuned(run: Path, answer: Tuned, *, as_json: bool) -> None:
    """The configurations that were tried, the chosen one first, and the decision."""
    if as_json:
        document(tuned_document(run, answer))
        return
    table(COLUMNS, [_row(standing) for standing in answer.standings[:MOST_ROWS]])
    more = len(answer.standings) - MOST_ROWS
    if more > 0:
        out.print(f"and {more} more in {run}/tuned.json", markup=False)
    untried = answer.configurations - len(answer.standings)
    if untried:
        out.print(f"{untried} were not tried: the model of the batcher expected least of them", markup=False)
    out.print()
    decision = answer.decision
    out.print(decision.sentence, markup=False, style=f"bold {COLOURS.get(decision.outcome, 'yellow')}")
    if answer.gap is not None:
        out.print(f"exhaustive check: the chosen one is {100 * answer.gap:.1f} % below the best of all", markup=False)
    if decision.candidate:
        out.print(f"configuration: {run}/chosen", markup=False)
    out.print(f"run: {run}", markup=False)


def tuned_document(run: Path, answer: Tuned) -> dict[str, Any]:
    """The JSON document, units in the keys."""
    return {"run": run, **to_data(answer)}


def _row(standing: Standing) -> list[str]:
    if standing.rate_per_s is None:
        return [standing.candidate, str(standing.windows), "", "", standing.reason]
    interval = f"{standing.low:.5g} to {standing.high:.5g}"
    return [standing.candidate, str(standing.windows), f"{standing.rate_per_s:.5g}", interval, standing.reason]
