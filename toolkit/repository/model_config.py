"""Triton's ModelConfig as a frozen value, with the field names of model_config.proto.

None, an empty text and an empty list are not written; every other value is, also zero and false, because a reader of
config.pbtxt should not have to know protobuf's defaults. What the toolkit writes itself is typed down to the leaves;
what only a foreign entry has (sequence batching, rate limiters) is kept as plain data, so nothing is lost on the way.
This module does not know files, models or servers, and imports no protobuf; see config.py.
Source: triton-inference-server/common, protobuf/model_config.proto.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTensorReshape:
    """What the backend sees instead of `dims`; an empty shape is one value per row."""

    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """An input; `dims` leave the batch axis out when max_batch_size is above 0, and -1 is a length that varies."""

    name: str = ""
    data_type: str = "TYPE_INVALID"
    format: str | None = None
    dims: tuple[int, ...] = ()
    reshape: ModelTensorReshape | None = None
    is_shape_tensor: bool | None = None
    allow_ragged_batch: bool | None = None
    optional: bool | None = None
    is_non_linear_format_io: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOutput:
    """An output, `dims` as in ModelInput; `label_filename` lies in the entry's folder, one label a line."""

    name: str = ""
    data_type: str = "TYPE_INVALID"
    dims: tuple[int, ...] = ()
    reshape: ModelTensorReshape | None = None
    label_filename: str = ""
    is_shape_tensor: bool | None = None
    is_non_linear_format_io: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInstanceGroup:
    """`count` instances (Triton takes 1 when it is absent): in the whole server on a CPU, for each GPU on GPUs."""

    name: str = ""
    count: int | None = None
    kind: str = "KIND_AUTO"
    gpus: tuple[int, ...] = ()
    profile: tuple[str, ...] = ()
    passive: bool | None = None
    host_policy: str = ""
    rate_limiter: Mapping[str, Any] | None = None
    secondary_devices: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDynamicBatching:
    """How requests are joined into batches."""

    preferred_batch_size: tuple[int, ...] = ()
    max_queue_delay_microseconds: int = 0
    preserve_ordering: bool = False
    priority_levels: int | None = None
    default_priority_level: int | None = None
    default_queue_policy: Mapping[str, Any] | None = None
    priority_queue_policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptimizationGraph:
    """ONNX Runtime reads -1 as basic, 1 as extended, 2 as none, and anything else as all optimisations."""

    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptimizationPolicy:
    """Graph optimisation; accelerators and memory as plain data."""

    graph: ModelOptimizationGraph | None = None
    priority: str | None = None
    cuda: Mapping[str, Any] | None = None
    execution_accelerators: Mapping[str, Any] | None = None
    input_pinned_memory: Mapping[str, Any] | None = None
    output_pinned_memory: Mapping[str, Any] | None = None
    gather_kernel_buffer_threshold: int | None = None
    eager_batching: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersionPolicy:
    """One of three, each as plain data: `latest {num_versions}`, `all {}`, `specific {versions}`."""

    latest: Mapping[str, Any] | None = None
    all: Mapping[str, Any] | None = None
    specific: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameter:
    """A backend's own setting; always text."""

    string_value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWarmupInput:
    """What a warm-up request carries: zeros, random bytes, or a file in the entry's `warmup` folder."""

    data_type: str = "TYPE_INVALID"
    dims: tuple[int, ...] = ()
    zero_data: bool | None = None
    random_data: bool | None = None
    input_data_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWarmup:
    """`batch_size` one-row requests executed together, `count` times, before the model is ready."""

    name: str = ""
    batch_size: int = 0
    count: int = 0
    inputs: Mapping[str, ModelWarmupInput] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEnsemblingStep:
    """One composing model; the maps go from the model's tensor to the ensemble's. Version -1 is the latest."""

    model_name: str = ""
    model_version: int = 0
    input_map: Mapping[str, str] = field(default_factory=dict)
    output_map: Mapping[str, str] = field(default_factory=dict)
    model_namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEnsembling:
    """The steps of an ensemble; Triton orders them by their tensors."""

    step: tuple[ModelEnsemblingStep, ...] = ()
    max_inflight_requests: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelTransactionPolicy:
    """Decoupled models answer a request with any number of responses."""

    decoupled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResponseCache:
    """Equal requests answered from the server's cache."""

    enable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The whole of a config.pbtxt, every field of the message."""

    name: str = ""
    platform: str = ""
    backend: str = ""
    runtime: str = ""
    max_batch_size: int = 0
    default_model_filename: str = ""
    version_policy: ModelVersionPolicy | None = None
    input: tuple[ModelInput, ...] = ()
    output: tuple[ModelOutput, ...] = ()
    batch_input: tuple[Mapping[str, Any], ...] = ()
    batch_output: tuple[Mapping[str, Any], ...] = ()
    instance_group: tuple[ModelInstanceGroup, ...] = ()
    dynamic_batching: ModelDynamicBatching | None = None
    sequence_batching: Mapping[str, Any] | None = None
    ensemble_scheduling: ModelEnsembling | None = None
    optimization: ModelOptimizationPolicy | None = None
    parameters: Mapping[str, ModelParameter] = field(default_factory=dict)
    model_warmup: tuple[ModelWarmup, ...] = ()
    response_cache: ModelResponseCache | None = None
    model_transaction_policy: ModelTransactionPolicy | None = None
    model_operations: Mapping[str, Any] | None = None
    model_repository_agents: Mapping[str, Any] | None = None
    model_metrics: Mapping[str, Any] | None = None
    cc_model_filenames: Mapping[str, str] = field(default_factory=dict)
    metric_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ensemble(self) -> bool:
        """Whether other models of the repository do the work."""
        return self.ensemble_scheduling is not None


def config_data(value: Any) -> Any:
    """Plain JSON data for a config or a part of it, in Triton's field names, without what is absent."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # An empty reshape says something ("no axis but the batch"), so its empty list is kept.
        keep_empty = isinstance(value, ModelTensorReshape)
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {name: config_data(v) for name, v in pairs if keep_empty or v not in (None, "", ())}
    if isinstance(value, Mapping):
        return {str(k): config_data(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [config_data(v) for v in value]
    return value
