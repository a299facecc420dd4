"""The rooflines of a run: its exported models counted, and held against this CPU and the catalogue's GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.artifact import Artifact
from toolkit.environment import cache_folder, environment_here
from toolkit.errors import ToolkitError
from toolkit.export.operations import count_operations
from toolkit.load.measurement import Measurement, ModelSplit
from toolkit.records import write_json
from toolkit.size.catalogue import read_catalogue
from toolkit.size.cpu_peak import peak_here
from toolkit.size.roofline import ModelRoofline, Rooflines, Work, peak_of, roofline_of
from toolkit.tune.decision import ranked
from toolkit.workflow.build import read_artifacts
from toolkit.workflow.report import ROOFLINES, trials_of
from toolkit.workflow.runs import Manifest, read_manifest


def draw_rooflines(run: Path, *, keep: bool = True) -> tuple[ModelRoofline, ...]:
    """The roofline of each exported ONNX model of a run; kept as `rooflines.json` unless told otherwise.

    This CPU's peaks are used only for figures of this very environment. A model whose graph cannot be counted, and one
    that counts to nothing, is left out.
    """
    manifest = read_manifest(run)
    leaders = ranked(trials_of(run, manifest))
    measurement = leaders[0][1].measurement if leaders else None
    lines = (_line(run, manifest, artifact, measurement) for artifact in read_artifacts(run))
    found = tuple(line for line in lines if line is not None)
    if keep and found:
        write_json(run / ROOFLINES, Rooflines(models=found))
    return found


def _line(run: Path, manifest: Manifest, artifact: Artifact, measurement: Measurement | None) -> ModelRoofline | None:
    work = work_of(run, artifact)
    if work is None or not work.flops:
        return None
    splits = [s for s in (measurement.models if measurement else ()) if s.model == artifact.name]
    window_s = measurement.window_s if measurement else None
    batch, reached = rows_of(splits, window_s)
    on_this_cpu = manifest.device == "CPU" and environment_here() == manifest.environment
    peaks = (peak_of(name, gpu, artifact.precision) for name, gpu in read_catalogue().gpus.items())
    return roofline_of(
        artifact.name,
        work,
        precision=artifact.precision,
        batch=batch,
        reached_per_s=reached,
        here=peak_here(cache_folder()) if on_this_cpu else None,
        others=tuple(peak for peak in peaks if peak is not None),
    )


def work_of(run: Path, artifact: Artifact) -> Work | None:
    """What one inference takes, counted at batch 1; None for what is no ONNX graph, or cannot be counted."""
    file = next((name for name in artifact.files if name.endswith(".onnx")), None)
    if file is None:
        return None
    try:
        counted = count_operations(run / "artifacts" / artifact.name / file)
    except ToolkitError:
        return None
    return Work(
        flops=counted.flops,
        weight_bytes=counted.weight_bytes,
        activation_bytes=counted.activation_bytes,
        uncounted=len(counted.uncounted),
    )


def rows_of(splits: Sequence[ModelSplit], window_s: float | None) -> tuple[int, float | None]:
    """The mean batch size, and the rows a second that were executed; 1 and None without statistics."""
    executions = sum(batch.executions for split in splits for batch in split.batches)
    rows = sum(batch.executions * batch.size for split in splits for batch in split.batches)
    if not executions or not window_s:
        return 1, None
    return max(1, round(rows / executions)), rows / window_s
