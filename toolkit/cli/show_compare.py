"""How a comparison and an import look on a terminal and in `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli import show
from toolkit.records import to_data

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.load.difference import Difference
    from toolkit.load.importers.results import Results
    from toolkit.workflow.comparison import AtLoad, Comparison, Side

#: The one figure that is not a time.
THROUGHPUT = "throughput"
COLUMNS = ("load", "figure", "A []", "B []", "change [%]", "95 % interval [%]", "rounds []")


def comparison(found: Comparison, run: Path | None, *, as_json: bool) -> None:
    """The differences, what they say in words, and the gates."""
    if as_json:
        show.document({"run": run} | to_data(found))
        return
    show.out.print(f"A: {_side(found.a)}\nB: {_side(found.b)}\n{found.how}", markup=False)
    for change in found.changed:
        show.out.print(f"{change.what}: {change.a or 'none'} in A, {change.b or 'none'} in B", markup=False)
    show.table(COLUMNS, [row for at in found.loads for row in _rows(at)])
    for at in found.loads:
        for text in (*at.sentences, *at.left_out):
            show.out.print(f"{at.text}: {text}", markup=False)
    if found.only_in_one:
        show.out.print(f"measured in one of them only: {', '.join(found.only_in_one)}", markup=False)
    for gate in found.gates:
        show.out.print(f"{gate.gate} at {gate.load} {show.coloured(gate.outcome)}: ", end="")
        show.out.print(gate.reason, markup=False)
    count = sum(d.low is not None for at in found.loads for d in at.differences)
    if count:
        text = f"each interval holds with 95 %: of {count}, {count / 20:.1g} may be expected to miss by chance alone"
        show.out.print(text, markup=False)
    if run is not None:
        show.out.print(f"run folder: {run}", markup=False)


def _side(side: Side) -> str:
    return f"{side.run} ({side.candidate}, {side.engine})"


def _rows(at: AtLoad) -> list[list[str]]:
    return [[at.text, _name(d), *_figures(d), str(d.rounds or "-")] for d in at.differences]


def _name(difference: Difference) -> str:
    return "throughput [1/s]" if difference.metric == THROUGHPUT else f"{difference.metric} [ms]"


def _figures(difference: Difference) -> list[str]:
    scale = 1.0 if difference.metric == THROUGHPUT else 1e3
    interval = "-"
    if difference.low is not None and difference.high is not None:
        interval = f"{100 * difference.low:+.1f} to {100 * difference.high:+.1f}"
    return [f"{difference.a * scale:.4g}", f"{difference.b * scale:.4g}", f"{100 * difference.change:+.1f}", interval]


def imported(run: Path, results: Results, *, as_json: bool) -> None:
    """What a file held, a line for each load."""
    measurements = [(point.variant, point.measurement) for point in results.points]
    if as_json:
        told = {"tool": results.tool, "version": results.version, "model": results.model}
        show.document({"run": run} | told | {"points": [m for _, m in measurements]})
        return
    columns = ("result", "load", "p50 [ms]", "p99 [ms]", "rate [1/s]", "single requests")
    rows = []
    for point, (variant, m) in zip(results.points, measurements, strict=True):
        times = m.service if m.latency.is_empty else m.latency
        known = {quantile.q: f"{quantile.value_s * 1e3:.2f}" for quantile in times.quantiles}
        label = f"{m.engine} {variant}".strip() + (" (service time)" if m.latency.is_empty else "")
        kept = "yes" if point.records is not None else "no"
        rows.append([label, m.load.name, known.get(0.5, "-"), known.get(0.99, "-"), f"{m.throughput_per_s:.1f}", kept])
    show.table(columns, rows)
    show.out.print(f"run folder: {run}", markup=False)
