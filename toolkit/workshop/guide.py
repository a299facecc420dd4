"""The steps of a workshop, each one call that shows its result and prints the command that does the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.display import display

from toolkit.export.inspect import inspect_model
from toolkit.models.source import source_from_path
from toolkit.poc import Poc, read_poc
from toolkit.records import files_below, read_json
from toolkit.tune.decision import Decision
from toolkit.workflow.command_line import command_line
from toolkit.workflow.doctor import examine
from toolkit.workflow.report import DECISION
from toolkit.workflow.run import run_poc
from toolkit.workflow.runs import RUNS
from toolkit.workshop.views import LiveCurve, Table, plainly

ROOT = Path(__file__).parents[2]


def preflight() -> Table:
    """What is here and what is missing, with the mend beside it."""
    _same_as("doctor")
    rows = tuple((c.name, c.state, c.found, c.mend) for c in examine())
    return Table(columns=("check", "state", "found", "mend"), rows=rows)


@plainly
def open_poc(folder: str) -> Poc:
    """Read a PoC folder, relative to where the notebook's project stands. POC_FAST=1 gives its smoke sizes."""
    place = Path(folder) if Path(folder).is_dir() else ROOT / folder
    return read_poc(place)


@plainly
def inspect(poc: Poc) -> Table:
    """What the customer's model is: framework, parameters, size, inputs and outputs."""
    source = poc.source_of(poc.model)
    _same_as("inspect", _short(source))
    found = inspect_model(source_from_path(source), arguments=poc.file.arguments)
    signature = found.signature
    tensors = [(f"input {t.name}", t.text()) for t in signature.inputs] if signature else []
    tensors += [(f"output {t.name}", t.text()) for t in signature.outputs] if signature else []
    facts = [
        ("framework", found.framework),
        ("parameters", f"{found.parameters:,}"),
        ("bytes", f"{found.size_bytes:,}"),
    ]
    return Table(columns=("what", "value"), rows=tuple((*facts, *tensors)))


@plainly
def run(poc: Poc, *, resume: bool = True) -> Path:
    """Export, serve and measure, while the latency-throughput curve grows. Returns the run folder.

    After a kernel restart the same call goes on where it was.
    """
    options = {"smoke": poc.smoke, "resume": resume, "no_publish": True}
    command = command_line("run", _short(str(poc.folder)), options=options)
    print(command)  # noqa: T201 - the cell's answer
    view = LiveCurve(poc.slo)
    display(view.widget)
    folder, _ = run_poc(poc, command=command, root=ROOT / RUNS, resume=resume, progress=view.say, watch=view.watch)
    view.finish(folder)
    return folder


def decision(run: Path) -> None:
    """The decision of a run in one sentence."""
    _same_as("report", _short(str(run)))
    print(read_json(run / DECISION, Decision).sentence)  # noqa: T201 - the cell's answer


def bundle(run: Path) -> Table:
    """The files of the deployment bundle that a PASS leaves."""
    _same_as("deploy", _short(str(run)), options={"target": "compose", "output": "bundle"})
    folder = run / "deploy"
    names = files_below(folder) if folder.is_dir() else ()
    sizes = tuple((name, f"{(folder / name).stat().st_size:,} bytes") for name in names)
    return Table(columns=("file", "size"), rows=sizes or (("no bundle", "the run did not pass"),))


def _same_as(verb: str, *arguments: object, options: dict[str, Any] | None = None) -> None:
    print(command_line(verb, *arguments, options=options))  # noqa: T201 - the cell's answer


def _short(path: str) -> str:
    """A path relative to the project, where it lies within."""
    return path.removeprefix(f"{ROOT}/")
