"""Pipelines: entries of a repository wired by their tensors, as an ensemble or as Business Logic Scripting (BLS).

In: a Pipeline, whose models are in the repository already. Out: its entry, types and dims taken from the composing
entries, and a RepositoryError where the tensors do not close.
This module does not know what the models compute.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.errors import RepositoryError
from toolkit.records import digest_of_value, write_bytes
from toolkit.repository.config import ModelConfig
from toolkit.repository.defaults import LATEST
from toolkit.repository.ensemble import SCHEDULING, Port, composing_models, ensemble_problems, ports
from toolkit.repository.entry import write_description
from toolkit.repository.model_config import (
    ModelDynamicBatching,
    ModelEnsembling,
    ModelEnsemblingStep,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelParameter,
    ModelResponseCache,
    config_data,
)
from toolkit.repository.provenance import Provenance
from toolkit.repository.publish import building, copy_file
from toolkit.repository.read import RepositoryEntry, read_entry
from toolkit.repository.step import MODEL_FILE, STEPS

__all__ = ["Pipeline", "PipelineStep", "add_pipeline", "composing_models", "config_from_pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStep:
    """One model; the maps go from the model's tensor names to the pipeline's. An output that is not named is unused."""

    model: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What a customer calls as one model.

    Its inputs are the tensors that no step makes, its outputs those that no step takes; name them in `inputs` and
    `outputs` to have that checked, or to show a tensor in between as well. Without `max_batch_size` it is the smallest
    of the steps'. An ensemble is scheduled by the server itself; as Business Logic Scripting a python-backend model
    calls the same steps, once for all requests of a batch.
    """

    name: str
    steps: tuple[PipelineStep, ...]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    max_batch_size: int | None = None
    kind: Literal["ensemble", "bls"] = "ensemble"


def add_pipeline(repository: Path, pipeline: Pipeline, *, replace: bool = False) -> RepositoryEntry:
    """Add the entry of a pipeline; labels of the composing entries are carried to its outputs.

    Raises RepositoryError that names every tensor or model that does not fit, and as `add_artifact`.
    """
    entries = _composing_entries(repository, pipeline)
    config = config_from_pipeline(pipeline, {name: e.config for name, e in entries.items()})
    labels = {o.label_filename: _labels_of(o.name, pipeline, entries) for o in config.output if o.label_filename}
    provenance = Provenance(
        kind="pipeline",
        source=", ".join(entries),
        artifact_sha256=digest_of_value({name: e.artifact_sha256 for name, e in entries.items()}),
    )
    with building(repository, pipeline.name, replace=replace) as version:
        for filename, content in labels.items():
            write_bytes(version.parent / filename, content)
        if pipeline.kind == "bls":
            copy_file(STEPS / "bls" / MODEL_FILE, version / MODEL_FILE)
        write_description(version, pipeline.name, config, provenance)
    return read_entry(repository / pipeline.name)


def config_from_pipeline(pipeline: Pipeline, models: Mapping[str, ModelConfig]) -> ModelConfig:
    """The pipeline's config, given the configs of its models. Raises RepositoryError when it does not close."""
    scheduling = ModelEnsembling(
        step=tuple(
            ModelEnsemblingStep(model_name=s.model, model_version=-1, input_map=s.inputs, output_map=s.outputs)
            for s in pipeline.steps
        )
    )
    sizes = [models[s.model].max_batch_size for s in pipeline.steps if s.model in models]
    size = min(sizes, default=0) if pipeline.max_batch_size is None else pipeline.max_batch_size
    takers, makers = ports(scheduling, models)
    inputs = pipeline.inputs or tuple(t for t in takers if t not in makers)
    outputs = pipeline.outputs or tuple(t for t in makers if t not in takers)
    config = ModelConfig(
        name=pipeline.name,
        platform="ensemble",
        max_batch_size=size,
        version_policy=LATEST,
        input=tuple(_ensemble_input(t, takers[t], size) for t in inputs if t in takers),
        output=tuple(_ensemble_output(t, makers[t][0], size) for t in outputs if t in makers),
        ensemble_scheduling=scheduling,
        response_cache=ModelResponseCache(enable=False),
    )
    strangers = [f"no step takes the input '{t}'" for t in inputs if t not in takers]
    strangers += [f"no step makes the output '{t}'" for t in outputs if t not in makers]
    problems = (*strangers, *ensemble_problems(config, models))
    if problems:
        listed = "".join(f"\n  - {p}" for p in problems)
        raise RepositoryError(f"pipeline '{pipeline.name}' does not close:{listed}", mend="correct its tensor maps")
    return _as_bls(config, scheduling) if pipeline.kind == "bls" else config


def _as_bls(config: ModelConfig, scheduling: ModelEnsembling) -> ModelConfig:
    """The same pipeline as a python-backend model. Two instances: one is blocked while the models behind it work."""
    batching = ModelDynamicBatching(max_queue_delay_microseconds=0) if config.max_batch_size > 0 else None
    return dataclasses.replace(
        config,
        platform="",
        backend="python",
        default_model_filename=MODEL_FILE,
        ensemble_scheduling=None,
        instance_group=(ModelInstanceGroup(count=2, kind="KIND_CPU"),),
        dynamic_batching=batching,
        parameters={SCHEDULING: ModelParameter(string_value=json.dumps(config_data(scheduling)))},
    )


def _own_dims(port: Port, max_batch_size: int) -> tuple[int, ...]:
    return port.shape[1:] if max_batch_size > 0 else port.shape


def _ensemble_input(name: str, takers: list[Port], size: int) -> ModelInput:
    # Of several takers the one with the fewest free lengths says most.
    port = min(takers, key=lambda p: p.shape.count(-1))
    return ModelInput(name=name, data_type=port.tensor.data_type, dims=_own_dims(port, size))


def _ensemble_output(name: str, port: Port, size: int) -> ModelOutput:
    label = f"labels_{name}.txt" if isinstance(port.tensor, ModelOutput) and port.tensor.label_filename else ""
    dims = _own_dims(port, size)
    return ModelOutput(name=name, data_type=port.tensor.data_type, dims=dims, label_filename=label)


def _composing_entries(repository: Path, pipeline: Pipeline) -> dict[str, RepositoryEntry]:
    names = dict.fromkeys(s.model for s in pipeline.steps)
    return {name: read_entry(repository / name) for name in names if (repository / name).is_dir()}


def _labels_of(output: str, pipeline: Pipeline, entries: Mapping[str, RepositoryEntry]) -> bytes:
    step, tensor = next((s, t) for s in pipeline.steps for t, name in s.outputs.items() if name == output)
    entry = entries[step.model]
    filename = next(o.label_filename for o in entry.config.output if o.name == tensor)
    try:
        return (entry.path / filename).read_bytes()
    except OSError as err:
        raise RepositoryError(f"{entry.path}: the label file {filename} of {tensor} cannot be read: {err}") from err
