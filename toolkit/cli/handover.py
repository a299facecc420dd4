"""`toolkit handover`: what several runs decided, as one report and one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import Json


def handover(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Run folders, or latest:<poc>.")],
    output: Annotated[Path, typer.Option("--output", help="A folder: new, empty, or of an earlier handover.")],
    title: Annotated[str, typer.Option("--title", help="What stands on the first page.")] = "Handover",
    allow_unproven: Annotated[bool, typer.Option("--allow-unproven", help="Bundle also what did not pass.")] = False,
    redact: Annotated[bool, typer.Option("--redact", help="The report without the customer's names.")] = False,
    word: Annotated[list[str], typer.Option("--word", help="Another word to redact; may be repeated.")] = [],
    json: Json = False,
) -> None:
    """The decisions of several runs as one report and one bundle; exit code 1 unless all passed."""
    from toolkit.workflow.handover import hand_over

    found = hand_over(
        runs, output, title=title, allow_unproven=allow_unproven, redact=redact or bool(word), words=tuple(word)
    )
    if json:
        show.document(found)
    else:
        rows = [(run.title, run.outcome or "MISSING", run.said, "yes" if run.in_bundle else "no") for run in found.runs]
        show.table(("use case", "verdict", "what was decided", "in the bundle"), rows)
        bundle = found.bundle or f"none: {found.no_bundle}"
        show.out.print(f"report: {found.page}\nbundle: {bundle}", markup=False)
    raise typer.Exit(0 if found.outcome == "PASS" else 1)


COMMANDS = (handover,)
