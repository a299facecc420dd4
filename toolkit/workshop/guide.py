"""The steps of a workshop from preflight to clean-up, each one call that shows its result and how to do it without."""

from __future__ import annotations

import atexit
from pathlib import Path

from IPython.display import display

from toolkit.errors import UsageError
from toolkit.export.inspect import inspect_model
from toolkit.export.parity import OutputParity, ParityResult
from toolkit.models.source import source_from_path
from toolkit.records import read_json
from toolkit.repository.lint import lint_repository
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Server
from toolkit.tensor import TensorSpec
from toolkit.tune.decision import Decision
from toolkit.workflow.build import read_artifacts
from toolkit.workflow.doctor import examine
from toolkit.workflow.proofs import proofs
from toolkit.workflow.report import DECISION, decide_run, export_parities, write_report
from toolkit.workflow.run import build_poc, run_poc
from toolkit.workflow.runs import RUNS, finish_run, latest_run, locked, repository_of
from toolkit.workshop import actions
from toolkit.workshop.actions import ROOT, short
from toolkit.workshop.curves import LiveCurve, curve, tokens
from toolkit.workshop.live import Stopped
from toolkit.workshop.opened import Opened
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import Table, same_as
from toolkit.workshop.turn import turn


def preflight() -> Table:
    """What is here and what is missing, with the mend beside it."""
    same_as(actions.doctor())
    found = examine()
    ready = sum(check.state == "ok" for check in found)
    missing = [check.name for check in found if check.state == "missing"]
    verdict = (
        f"FAIL: mend first: {', '.join(missing)}" if missing else "PASS: everything that the workshop needs is here"
    )
    rows = tuple((c.name, c.state, c.found, c.mend) for c in found)
    caption = f"{verdict} ({ready} of {len(found)} checks ok; optional ones do not stop you)"
    return Table(columns=("check", "state", "found", "mend"), rows=rows, caption=caption)


@plainly
def inspect(opened: Opened) -> Table:
    """What the customer's model is: framework, parameters, size, inputs and outputs."""
    poc = opened.poc
    source = poc.source_of(poc.model)
    same_as(actions.inspect(source))
    found = inspect_model(source_from_path(source), arguments=poc.file.arguments)
    facts = [
        ("framework", found.framework),
        ("parameters", f"{found.parameters:,}"),
        ("bytes", f"{found.size_bytes:,}"),
    ]
    sides = (("input", found.signature.inputs), ("output", found.signature.outputs)) if found.signature else ()
    tensors = [_tensor_row(side, t) for side, specs in sides for t in specs]
    unsafe = [("unsafe", short(text)) for text in found.unsafe] + [("to install first", text) for text in found.needs]
    return Table(columns=("what", "value"), rows=(*facts, *tensors, *unsafe), caption=short(source))


def _tensor_row(side: str, tensor: TensorSpec) -> tuple[str, str]:
    return f"{side} {tensor.name}", tensor.text().partition(":")[2]


@plainly
def build(opened: Opened) -> Path:
    """Export every model in a process of its own, compare it with the original, write the repository and lint it.

    Shows the parity and what the linter says. Returns the run folder; after a kernel restart the same call takes what
    is there.
    """
    action = actions.build(opened.poc, opened.changes)
    same_as(action)
    run, repository = build_poc(opened.poc, command=action.line, root=opened.root, resume=True)
    display(parity(run))
    if repository is None:
        raise UsageError("an exported model does not answer as its original", mend=f"see {short(run)}/artifacts")
    remarks = lint_repository(repository)
    rows = tuple((r.rule, r.severity, r.entry, r.text, r.remedy) for r in remarks)
    errors = sum(r.severity == "error" for r in remarks)
    caption = f"{'FAIL' if errors else 'PASS'}: the linter finds {errors} errors in the repository"
    display(Table(columns=("rule", "severity", "entry", "what", "remedy"), rows=rows, caption=caption))
    return run


