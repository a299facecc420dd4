"""One variant of an exported model in a lower precision: converted in the worker, judged against the original.

In: the folder of a float32 artifact and a precision. Out: the folder of another artifact, with its parity.json: the
same samples and reference, and a verdict by the accuracy budget. A variant that loses more is kept, as failed.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from toolkit.artifact import Artifact, read_artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.errors import ToolkitError
from toolkit.export.arrays import read_arrays
from toolkit.export.budget import DEFAULT_BUDGET, compare_within_budget
from toolkit.export.check import check_parity
from toolkit.export.export import prepare_folder, write_reproduce
from toolkit.export.locate import locate_loss
from toolkit.export.parity import ParityResult, TaskMetric
from toolkit.export.precision import PRECISIONS, write_stand_in
from toolkit.export.process import Progress, run_worker
from toolkit.export.spec import (
    HELD_OUT_FILE,
    HELD_OUT_REFERENCE_FILE,
    LOG_FILE,
    MODEL_FILE,
    PARITY_FILE,
    REFERENCE_FILE,
    REQUEST_FILE,
    SAMPLES_FILE,
    ExportSpec,
    WorkerRequest,
)
from toolkit.models.onnx import external_files, opset_of, read_onnx
from toolkit.models.source import Source
from toolkit.records import digest_of_files, from_data, write_json, writing

_PROOF = (SAMPLES_FILE, REFERENCE_FILE, HELD_OUT_FILE, HELD_OUT_REFERENCE_FILE)


def export_variant(
    base: Path,
    folder: Path,
    precision: str,
    *,
    budget: float = DEFAULT_BUDGET,
    task: TaskMetric | None = None,
    batch_sizes: tuple[int, ...] = (1, 8),
    progress: Progress | None = None,
) -> Artifact:
    """Convert the float32 artifact in `base` into `folder` and judge what it loses against `budget`.

    Its name is that of `base`. Raises ExportFailed when the conversion fails, and as `export`.
    """
    original = read_artifact(base)
    prepare_folder(folder)
    spec = ExportSpec(precision=precision, batch_sizes=batch_sizes)
    source = Source(path=base / MODEL_FILE, entry=None, framework="onnx", sha256=original.sha256)
    request = WorkerRequest(action="convert", source=source, spec=spec)
    answer = run_worker(request, folder / REQUEST_FILE, folder / LOG_FILE, progress)
    notes: tuple[str, ...] = from_data(tuple[str, ...], answer, "the worker's answer")
    for name in _PROOF:
        if (base / name).is_file():
            with writing(folder / name):
                shutil.copyfile(base / name, folder / name)
    parity = _judged(base, folder, spec, budget, task)
    write_json(folder / PARITY_FILE, replace(parity, notes=(*notes, *parity.notes)))
    write_reproduce(folder)
    files = (MODEL_FILE, *external_files(model := read_onnx(folder / MODEL_FILE)))
    artifact = replace(
        original,
        precision=precision,
        files=files,
        sha256=digest_of_files(folder, files),
        built_on=environment_here().summary(),
        opset=opset_of(model),
        parity="passed" if parity.passed else "failed",
    )
    write_artifact(folder, artifact)
    return artifact


def _judged(base: Path, folder: Path, spec: ExportSpec, budget: float, task: TaskMetric | None) -> ParityResult:
    """The verdict: by labels where there are held-out samples, else by the samples that the export was proven with."""
    kind = PRECISIONS[spec.precision]
    labelled = (folder / HELD_OUT_FILE).is_file()
    on_samples = partial(compare_within_budget, budget=float("inf") if labelled else budget)
    on_labels = partial(compare_within_budget, budget=budget)
    basis = f"judged by an accuracy budget of {budget:g}, not element by element"
    with tempfile.TemporaryDirectory(prefix=".tried-", dir=folder) as place:
        tried = folder
        if kind.tried_as != "itself":
            tried, basis = Path(place), f"{basis}; tried as: {kind.tried_as}"
            write_stand_in(base / MODEL_FILE, tried / MODEL_FILE, spec.precision)
            for name in _PROOF:
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, tried / name)
        parity = check_parity(tried, spec, task=task, comparing=on_samples, labelled=on_labels)
        if not parity.passed:
            parity = replace(parity, notes=(*parity.notes, *_worst_node(base, tried)))
    reason = parity.notes[-1] if labelled and parity.passed else parity.reason
    return replace(parity, basis=basis, reason=reason)


def _worst_node(base: Path, tried: Path) -> tuple[str, ...]:
    try:
        return locate_loss(base / MODEL_FILE, tried / MODEL_FILE, read_arrays(tried / SAMPLES_FILE))
    except ToolkitError as err:
        return (f"where the loss comes from could not be found: {err.message}",)
