"""How a ladder of precisions looks on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli import show

if TYPE_CHECKING:
    from toolkit.export.ladder import Ladder, Rung


def show_ladder(folder: Path, ladder: Ladder) -> None:
    """Each precision with its size, its loss and its times; then why the rejected ones were."""
    columns = ("precision", "for", "state", "size [MiB]", "max abs []", "cosine []", "task []")
    batches = sorted({timing.batch_size for rung in ladder.rungs for timing in rung.times})
    times = tuple(f"batch {size} [ms]" for size in batches)
    show.table((*columns, *times), [(*_figures(rung), *_times(rung, batches)) for rung in ladder.rungs])
    for rung in ladder.rungs:
        show.out.print(f"{rung.precision}: {rung.reason}", markup=False)
        for note in rung.notes if not rung.accepted else ():
            show.out.print(f"  {note}", markup=False)
    show.out.print(f"judged on {ladder.judged_on}; calibrated on {ladder.calibrated_on}", markup=False)
    show.out.print(f"times: median of interleaved runs of ONNX Runtime on this CPU ({ladder.machine})", markup=False)
    show.out.print(f"{folder / 'ladder.json'}; next: toolkit repo add {folder}/PRECISION", markup=False)


def _figures(rung: Rung) -> tuple[str, ...]:
    state = "ok" if rung.accepted else "rejected"
    if not rung.artifact:
        return rung.precision, rung.target, state, "-", "-", "-", "-"
    task = f"{rung.task.answers:.4f} ({rung.task.reference:.4f})" if rung.task else "-"
    difference, cosine = rung.largest_difference or 0.0, rung.cosine or 0.0
    size = f"{rung.size_bytes / 2**20:.2f}"
    return rung.precision, rung.target, state, size, f"{difference:.2e}", f"{cosine:.6f}", task


def _times(rung: Rung, batches: list[int]) -> tuple[str, ...]:
    medians = {timing.batch_size: timing.median_s for timing in rung.times}
    return tuple(f"{medians[size] * 1e3:.2f}" if size in medians else "-" for size in batches)