def parity(run: Path) -> Table:
    """Every exported model beside its original: the largest difference of each output, and the verdict."""
    found = {p.artifact: p.result for p in export_parities(run, read_artifacts(run))}
    rows = tuple(_parity_row(name, result, o) for name, result in found.items() for o in result.outputs)
    good = sum(result.passed for result in found.values())
    verdict = "PASS" if good == len(found) else "FAIL"
    caption = f"{verdict}: {good} of {len(found)} exported models answer as their originals"
    columns = ("model", "output", "elements compared", "largest difference", "cosine", "verdict")
    return Table(columns=columns, rows=rows, caption=caption)


def _parity_row(name: str, result: ParityResult, output: OutputParity) -> tuple[str, ...]:
    figures = f"{output.elements:,}", f"{output.max_absolute:.2e}", f"{output.cosine:.6f}"
    return name, output.output, *figures, "PASS" if result.passed else f"FAIL: {result.reason}"


@plainly
def serve(run: Path) -> Server:
    """Serve the repository of a run with a real Triton, until `clean_up`, the end of the kernel, or its own end."""
    repository = repository_of(run)
    if repository is None:
        raise UsageError(f"{short(run)} holds no repository", mend="run the cell with workshop.build again")
    same_as(actions.serve(repository))
    server = serve_embedded(repository)
    atexit.register(server.close)
    names = ", ".join(sorted(p.name for p in repository.iterdir() if p.is_dir()))
    rows = (("models ready", names), ("HTTP", server.endpoint.http), ("gRPC", server.endpoint.grpc))
    display(Table(columns=("what", "value"), rows=(*rows, ("metrics", server.endpoint.metrics))))
    return server


@plainly
def measure(opened: Opened) -> Path:
    """Measure every configuration at every load while the latency-throughput curve grows. Returns the run folder.

    Parity is checked through the live server first. Stop keeps what was measured; the same call goes on from there,
    also after a kernel restart.
    """
    action = actions.measure(opened.poc, opened.changes)
    same_as(action)
    with turn(opened.root, opened.poc.name):
        run = _measured(opened, action.line)
    display(curve(run))
    for view in tokens(run):
        display(view)
    return run


def _measured(opened: Opened, line: str) -> Path:
    run, _ = build_poc(opened.poc, command=line, root=opened.root, resume=True)
    live = LiveCurve(opened.poc.slo, run)
    live.show()
    try:
        run_poc(opened.poc, command=line, root=opened.root, resume=True, progress=live.say, watch=live.watch)
    except Stopped:
        _decide_early(run)
    finally:
        live.finish()
    return run


@plainly
def proven(run: Path) -> None:
    """What of a run is proven, in words that are the same on every machine: answers, configuration, completeness."""
    print("\n".join(proofs(run)))  # noqa: T201 - the cell's answer


def _decide_early(run: Path) -> None:
    """The decision and the report of what was measured until somebody stopped."""
    with locked(run):
        decide_run(run)
        write_report(run)
        finish_run(run)


@plainly
def latest(name: str, root: Path = ROOT / RUNS) -> Path | None:
    """The newest run of a PoC, or None: what another notebook measured."""
    found = latest_run(root, name)
    return found if found is not None and (found / DECISION).is_file() else None


@plainly
def report(run: Path) -> Table:
    """Write the report of a run again with all that was added since, and say where it is."""
    same_as(actions.report(run))
    page = write_report(run)
    names = (page, page.with_name("summary.html"), page.with_name("report.json"))
    rows = tuple((short(file), f"{file.stat().st_size:,} bytes") for file in names)
    return Table(columns=("file", "size"), rows=rows, caption=read_json(run / DECISION, Decision).sentence)


def clean_up(*servers: Server) -> Table:
    """End the servers that a notebook started; a second time changes nothing. Run folders stay."""
    for server in servers:
        server.close()
    rows = tuple((server.name, "ended") for server in servers)
    return Table(columns=("server", "state"), rows=rows or (("none", "was started"),))
