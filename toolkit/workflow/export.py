"""`toolkit export`: one model to an artifact folder with its parity, or to a ladder of precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.artifact import Artifact
from toolkit.deploy.spec import TRITON_IMAGE
from toolkit.errors import ExportFailed, UsageError
from toolkit.export.confinement import Limits
from toolkit.export.engine_export import engine_options, export_engine
from toolkit.export.export import export
from toolkit.export.ladder import Ladder, export_ladder
from toolkit.export.parity import ParityResult, top1
from toolkit.export.precision import PRECISIONS, precisions_from_text
from toolkit.export.spec import ExportSpec
from toolkit.load.duration import seconds_from_text
from toolkit.models.source import source_from_path
from toolkit.records import read_json
from toolkit.tensor import tensor_from_text
from toolkit.workflow.runs import Progress


def export_spec(
    inputs: Sequence[str], *, samples: Path | None, opset: int, limits: Limits, python: Path | None
) -> ExportSpec:
    """The options of the command line as a spec. Raises UsageError."""
    tensors = tuple(tensor_from_text(text) for text in inputs)
    return ExportSpec(inputs=tensors, samples=samples, opset=opset, limits=limits, python=python)


def worker_options(timeout: str, memory_mib: float | None, python: Path | None) -> dict[str, Any]:
    """How the worker runs, as ExportSpec and `inspect_model` take it. Raises UsageError."""
    time_s = seconds_from_text(timeout)
    if time_s <= 0 or (memory_mib is not None and memory_mib <= 0):
        raise UsageError("--timeout and --memory are more than zero", mend="for example --timeout 10m --memory 8000")
    memory = None if memory_mib is None else int(memory_mib * 2**20)
    return {
        "limits": Limits(time_s=time_s, memory_bytes=memory),
        "python": None if python is None else python.absolute(),
    }


def export_model(
    model: str,
    folder: Path,
    *,
    name: str | None,
    spec: ExportSpec,
    trust: bool,
    precision: str = "fp32",
    progress: Progress,
) -> tuple[Artifact, ParityResult]:
    """Export MODEL into `folder`, which must be absent or empty. Returns the artifact and its parity."""
    _check_new(folder)
    source, spec = source_from_path(model, trust=trust), replace(spec, precision=precision)
    artifact = export(source, spec, folder, name=name or folder.resolve().name, task=top1, progress=progress)
    return artifact, read_json(folder / "parity.json", ParityResult)


def export_precisions(
    model: str,
    folder: Path,
    *,
    precisions: str,
    budget: float,
    name: str | None,
    spec: ExportSpec,
    trust: bool,
    progress: Progress,
) -> tuple[Ladder, bool]:
    """Export MODEL into a folder for each of `precisions` ("fp32,int8"), float32 always among them.

    Returns the ladder, and whether the float32 model and one of the precisions that were asked for were accepted.
    """
    wanted = precisions_from_text(precisions)
    _check_new(folder)
    if not 0 <= budget < 1:
        raise UsageError(f"--accuracy-budget {budget:g} is not a share from 0 to 1", mend="for example 0.01")
    source = source_from_path(model, trust=trust)
    if source.task == "causal-lm":
        raise UsageError(f"{model} is a language model: it is exported in fp32 or int4", mend="--precision int4")
    ladder = export_ladder(
        source,
        spec,
        folder,
        precisions=wanted,
        name=name or folder.resolve().name,
        budget=budget,
        task=top1,
        progress=progress,
    )
    accepted = {rung.precision for rung in ladder.rungs if rung.accepted}
    return ladder, "fp32" in accepted and bool(accepted & set(wanted))


def export_to_engine(
    model: str, folder: Path, *, precisions: str, budget: float, max_batch_size: int, progress: Progress, **given: Any
) -> tuple[Artifact, ParityResult]:
    """Export MODEL to ONNX in one precision, and that to a TensorRT engine.

    `given` is what `export_precisions` takes besides. The engine is in `folder/engine`. Raises ExportFailed when the
    precision is rejected, and MissingDependency without TensorRT: the script that builds it elsewhere is there then.
    """
    wanted = precisions_from_text(precisions)
    if len(wanted) != 1 or PRECISIONS[wanted[0]].target == "CPU":
        fitting = ", ".join(name for name, kind in PRECISIONS.items() if kind.target != "CPU")
        raise UsageError(f"--format tensorrt takes one --precision, of: {fitting}")
    ladder, accepted = export_precisions(model, folder, precisions=wanted[0], budget=budget, progress=progress, **given)
    if not accepted:
        raise ExportFailed(f"no engine is built from {wanted[0]}: {ladder.rungs[-1].reason}", mend=f"see {folder}")
    progress("building the engine")
    base, engine = folder / wanted[0], folder / "engine"
    options = engine_options(base, max_batch_size=max_batch_size)
    artifact = export_engine(base, engine, options, image=TRITON_IMAGE, budget=budget, task=top1)
    return artifact, read_json(engine / "parity.json", ParityResult)


def _check_new(folder: Path) -> None:
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise UsageError(f"{folder} exists already and is not empty", mend="choose another --output")
