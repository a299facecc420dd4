"""How a diagnosis looks: where the time goes, what limits and its remedy, and its `--json` document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli.show import document, out, table
from toolkit.records import to_data

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.tune.trace import TraceSummary
    from toolkit.workflow.diagnosis import Applied, Diagnosis

MOST_OPERATORS = 5


def diagnosis(run: Path, found: Diagnosis, *, as_json: bool) -> None:
    """The tables, or the document."""
    from toolkit.tune.words import percent_text, time_text

    if as_json:
        document({"run": run, **to_data(found)})
        return
    for when, shares in found.shares.items():
        parts = ", ".join(f"{name} {percent_text(share)}" for name, share in shares.items() if share >= 0.01)
        out.print(f"of the mean latency with {when}: {parts or 'not known'}", markup=False)
    for model, profile in found.profiles.items():
        names = ", ".join(f"{o.operator} {percent_text(o.share)}" for o in profile.operators[:MOST_OPERATORS])
        out.print(f"{model} alone: {time_text(profile.execution_s)} an execution; {names}", markup=False)
    out.print()
    if found.findings:
        rows = [(f.limit, f.model, f"{f.figure:.3g}", f"{f.threshold:g}", f.evidence, f.remedy) for f in found.findings]
        table(("limit", "model", "figure []", "threshold []", "evidence", "remedy"), rows)
    else:
        out.print("nothing is named: every figure is below its threshold")
    _others(found)
    out.print(f"run: {run}", markup=False)


def _others(found: Diagnosis) -> None:
    if found.trace:
        _trace(found.trace)
    if found.applied:
        _applied(found.applied)
    for text in found.not_examined:
        out.print(f"not examined: {text}", markup=False)


def _trace(trace: TraceSummary) -> None:
    from toolkit.tune.words import percent_text, time_text

    shares = f"busy {percent_text(trace.busy_share)}, gaps {percent_text(trace.gap_share)}"
    out.print(
        f"{trace.source} ({trace.device}), {time_text(trace.span_s)}: {shares}, "
        f"copies {percent_text(trace.copy_share)}, longest gap {time_text(trace.longest_gap_s)}",
        markup=False,
    )
    rows = [(k.name[:80], str(k.count), f"{1e3 * k.total_s:.4g}") for k in trace.kernels]
    table(("kernel", "runs []", "time [ms]"), rows)


def _applied(applied: Applied) -> None:
    from toolkit.tune.words import rate_text, time_text

    out.print(
        f"remedy against '{applied.limit}' applied: p50 with one client {time_text(applied.p50_before_s)} -> "
        f"{time_text(applied.p50_after_s)}, with many {rate_text(applied.throughput_before_per_s)} -> "
        f"{rate_text(applied.throughput_after_per_s)} requests/s; named then: "
        f"{', '.join(applied.findings_after) or 'nothing'}",
        markup=False,
    )
