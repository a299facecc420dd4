"""The tables about correctness and provenance: parity, accuracy, artifacts, machine. Pure: a Report in, Tables out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from toolkit.export.parity import LiveParity, ParityResult, TaskResult, Tolerance
from toolkit.load.certify.certification import certificate_text
from toolkit.report.report import Report
from toolkit.report.table import VERDICT, Column, Table, number_columns, text_columns
from toolkit.tensor import TensorSpec
from toolkit.tune.words import closed_text


def parity_table(report: Report) -> Table:
    """Every comparison with the original model: exported, and through the server under load."""
    rows = [row for p in report.export_parity for row in _parity_rows(f"Exported {p.artifact}", p.result)]
    rows += _live_rows(report.live_parity)
    return Table(
        caption="Answers compared with the original model at batch 1",
        columns=(
            *text_columns("What answered", "Output"),
            *number_columns("Samples", "Elements that differ", "Largest difference", "Relative", "Tolerance"),
            VERDICT,
        ),
        rows=tuple(rows),
    )


def _live_rows(live: LiveParity | None) -> list[tuple[str, ...]]:
    what = "Server, under load"
    if live is None:
        return [(what, "–", "–", "–", "–", "–", "–", "NOT DONE")]
    if live.result is None:
        return [(what, "–", f"{live.requests:,}", "–", "–", "–", "–", live.outcome)]
    return _parity_rows(what, live.result, live.outcome)


def _parity_rows(what: str, result: ParityResult, outcome: str = "") -> list[tuple[str, ...]]:
    return [
        (
            what,
            output.output,
            f"{result.samples:,}",
            f"{output.mismatches:,} of {output.elements:,}",
            f"{output.max_absolute:.2g}",
            f"{output.max_relative:.2g}",
            _tolerance_text(output.tolerance),
            outcome or _passed(output.mismatches == 0 and not output.problem),
        )
        for output in result.outputs
    ] or [(what, "–", f"{result.samples:,}", "–", "–", "–", "–", outcome or _passed(result.passed))]


def _tolerance_text(tolerance: Tolerance) -> str:
    if not tolerance.absolute and not tolerance.relative:
        return "exact"
    return f"{tolerance.absolute:g} + {tolerance.relative:g}·|ref|"


def _passed(passed: bool) -> str:
    return "PASS" if passed else "FAIL"


def parity_notes(report: Report) -> tuple[str, ...]:
    """What each comparison was, and what it said."""
    notes = [_note(f"Exported {p.artifact}", p.result) for p in report.export_parity]
    return (*notes, *_live_notes(report.live_parity))


def _note(what: str, result: ParityResult) -> str:
    sizes = f" Batch sizes {', '.join(map(str, result.batch_sizes))}." if result.batch_sizes else ""
    return f"{what}: {_passed(result.passed)}, {closed_text(result.reason)}{sizes}"


def _live_notes(live: LiveParity | None) -> Iterable[str]:
    if live is None:
        yield "Through the server: not compared in this run."
        return
    sent = f"{live.requests:,} requests from {live.clients} clients at once, {live.failures:,} failed."
    yield f"Through the server: {live.outcome}, {closed_text(live.reason)} {sent}"
    if live.result is not None and not live.result.outputs:
        yield closed_text(live.result.reason)
    for evidence in live.evidence:
        if evidence.mean_rows is not None:
            yield f"{evidence.model}: {evidence.mean_rows:.2f} sequences in one step, on average."
            continue
        sizes = sorted(evidence.executions.items(), key=lambda item: (len(item[0]), item[0]))
        said = ", ".join(f"{size} ({count:,})" for size, count in sizes) or "none"
        yield f"{evidence.model}: executions by batch size {said}."


def accuracy_table(report: Report) -> Table:
    """The task metric on labelled samples, before and after."""
    named = [(f"Exported {p.artifact}", p.result.task) for p in report.export_parity]
    rows = [_task_row(what, task) for what, task in (*named, ("Server, under load", report.accuracy)) if task]
    columns = (
        *text_columns("What answered", "Metric"),
        *number_columns("Original model", "Here", "Samples", "Answers that differ"),
    )
    return Table(caption="Accuracy on labelled samples", columns=columns, rows=tuple(rows))


def _task_row(what: str, task: TaskResult) -> tuple[str, ...]:
    figures = f"{task.reference:.4f}", f"{task.answers:.4f}", f"{task.samples:,}", f"{task.disagreements:,}"
    return (what, task.metric, *figures)


def recall_table(report: Report) -> Table:
    """What each served index finds of what exact search finds."""
    columns = (
        Column(title="Entry", kind="code"),
        *text_columns("Measured"),
        *number_columns("Asked", "Found", "95 % interval", "Queries"),
        VERDICT,
    )
    rows = tuple(
        (
            r.entry,
            f"recall@{r.k}",
            f"{r.asked:g}",
            f"{r.recall:.4f}",
            f"{r.low:.4f} to {r.high:.4f}",
            f"{r.queries:,}",
            r.outcome,
        )
        for r in report.index_recall
    )
    return Table(caption="Vector indexes against exact search, through the server", columns=columns, rows=rows)


def quality_table(report: Report) -> Table:
    """The customer's models beside what else could answer, by the PoC's own code."""
    systems = tuple(dict.fromkeys(system for q in report.quality for system in q.values))
    rows = tuple((q.metric, *(f"{q.values[s]:.4f}" if s in q.values else "-" for s in systems)) for q in report.quality)
    columns = (*text_columns("Metric"), *number_columns(*(s[:1].upper() + s[1:] for s in systems)))
    return Table(caption="Quality on held-out data", columns=columns, rows=rows)


def steps_table(report: Report) -> Table:
    """The repository entries that one request passes."""
    columns = (Column(title="Entry", kind="code"), Column(title="Backend", kind="code"), Column(title="What it does"))
    rows = tuple((step.name, step.backend, step.role) for step in report.steps)
    return Table(caption="What one request passes", columns=columns, rows=rows)


def artifacts_table(report: Report) -> Table:
    """The exported models, with what identifies them."""
    columns = (
        Column(title="Artifact", kind="code"),
        *text_columns("Format", "Precision"),
        *text_columns("Inputs", "Outputs"),
        Column(title="SHA-256", kind="code"),
    )
    rows = tuple(
        (
            a.name,
            a.format + (f", opset {a.opset}" if a.opset else ""),
            a.precision,
            _tensors(a.signature.inputs),
            _tensors(a.signature.outputs),
            a.sha256[:12],
        )
        for a in report.artifacts
    )
    return Table(caption="Exported models", columns=columns, rows=rows)


def _tensors(specs: Iterable[TensorSpec]) -> str:
    return "; ".join(f"{s.name} {s.dtype} [{', '.join(map(str, s.shape))}]" for s in specs)


def machine_table(report: Report) -> Table:
    """The machine that every figure comes from."""
    e = report.environment
    if not e.is_known:
        unknown = ("Machine", "not known: the result of another tool was imported")
        return Table(caption="Machine", columns=text_columns("Part", "Found"), rows=(unknown,))
    rows = (
        ("CPU", f"{e.cpu}, {e.cores:g} usable cores"),
        ("Memory", f"{e.memory_bytes / 2**30:.1f} GiB"),
        ("GPU", "; ".join(f"{g.name}, {g.memory_bytes / 2**30:.0f} GiB, driver {g.driver}" for g in e.gpus) or "none"),
        ("System", e.system + (", in a container" if e.in_container else "")),
        ("Python", e.python),
        ("Load engine", certificate_text(next((m.certificate for m in report.measurements if m.certificate), None))),
    )
    return Table(
        caption="Machine of the load generator" if report.remote else "Machine",
        columns=text_columns("Part", "Found"),
        rows=rows,
    )


def versions_table(report: Report) -> Table:
    """The versions that were installed."""
    return _pairs("Versions", report.environment.packages | report.versions)


def seeds_table(report: Report) -> Table:
    """The seeds that make the run repeatable."""
    return _pairs("Seeds", report.seeds)


def _pairs(caption: str, values: Mapping[str, object]) -> Table:
    rows = tuple((name, str(value)) for name, value in values.items() if value != "")
    return Table(caption=caption, columns=(Column(title="Name"), Column(title="Value", kind="code")), rows=rows)
