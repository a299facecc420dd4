"""One model in several precisions, each an artifact of its own, side by side with what a decision has to weigh.

In: a Source and the names of precisions. Out: a folder for each, and ladder.json: size, loss of accuracy, the time
measured on this machine, and for a rejected one the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from toolkit.artifact import Artifact
from toolkit.environment import environment_here
from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.arrays import Array, read_arrays
from toolkit.export.budget import DEFAULT_BUDGET
from toolkit.export.check import read_facts
from toolkit.export.export import export
from toolkit.export.onnxruntime import open_onnx
from toolkit.export.parity import AccuracyLoss, ParityResult, TaskMetric, TaskResult
from toolkit.export.precision import PRECISIONS
from toolkit.export.process import Progress
from toolkit.export.spec import HELD_OUT_FILE, MODEL_FILE, PARITY_FILE, SAMPLES_FILE, ExportSpec
from toolkit.export.timing import Timing, time_interleaved
from toolkit.export.variant import export_variant
from toolkit.models.source import Source
from toolkit.records import read_json, write_json

LADDER_FILE = "ladder.json"
RUNG_FILE = "rung.json"
BASE = "fp32"
TIMED_BATCHES = (1, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One variant. `artifact` is its folder below the ladder's, empty where the conversion failed.

    `loss` is what the budget is held against; float32 loses nothing. `largest_difference` is the largest absolute one
    of any element. `times` are of ONNX Runtime on this CPU, whatever
    the variant is made for; none where it has no kernels for it.
    """

    precision: str
    text: str
    target: str
    accepted: bool
    reason: str
    artifact: str = ""
    size_bytes: int = 0
    loss: AccuracyLoss | None = None
    largest_difference: float | None = None
    cosine: float | None = None
    task: TaskResult | None = None
    times: tuple[Timing, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """All variants, float32 first. `judged_on` and `calibrated_on` name samples, `machine` is where they were timed."""

    name: str
    accuracy_budget: float
    judged_on: str
    calibrated_on: str
    machine: str
    rungs: tuple[Rung, ...]


def export_ladder(
    source: Source,
    spec: ExportSpec,
    folder: Path,
    *,
    precisions: tuple[str, ...],
    name: str,
    budget: float = DEFAULT_BUDGET,
    task: TaskMetric | None = None,
    progress: Progress | None = None,
) -> Ladder:
    """Export `source` in float32 and each of `precisions` into folders of these names, and write `ladder.json`.

    A variant that cannot be made or loses more than `budget` is a rejected rung, never an exception. When the float32
    export itself is not equal to the original, nothing is converted. Raises what `export` raises.
    """
    say = progress or (lambda text: None)
    base = folder / BASE
    artifact = export(source, spec, base, name=name, task=task, progress=progress)
    if artifact.format != "onnx":
        raise ExportFailed(f"{name} is a language model, which is had in fp32 or int4", mend="use --precision int4")
    rungs = [_rung(base, artifact)]
    if artifact.parity != "failed":
        wanted = [p for p in precisions if p != BASE]
        rungs += [
            try_variant(base, folder / p, precision=p, budget=budget, task=task, progress=progress) for p in wanted
        ]
        say("timing the variants against each other")
        rungs = _timed(folder, rungs)
    origin = read_facts(base).origin or "samples of unknown origin"
    ladder = Ladder(
        name=name,
        accuracy_budget=budget,
        judged_on="labelled held-out samples" if (base / HELD_OUT_FILE).is_file() else origin,
        calibrated_on=origin,
        machine=environment_here().summary(),
        rungs=tuple(rungs),
    )
    write_json(folder / LADDER_FILE, ladder)
    return ladder


def try_variant(
    base: Path,
    folder: Path,
    *,
    precision: str,
    budget: float = DEFAULT_BUDGET,
    task: TaskMetric | None = None,
    progress: Progress | None = None,
) -> Rung:
    """Make one variant of the float32 artifact in `base`; one that cannot be made is a rejected rung.

    The rung is also written into `folder`, as `rung.json`.
    """
    kind = PRECISIONS[precision]
    try:
        rung = _rung(folder, export_variant(base, folder, precision, budget=budget, task=task, progress=progress))
    except ExportFailed as err:
        rung = Rung(precision=precision, text=kind.text, target=kind.target, accepted=False, reason=err.message)
    write_json(folder / RUNG_FILE, rung)
    return rung


def _rung(place: Path, artifact: Artifact) -> Rung:
    kind = PRECISIONS[artifact.precision]
    parity = read_json(place / PARITY_FILE, ParityResult)
    return Rung(
        precision=artifact.precision,
        text=kind.text,
        target=kind.target,
        accepted=parity.passed,
        reason=parity.reason,
        artifact=artifact.precision,
        loss=parity.loss,
        size_bytes=sum((place / file).stat().st_size for file in artifact.files),
        largest_difference=max((o.max_absolute for o in parity.outputs), default=None),
        cosine=min((o.cosine for o in parity.outputs), default=None),
        task=parity.task,
        notes=(parity.basis, *parity.notes),
    )


def _timed(folder: Path, rungs: list[Rung]) -> list[Rung]:
    """The rungs with their times, all of them measured in turn; one that this runtime cannot load goes without."""
    paths = {r.precision: folder / r.artifact / MODEL_FILE for r in rungs if r.artifact}
    runnable = {precision: path for precision, path in paths.items() if _loads(path)}
    samples = read_arrays(folder / BASE / SAMPLES_FILE)
    tables = [time_interleaved(runnable, _rows(samples, size)) for size in TIMED_BATCHES]
    timed = [replace(r, times=tuple(t[r.precision] for t in tables if r.precision in t)) for r in rungs]
    untimed = "no time: this ONNX Runtime cannot run it on the CPU"
    return [replace(r, notes=(*r.notes, untimed)) if r.artifact and not r.times else r for r in timed]


def _loads(path: Path) -> bool:
    try:
        open_onnx(path)
    except ModelRefused:
        return False
    return True


def _rows(samples: dict[str, Array], size: int) -> dict[str, Array]:
    import numpy as np

    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in samples.items()}
