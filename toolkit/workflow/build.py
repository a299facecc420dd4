"""From a PoC to a served repository: models exported, data made, indexes built, entries written, the whole linted.

Each is a step of a run folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.artifact import Artifact, read_artifact
from toolkit.errors import ConfigurationError, RepositoryError
from toolkit.export.arrays import read_arrays
from toolkit.export.export import export
from toolkit.export.made_arrays import ARRAYS_FILE, export_arrays
from toolkit.export.spec import MODEL_FILE, ExportSpec, variant_file
from toolkit.index.build import build_index
from toolkit.models.source import Source, source_from_path
from toolkit.poc import Poc, merged
from toolkit.records import digest_of_file, digest_of_files, files_below, step
from toolkit.repository.entry import add_artifact, add_step
from toolkit.repository.lint import lint_repository
from toolkit.repository.pipeline import add_pipeline
from toolkit.repository.read import RepositoryEntry
from toolkit.tensor import tensor_from_text
from toolkit.workflow.runs import Progress
from toolkit.workflow.variants import build_variants


def sources_of(poc: Poc) -> dict[str, Source]:
    """The models and the data of a PoC as Sources. Naming a `.py` file in poc.yaml is consent to run it."""
    models = {name: source_from_path(poc.source_of(name)) for name in poc.file.models}
    return models | {name: source_from_path(poc.data_source_of(name)) for name in poc.file.data}


def export_spec(poc: Poc, model: str) -> ExportSpec:
    """How one model of a PoC is exported."""
    spec = poc.file.models[model]
    return ExportSpec(
        inputs=tuple(tensor_from_text(t) for t in spec.export.inputs),
        samples=poc.folder / spec.samples if spec.samples else None,
        opset=spec.export.opset,
        tolerance=spec.export.tolerance,
        sample_count=spec.export.sample_count,
        arguments=poc.file.arguments,
    )


def build_all(poc: Poc, run: Path, sources: Mapping[str, Source], progress: Progress) -> dict[str, Path]:
    """Export every model, make all data, build every index. Returns the folders of all of them by name.

    Lower precisions that a model names, and that are accurate enough, are there as `model/precision`.

    Each is a step of the run, done after what it needs. Raises ConfigurationError for data that need each other.
    """
    folders: dict[str, Path] = {}

    def build(name: str, waiting: tuple[str, ...]) -> None:
        if name in waiting:
            raise ConfigurationError(f"poc.yaml: these need each other: {' -> '.join((*waiting, name))}")
        if name in folders:
            return
        needs = poc.file.data[name].needs if name in poc.file.data else ()
        needs = (poc.file.indexes[name].data,) if name in poc.file.indexes else needs
        for need in needs:
            build(need, (*waiting, name))
        one = _index if name in poc.file.indexes else _data if name in poc.file.data else _model
        folders[name] = one(poc, run, name, sources.get(name), folders, progress)

    for name in (*poc.file.models, *poc.file.data, *poc.file.indexes):
        build(name, ())
    return folders | build_variants(poc, run, folders, progress)


def _model(
    poc: Poc, run: Path, name: str, source: Source | None, folders: Mapping[str, Path], progress: Progress
) -> Path:
    assert source is not None
    spec = export_spec(poc, name)

    def do(folder: Path) -> None:
        progress(f"exporting {name}")
        export(source, spec, folder, name=name, task=poc.family.task)

    return step(run, f"artifacts/{name}", {"source": source, "spec": spec}, do)


def _data(
    poc: Poc, run: Path, name: str, source: Source | None, folders: Mapping[str, Path], progress: Progress
) -> Path:
    assert source is not None
    needs = {need: folders[need] for need in poc.file.data[name].needs}
    digests = {need: _digest_of_folder(folder) for need, folder in needs.items()}

    def do(folder: Path) -> None:
        progress(f"making {name}")
        export_arrays(source, folder, folders=needs, arguments=poc.file.arguments)

    return step(run, f"data/{name}", {"source": source, "needs": digests, "arguments": poc.file.arguments}, do)


def _index(
    poc: Poc, run: Path, name: str, source: Source | None, folders: Mapping[str, Path], progress: Progress
) -> Path:
    options = poc.file.indexes[name]
    arrays_file = folders[options.data] / ARRAYS_FILE

    def do(folder: Path) -> None:
        progress(f"building the index {name}")
        arrays = read_arrays(arrays_file)
        if options.vectors not in arrays:
            raise ConfigurationError(
                f"indexes.{name}.vectors is '{options.vectors}', which {options.data} does not make; it makes: "
                f"{', '.join(arrays)}"
            )
        build_index(arrays[options.vectors], options.build, folder, name=name, ids=arrays.get(options.ids))

    return step(run, f"indexes/{name}", {"arrays": digest_of_file(arrays_file), "options": options}, do)


def _variants(model: str, folders: Mapping[str, Path], chosen: Mapping[str, Any] | None) -> dict[str, Path]:
    """The accepted precisions of a model; of a configuration that was chosen only the one that it serves."""
    there = {key.removeprefix(f"{model}/"): f for key, f in folders.items() if key.startswith(f"{model}/")}
    file = None if chosen is None else chosen.get("default_model_filename", MODEL_FILE)
    return {precision: f for precision, f in there.items() if file is None or variant_file(precision) == file}


def _digest_of_folder(folder: Path) -> str:
    """The digest of what a step made, whatever that is: of its artifact, else of its arrays."""
    made = folder / ARRAYS_FILE
    return digest_of_file(made) if made.is_file() else read_artifact(folder).sha256


def read_artifacts(run: Path) -> tuple[Artifact, ...]:
    """The artifacts of a run folder, by name."""
    return tuple(read_artifact(p.parent) for p in sorted((run / "artifacts").glob("*/artifact.json")))


def build_repository(poc: Poc, run: Path, folders: Mapping[str, Path], progress: Progress) -> Path:
    """Write `run/repository` from what `build_all` made and the steps of a PoC, and lint it.

    Raises RepositoryError when the linter finds an error.
    """
    digests = {name: _digest_of_folder(folder) for name, folder in folders.items()}
    own = {name: folder for name in poc.file.steps if (folder := poc.own_files_of(name))}
    files = {name: digest_of_files(folder, files_below(folder)) for name, folder in own.items()}
    inputs = {"artifacts": digests, "models": poc.file.models, "steps": poc.file.steps, "pipeline": poc.file.pipeline}
    inputs |= {"files": files} if files else {}

    def do(folder: Path) -> None:
        progress("writing the model repository")
        fill_repository(poc, folder, folders)

    repository = step(run, "repository", inputs, do)
    errors = [r for r in lint_repository(repository) if r.severity == "error"]
    if errors:
        text = "; ".join(f"{r.rule} {r.entry}: {r.text}" for r in errors)
        raise RepositoryError(f"{repository}: {text}", mend=errors[0].remedy)
    return repository


def fill_repository(
    poc: Poc,
    repository: Path,
    folders: Mapping[str, Path],
    *,
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
    keep_versions: bool = False,
) -> None:
    """Write every entry of a PoC into `repository`, with the chosen configuration laid over poc.yaml's.

    With `keep_versions` an entry that is there keeps what it has, so that one can go back, unless clients would have to
    ask it otherwise now.
    """
    overlay = chosen or {}
    for name, spec in poc.file.models.items():
        config = merged(spec.config, overlay.get(name, {}))
        variants = _variants(name, folders, config if chosen is not None else None)
        add = partial(add_artifact, repository, folders[name], labels=spec.labels, variants=variants)
        _put(partial(add, name=name, config=config), keep_versions)
    for name, step_spec in poc.file.steps.items():
        config = merged(step_spec.config, overlay.get(name, {}))
        parameters = config.pop("parameters", {})
        files = poc.own_files_of(name) or (folders[step_spec.files] if step_spec.files else None)
        step_added = partial(add_step, repository, step_spec.step, parameters=parameters, files=files)
        _put(partial(step_added, name=name, config=config), keep_versions)
    if poc.file.pipeline is not None:
        add_pipeline(repository, poc.file.pipeline, replace=True)


def _put(add: Callable[..., RepositoryEntry], keep_versions: bool) -> None:
    """Add an entry as a new version where that can be, else in place of the one that is there."""
    if not keep_versions:
        add(replace=True)
        return
    try:
        add(new_version=True)
    except RepositoryError:  # another signature; what else can be wrong is wrong with the replacement as well
        add(replace=True)
