"""Entries of a Triton model repository: written from an Artifact or a step, and read back, our own and foreign ones.

In: a repository folder and what to serve. Out: a RepositoryEntry, or a RepositoryError with the mend.
Beside what Triton reads, an entry of ours holds toolkit.json, which says what it was made from.
This module does not know which server will serve the repository.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.artifact import LANGUAGE_MODEL, Artifact, read_artifact
from toolkit.errors import ConfigurationError, RepositoryError, UsageError
from toolkit.export.spec import variant_file
from toolkit.models.language_model import read_language_model
from toolkit.records import digest_of_file, digest_of_files, digest_of_value, files_below, write_json, write_text
from toolkit.repository.batching import batching_of
from toolkit.repository.config import ModelConfig, to_pbtxt, with_overrides
from toolkit.repository.defaults import config_from_signature
from toolkit.repository.defaults_llm import config_from_language_model
from toolkit.repository.engine_entry import config_for_engine, rows_for_engine
from toolkit.repository.history import adding, is_served
from toolkit.repository.provenance import PROVENANCE_FILE, Provenance
from toolkit.repository.publish import CONFIG_FILE, LABELS_FILE, copy_file
from toolkit.repository.read import RepositoryEntry, read_config, read_entries, read_entry
from toolkit.repository.step import MODEL_FILE, REQUIREMENTS_FILE, config_from_step, read_step, step_folder
from toolkit.tensor import BATCH, Signature

__all__ = [
    "Provenance",
    "RepositoryEntry",
    "add_artifact",
    "add_step",
    "read_config",
    "read_entries",
    "read_entry",
    "write_description",
]

#: Which backend of Triton runs a format.
BACKENDS = {"onnx": "onnxruntime", "tensorrt": "tensorrt", LANGUAGE_MODEL: "onnxruntime_llm"}


def add_artifact(
    repository: Path,
    folder: Path,
    *,
    name: str | None = None,
    config: Mapping[str, Any] | None = None,
    labels: tuple[str, ...] = (),
    replace: bool = False,
    new_version: bool = False,
    allow_failed_parity: bool = False,
    variants: Mapping[str, Path] | None = None,
) -> RepositoryEntry:
    """Add the artifact in `folder` as an entry: ONNX for `onnxruntime`, an engine for `tensorrt`, a language model for
    `onnxruntime_llm`.

    `variants` are folders by precision: their graphs are put beside the artifact's, as `PRECISION.onnx`, for a
    `default_model_filename` to choose.

    `config` is a partial ModelConfig laid over ours. `labels` name the classes of every output that has as many values
    per row. The repository is made when it is absent. An entry that exists is refused; `replace` puts the new one in
    its place, `new_version` adds a version beside those that are there, unless it is the same, and one can go back
    (`history.roll_back`). Raises RepositoryError for an existing entry, a foreign folder, another format, labels that
    fit no output, a version with another signature and an artifact whose parity failed; ConfigurationError for a bad
    `config`.
    """
    artifact = read_artifact(folder)
    _check_servable(artifact, folder, allow_failed_parity)
    name = name or artifact.name
    full = _with_labels(_artifact_config(artifact, folder, name, config or {}), labels)
    provenance = Provenance(
        kind="artifact",
        source=artifact.name,
        artifact_sha256=artifact.sha256,
        source_sha256=artifact.source_sha256,
        precision=artifact.precision,
        parity=artifact.parity,
        batching=batching_of(artifact.signature, apart=_joined(full)).reason,
    )
    text = "".join(f"{label}\n" for label in labels)
    if new_version and not variants and is_served(repository / name, full, artifact.sha256, text if labels else None):
        return read_entry(repository / name)
    with adding(repository, full, replace=replace, new_version=new_version) as version:
        for file in artifact.files:
            copy_file(folder / file, version / file)
        for precision, place in (variants or {}).items():
            copy_file(_single_file(place), version / variant_file(precision))
        if labels:
            write_text(version.parent / LABELS_FILE, text)
        write_description(version, name, full, provenance)
    return read_entry(repository / name)


def add_step(
    repository: Path,
    step: str,
    *,
    name: str,
    parameters: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    files: Path | None = None,
    replace: bool = False,
    new_version: bool = False,
) -> RepositoryEntry:
    """Add one of the toolkit's python-backend steps (see `steps/`) with its parameters written into the config.

    `files` is the folder of the files that the step declares (an index, a table); they are copied beside its code.
    Its requirements.txt travels in the entry: the server's Python needs those packages. Raises UsageError for an
    unknown step or parameter or a missing file, RepositoryError and ConfigurationError as `add_artifact`.
    """
    source, brought = step_folder(step), _brought(step, files)
    full = with_overrides(config_from_step(step, name, parameters), config or {})
    digest = digest_of_files(source, (MODEL_FILE, REQUIREMENTS_FILE))
    if brought:
        digest = digest_of_value({"step": digest, "files": {path.name: digest_of_file(path) for path in brought}})
    if new_version and is_served(repository / name, full, digest):
        return read_entry(repository / name)
    with adding(repository, full, replace=replace, new_version=new_version) as version:
        for path in (source / MODEL_FILE, *brought):
            copy_file(path, version / path.name)
        copy_file(source / REQUIREMENTS_FILE, version.parent / REQUIREMENTS_FILE)
        write_description(version, name, full, Provenance(kind="step", source=step, artifact_sha256=digest))
    return read_entry(repository / name)


def _brought(step: str, folder: Path | None) -> tuple[Path, ...]:
    """The files that a step declares, in `folder`. Raises UsageError when one is not there."""
    paths = tuple((folder or Path()) / name for name in read_step(step).files)
    for path in paths:
        if folder is None or not path.is_file():
            raise UsageError(f"step {step} needs the file {path.name}, which is not in {folder or 'any folder given'}")
    return paths


def write_description(version: Path, name: str, config: ModelConfig, provenance: Provenance) -> None:
    """Write config.pbtxt and toolkit.json of an entry that is being built, around its finished version folder."""
    if config.name != name:
        raise ConfigurationError(f"config.name is '{config.name}', the entry is '{name}'", mend="leave config.name out")
    write_text(version.parent / CONFIG_FILE, to_pbtxt(config))
    files = {f"{version.name}/{file}": digest_of_file(version / file) for file in files_below(version)}
    write_json(version.parent / PROVENANCE_FILE, dataclasses.replace(provenance, files=files))


def _check_servable(artifact: Artifact, folder: Path, allow_failed_parity: bool) -> None:
    if artifact.format not in BACKENDS:
        raise RepositoryError(f"{folder}: no backend is configured for the format '{artifact.format}'")
    if artifact.parity == "failed" and not allow_failed_parity:
        raise RepositoryError(
            f"{folder}: this model does not answer as the original does: {_parity_reason(folder)}",
            mend=f"see {folder / 'parity.json'} and export again, or add it with --allow-failed-parity",
        )


def _single_file(folder: Path) -> Path:
    """The one file of a variant. Raises RepositoryError where it keeps weights in another, whose name it fixes."""
    artifact = read_artifact(folder)
    if len(artifact.files) > 1:
        raise RepositoryError(
            f"{folder} keeps its weights in {artifact.files[1]}, so it cannot lie beside another precision",
            mend="add it as an entry of its own: toolkit repo add",
        )
    return folder / artifact.files[0]


def _parity_reason(folder: Path) -> str:
    try:
        reason = json.loads((folder / "parity.json").read_text(encoding="utf-8"))["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        return "its parity failed"
    return str(reason)


def _artifact_config(artifact: Artifact, folder: Path, name: str, partial: Mapping[str, Any]) -> ModelConfig:
    if artifact.format == LANGUAGE_MODEL:
        return with_overrides(config_from_language_model(name, read_language_model(folder)), partial)
    # These two decide the dims of every tensor, so they are no mere overrides.
    given = with_overrides(ModelConfig(), {k: partial[k] for k in ("max_batch_size", "batch_input") if k in partial})
    size, is_engine = given.max_batch_size if "max_batch_size" in partial else None, artifact.format == "tensorrt"
    if is_engine and batching_of(artifact.signature).axis:
        size = rows_for_engine(folder, size)
    base = config_from_signature(
        name,
        artifact.signature,
        max_batch_size=size,
        sizes=_sizes_in_samples(folder, artifact.signature),
        filename=artifact.files[0],
        batch_input=given.batch_input,
    )
    return with_overrides(config_for_engine(base) if is_engine else base, partial)


def _joined(config: ModelConfig) -> set[str]:
    """The inputs of the graph that Triton does not join by rows."""
    made = {name for entry in config.batch_input for name in entry.get("target_name", ())}
    return made | {t.name for t in config.input if t.allow_ragged_batch}


def _sizes_in_samples(folder: Path, signature: Signature) -> dict[str, int]:
    """The lengths of named axes in the exporter's samples: lengths that the model is known to take."""
    import numpy as np

    named = [t for t in signature.inputs if t.dtype != "BYTES" and any(isinstance(d, str) for d in t.shape[1:])]
    if not named or not (folder / "samples.npz").is_file():
        return {}
    with np.load(folder / "samples.npz") as samples:
        shapes = [(t.shape, samples[t.name].shape) for t in named if t.name in samples]
    pairs = [pair for spec, shape in shapes for pair in zip(spec, shape, strict=True)]
    return {axis: size for axis, size in pairs if isinstance(axis, str) and axis != BATCH}


def _with_labels(config: ModelConfig, labels: tuple[str, ...]) -> ModelConfig:
    if not labels:
        return config
    fitting = {t.name for t in config.output if t.dims == (len(labels),)}
    if not fitting or any("\n" in label for label in labels):
        dims = ", ".join(f"{t.name} {list(t.dims)}" for t in config.output)
        raise RepositoryError(f"'{config.name}': {len(labels)} one-line labels fit none of its outputs ({dims})")
    output = [dataclasses.replace(t, label_filename=LABELS_FILE) if t.name in fitting else t for t in config.output]
    return dataclasses.replace(config, output=tuple(output))
