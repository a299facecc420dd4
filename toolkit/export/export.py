"""Export a Source to a checked Artifact: the worker writes the model and the reference, this process compares.

In: a Source and an ExportSpec. Out: a folder with model.onnx, samples.npz, reference.npz, parity.json, artifact.json,
export.log, request.json and reproduce.sh; and the held-out files, where the model offers any.
Parity that fails is a value in artifact.json and parity.json, never an exception.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toolkit.artifact import LANGUAGE_MODEL, Artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.errors import ExportFailed, ToolkitError, UsageError
from toolkit.export.parity import ParityResult, TaskMetric
from toolkit.export.process import Progress, run_worker
from toolkit.export.spec import (
    LOCATE_FILE,
    LOCATE_LOG_FILE,
    LOG_FILE,
    MODEL_FILE,
    OUTPUT_FILES,
    PARITY_FILE,
    REPRODUCE_FILE,
    REQUEST_FILE,
    ExportSpec,
    WorkerRequest,
)
from toolkit.models.language_model import LANGUAGE_MODEL_COMPANIONS, LANGUAGE_MODEL_FILE
from toolkit.models.onnx import external_files, opset_of, read_onnx, signature_from_onnx
from toolkit.models.source import Source
from toolkit.records import digest_of_files, from_data, write_json, write_text, writing
from toolkit.tensor import Signature, TensorSpec

_REPRODUCE = """\
#!/bin/sh
# Runs the export worker on the same request again, into a folder beside this file, and compares the two models.
# The source's path in request.json is relative to it: move this folder and the model's together.
set -e
cd "$(dirname "$0")"
mkdir -p "${1:-again}"
"${PYTHON:-python3}" -m toolkit.export.worker request.json "${1:-again}"
cmp model.onnx "${1:-again}/model.onnx" && echo "the same model, byte for byte"
"""


def export(
    source: Source,
    spec: ExportSpec,
    folder: Path,
    *,
    name: str,
    task: TaskMetric | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Export `source` into `folder` and compare it with the original; `task` is judged on the held-out samples.

    `progress` is called with a short text at each phase. Raises ModelRefused, ExportFailed, MissingDependency,
    EnvironmentProblem (disk full), and UsageError for a folder that holds other things.
    """
    from toolkit.export.check import check_parity

    say = progress or _quiet
    prepare_folder(folder)
    request = WorkerRequest(action="export", source=source, spec=spec)
    inputs = run_worker(request, folder / REQUEST_FILE, folder / LOG_FILE, progress)
    if (folder / LANGUAGE_MODEL_FILE).is_file():
        return _finished_language_model(folder, name, source, spec, say)
    if spec.precision == "int4":
        raise ExportFailed(f"{source.path} is no language model, and int4 is for those", mend="use --precision fp32")
    signature = _signature(folder / MODEL_FILE, from_data(tuple[TensorSpec, ...], inputs, "the worker's answer"))
    say("comparing with the original at batch " + ", ".join(map(str, spec.batch_sizes)))
    parity = check_parity(folder, spec, task=task)
    if not parity.passed:
        say("looking for the place where the answers part")
        parity = replace(parity, notes=(*parity.notes, *_where_they_part(request, folder, parity)))
    write_json(folder / PARITY_FILE, parity)
    write_reproduce(folder)
    artifact = _artifact(folder, name, source, spec, signature, parity)
    write_artifact(folder, artifact)
    return artifact


def _where_they_part(request: WorkerRequest, folder: Path, parity: ParityResult) -> tuple[str, ...]:
    """Sentences that name the first diverging node or module, or say that it could not be narrowed down."""
    from toolkit.export.locate import locate_in_graph

    if found := locate_in_graph(folder, parity):
        return found
    row = max((output.worst_sample for output in parity.outputs if not output.passed), default=0)
    asked = replace(request, action="locate", row=max(row, 0))
    try:
        module = str(run_worker(asked, folder / LOCATE_FILE, folder / LOCATE_LOG_FILE))
    except ToolkitError as err:
        return (f"where the answers part could not be found: {err.message}",)
    return (module or "where the answers part could not be narrowed down: every module that the graph names agrees",)


def _finished_language_model(folder: Path, name: str, source: Source, spec: ExportSpec, say: Progress) -> Artifact:
    """The artifact of a language model, whose parity is that of what it says."""
    from toolkit.export.generation_parity import check_generation

    say("comparing what it says with the original")
    parity = check_generation(folder, spec)
    write_json(folder / PARITY_FILE, parity)
    write_reproduce(folder)
    artifact = _artifact(folder, name, source, spec, signature_from_onnx(folder / MODEL_FILE), parity)
    companions = tuple(n for n in (LANGUAGE_MODEL_FILE, *LANGUAGE_MODEL_COMPANIONS) if (folder / n).is_file())
    files = (*artifact.files, *companions)
    artifact = replace(artifact, format=LANGUAGE_MODEL, files=files, sha256=digest_of_files(folder, files))
    write_artifact(folder, artifact)
    return artifact


def write_reproduce(folder: Path) -> None:
    """Write the script that runs the worker on the folder's request again."""
    write_text(folder / REPRODUCE_FILE, _REPRODUCE)


def _quiet(_: str) -> None:
    pass


def prepare_folder(folder: Path) -> None:
    """Make room in `folder`: an earlier export's files go, anything else is a reason to stop."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir())
        if present and REQUEST_FILE not in present:
            raise UsageError(
                f"{folder} is not empty and does not hold an export; it has {present[0]}",
                mend="give --output a new folder",
            )
        for name in (*OUTPUT_FILES, f"{MODEL_FILE}.data"):
            (folder / name).unlink(missing_ok=True)


def _signature(model: Path, inputs: tuple[TensorSpec, ...]) -> Signature:
    """What the ONNX file declares, with the integer ranges that the worker knows."""
    known = {tensor.name: tensor for tensor in inputs}
    written = signature_from_onnx(model)
    ranged = (replace(t, low=known[t.name].low, high=known[t.name].high) for t in written.inputs)
    return replace(written, inputs=tuple(ranged))


def _artifact(
    folder: Path, name: str, source: Source, spec: ExportSpec, signature: Signature, parity: ParityResult
) -> Artifact:
    model = read_onnx(folder / MODEL_FILE)
    files = (MODEL_FILE, *external_files(model))
    return Artifact(
        name=name,
        format="onnx",
        precision=spec.precision,
        files=files,
        signature=signature,
        sha256=digest_of_files(folder, files),
        built_on=environment_here().summary(),
        opset=opset_of(model),
        source_sha256=source.sha256,
        parity="passed" if parity.passed else "failed",
    )
