"""A TensorRT engine as an artifact: built here where TensorRT and a GPU are, else by a script where they are.

In: the folder of an ONNX artifact. Out: a folder with model.plan, engine.json (its stamp) and the proof; or the ONNX
file and build_engine.sh, which ends with `python -m toolkit.export.engine_export FOLDER` to make the artifact.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from toolkit.artifact import Artifact, read_artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.errors import ConfigurationError, ExportFailed, MissingDependency
from toolkit.export.arrays import read_arrays
from toolkit.export.budget import DEFAULT_BUDGET, compare_within_budget
from toolkit.export.engine import (
    BUILD_FILE,
    BUILT_ON_FILE,
    ENGINE_FILE,
    STAMP_FILE,
    TIMING_CACHE_FILE,
    EngineOptions,
    axes_for,
    build_script,
    stamp_from_build,
    trtexec_arguments,
)
from toolkit.export.onnxruntime import chunks
from toolkit.export.parity import Comparing, ParityResult, TaskMetric, join_rows
from toolkit.export.spec import MODEL_FILE, PARITY_FILE, REFERENCE_FILE, SAMPLES_FILE
from toolkit.export.tensorrt import EngineSession, engine_from_onnx
from toolkit.records import digest_of_files, read_json, write_bytes, write_json, write_text
from toolkit.tensor import BATCH

#: The artifact of the ONNX file, and how the engine is to be built, until there is an engine.
DRAFT, OPTIONS = "onnx_artifact.json", "engine_options.json"


def engine_options(base: Path, *, max_batch_size: int) -> EngineOptions:
    """Options for the artifact in `base`: the batch to `max_batch_size`, other axes to their length in the samples."""
    signature, samples = read_artifact(base).signature, read_arrays(base / SAMPLES_FILE)
    pairs = [p for t in signature.inputs for p in zip(t.shape, samples[t.name].shape, strict=True)]
    sizes = {axis: size for axis, size in pairs if isinstance(axis, str) and axis != BATCH}
    return EngineOptions(axes=axes_for(signature, sizes, max_batch_size))


def prepare_engine(base: Path, folder: Path, options: EngineOptions, *, image: str) -> Path:
    """Copy what an engine is built from into `folder`, and write the script that builds it in `image`. Returns it."""
    artifact = read_artifact(base)
    if len(artifact.files) > 1:
        raise ExportFailed(f"{base} keeps its weights in a file beside the model, which is not supported for engines")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (MODEL_FILE, SAMPLES_FILE, REFERENCE_FILE):
        shutil.copyfile(base / name, folder / name)
    write_json(folder / DRAFT, artifact)
    write_json(folder / OPTIONS, options)
    script = folder / BUILD_FILE
    write_text(script, build_script(trtexec_arguments(artifact.signature, options, MODEL_FILE), image))
    return script


def export_engine(
    base: Path,
    folder: Path,
    options: EngineOptions,
    *,
    image: str,
    budget: float = DEFAULT_BUDGET,
    task: TaskMetric | None = None,
) -> Artifact:
    """Build the engine of the ONNX artifact in `base` into `folder`, and judge what it loses of the original's answers.

    Raises MissingDependency without TensorRT; the script that builds it elsewhere is in `folder` by then.
    """
    script = prepare_engine(base, folder, options, image=image)
    try:
        plan, stamp = engine_from_onnx(folder / MODEL_FILE, options, timing_cache=folder / TIMING_CACHE_FILE)
    except MissingDependency as err:
        raise MissingDependency(
            f"{err.message}; what it is built from is in {folder}",
            mend=f"on a machine with docker and the GPU that will serve it: sh {script}",
        ) from err
    write_bytes(folder / ENGINE_FILE, plan)
    write_json(folder / STAMP_FILE, stamp)
    parity = _parity(folder, plan, partial(compare_within_budget, budget=budget, task=task), options.most_rows)
    write_json(folder / PARITY_FILE, parity)
    return finish_engine(folder, "passed" if parity.passed else "failed")


def finish_engine(folder: Path, parity: str = "unchecked") -> Artifact:
    """Describe the engine that lies in `folder` as an artifact; one that the script built is stamped first.

    Raises ConfigurationError where there is none.
    """
    if not (folder / ENGINE_FILE).is_file():
        raise ConfigurationError(f"{folder} has no {ENGINE_FILE}", mend=f"sh {folder / BUILD_FILE}")
    if (folder / BUILT_ON_FILE).is_file():
        text = (folder / BUILT_ON_FILE).read_text(encoding="utf-8")
        write_json(folder / STAMP_FILE, stamp_from_build(text, read_json(folder / OPTIONS, EngineOptions)))
    files = (ENGINE_FILE, STAMP_FILE)
    artifact = replace(
        read_json(folder / DRAFT, Artifact),
        format="tensorrt",
        files=files,
        sha256=digest_of_files(folder, files),
        built_on=environment_here().summary(),
        parity=parity,
    )
    write_artifact(folder, artifact)
    return artifact


def _parity(folder: Path, plan: bytes, comparing: Comparing, most: int) -> ParityResult:
    """Judged by the accuracy budget, not by the noise: an engine picks its kernels itself, in TF32 among others."""
    session = EngineSession(plan)
    samples, reference = read_arrays(folder / SAMPLES_FILE), read_arrays(folder / REFERENCE_FILE)
    groups = list(chunks(samples, most))
    rows = [len(next(iter(group.values()))) for group in groups]
    answers, problems = join_rows([session.answers(group) for group in groups], rows)
    result = comparing(reference, answers, problems=problems)
    return replace(result, batch_sizes=(most,), basis="judged by the accuracy budget, on the GPU")


def main(arguments: list[str]) -> int:
    """Make the artifact of a folder in which build_engine.sh has built an engine."""
    parser = argparse.ArgumentParser(prog="python -m toolkit.export.engine_export")
    parser.add_argument("folder", type=Path)
    artifact = finish_engine(parser.parse_args(arguments).folder)
    sys.stdout.write(f"{artifact.name}: {ENGINE_FILE}, sha256 {artifact.sha256[:12]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
