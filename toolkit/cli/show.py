"""How values look on a terminal and in `--json`. Tables and documents go to stdout, progress to stderr."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from toolkit.records import to_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from toolkit.artifact import Artifact
    from toolkit.deploy.validate import Finding
    from toolkit.export.parity import ParityResult
    from toolkit.tune.decision import Decision
    from toolkit.workflow.bundle_verify import Verification
    from toolkit.workflow.infer import Answered

#: Where there is no terminal to measure (a pipe, a log), lines are as long as a table needs.
WIDE = 200
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else WIDE)
MOST_CHARACTERS = 2000
COLOURS = {
    **dict.fromkeys(("PASS", "ok"), "green"),
    **dict.fromkeys(("FAIL", "missing", "error", "failed"), "red"),
    **dict.fromkeys(("UNDECIDED", "skipped"), "yellow"),
}


def document(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(to_data(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """Print a table; a column whose head ends in a unit in brackets is aligned right."""
    from rich.markup import escape

    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(escape(column), justify="right" if column.endswith("]") else "left")
    for row in rows:
        shown.add_row(*(coloured(cell) for cell in row))
    out.print(shown)


def coloured(word: str) -> str:
    """A verdict or state in its colour; any other text as it is, markup escaped."""
    from rich.markup import escape

    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else escape(word)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """A function that says what is going on: a spinner with the time on a terminal, plain lines elsewhere."""
    if quiet or not err.is_terminal:
        yield (lambda text: None) if quiet else (lambda text: err.print(f"- {text}", markup=False))
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as bar:
        state: dict[str, Any] = {}

        def say(text: str) -> None:
            if "task" in state:
                bar.update(state["task"], completed=1, total=1)
            state["task"] = bar.add_task(text.replace("[", r"\["), total=1)

        yield say


def error(failure: Exception, *, debug: bool) -> None:
    """An error without its traceback: what, where, and the command that mends it. With it when `debug`."""
    from toolkit.errors import ToolkitError

    if debug:
        traceback.print_exception(failure)
    if isinstance(failure, ToolkitError):
        err.print("[red]error:[/]", end=" ")
        err.print(failure.message, markup=False)
        mend = failure.mend
    else:
        err.print(f"error: a bug of the toolkit: {type(failure).__name__}: {failure}", markup=False)
        mend = "run it again with `toolkit --debug ...` and report the traceback"
    if mend:
        err.print(f"  mend: {mend}", markup=False)


def decision(run: Path, decided: Decision, *, as_json: bool) -> None:
    """The end of a run: the decision in one sentence and where the report lies."""
    if as_json:
        document({"run": run, "decision": decided, "report": run / "report.html"})
        return
    out.print()
    out.print(decided.sentence, markup=False, style=f"bold {COLOURS.get(decided.outcome, 'yellow')}")
    out.print(f"report: {run / 'report.html'}", markup=False)
    if (run / "deploy").is_dir():
        out.print(f"bundle: {run / 'deploy'}", markup=False)


def parity(folder: Path, artifact: Artifact, result: ParityResult) -> None:
    """What was exported, and how close its answers are to the original's."""
    rows = [
        (
            o.output,
            f"{o.max_absolute:.2e}",
            f"{o.tolerance.absolute:.1e} + {o.tolerance.relative:.1e} |y|",
            f"{o.cosine:.6f}",
            f"{o.mismatches} of {o.elements}",
            o.problem,
        )
        for o in result.outputs
    ]
    table(("output", "max abs []", "tolerance []", "cosine []", "mismatches []", "problem"), rows)
    for line in (result.basis, *result.notes):
        out.print(line, markup=False)
    if result.task is not None:
        task = result.task
        figures = (
            f"{task.reference:.4f} before, {task.answers:.4f} after, {task.disagreements} of {task.samples} differ"
        )
        out.print(f"{task.metric}: {figures}", markup=False)
    out.print(f"parity {coloured('PASS' if result.passed else 'FAIL')}  ", end="")
    out.print(f"{result.reason}\n{folder / artifact.files[0]} (sha256 {artifact.sha256[:12]})", markup=False)


def inspection(found: dict[str, Any]) -> None:
    """What `inspect` found, a line each."""
    for key, value in found.items():
        if key == "signature" and value:
            for side in ("inputs", "outputs"):
                for t in value[side]:
                    shape = ", ".join(map(str, t["shape"]))
                    out.print(f"{side[:-1]:<12}{t['name']}: {t['dtype']} [{shape}]", markup=False)
        elif key == "operations" and value:
            out.print(f"{key:<12}{_operations(value)}", markup=False)
        elif key != "type" and value not in (None, [], {}, ""):
            out.print(f"{key:<12}{_plain(value)}", markup=False)


def _operations(counted: dict[str, Any]) -> str:
    """The cost of one inference in a line, and how much of the graph is not in it."""
    sizes = ", ".join(f"{axis} {length}" for axis, length in counted["sizes"].items())
    weights, activations = counted["weight_bytes"], counted["activation_bytes"]
    text = f"{counted['flops']:,} FLOPs, {weights:,} bytes of weights and {activations:,} of activations at {sizes}"
    missed = counted["uncounted"]
    return f"{text}; {len(missed)} nodes are not counted, the first: {missed[0]}" if missed else text


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_plain(v) if not isinstance(v, dict) else " ".join(map(str, v.values())) for v in value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def bundle(folder: Path, findings: Sequence[Finding], *, every: bool = False) -> None:
    """A bundle's folder and what the validators said; what one said of many files alike is one line, unless `every`."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for f in findings:
        place = f"{f.file} {f.document}".strip()
        groups.setdefault((f.tool, f.outcome, f.reason, place if every else ""), []).append(place)
    table(
        ("validator", "of", "outcome", "reason"),
        [(tool, p[0] if len(p) == 1 else f"{len(p)} files", what, why) for (tool, what, why, _), p in groups.items()],
    )
    out.print(f"bundle: {folder}", markup=False)


def verification(verified: Verification) -> None:
    """What came of trying a bundle: a line for each check, then where and by what it was tried."""
    table(("check", "outcome", "what was found"), [(c.name, c.outcome, c.text) for c in verified.checks])
    word = "verified" if verified.passed else "NOT verified"
    out.print(f"{word}: {verified.bundle} with {verified.program} on {verified.environment.summary()}", markup=False)


def answer(outputs: Sequence[Answered]) -> None:
    """The outputs of one inference, long ones cut."""
    for output in outputs:
        out.print(f"{output.output} {output.dtype} {list(output.shape)}", markup=False)
        text = str(output.values)
        out.print("  " + (text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " ..."), markup=False)
