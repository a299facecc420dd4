"""The configuration of an ONNX Runtime entry, from the model's signature.

In: a Signature with the names of its axes. Out: a ModelConfig that is right unchanged on a laptop and on GPUs:
KIND_AUTO takes what is there, and the parameters are the native backend's own defaults, written out so that a reader
sees them and a tuner overrides them. Written in full, it also keeps the backend's auto-completion from acting, which
otherwise sets a max_batch_size of 4 where every first axis varies.
Sources: triton-inference-server/onnxruntime_backend, README.md and src/onnxruntime.cc (ModelState).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.repository.batching import Batching, batching_of
from toolkit.repository.model_config import (
    ModelConfig,
    ModelDynamicBatching,
    ModelInput,
    ModelInstanceGroup,
    ModelOptimizationGraph,
    ModelOptimizationPolicy,
    ModelOutput,
    ModelParameter,
    ModelResponseCache,
    ModelTensorReshape,
    ModelVersionPolicy,
    ModelWarmup,
    ModelWarmupInput,
)
from toolkit.tensor import Signature, TensorSpec, dtype_from_name

MAX_BATCH_SIZE = 8
LATEST = ModelVersionPolicy(latest={"num_versions": 1})

#: What the native backend does when nothing is said. Zero threads means one for each core, the best for the latency
#: of a single instance; several instances want one thread each. inter_op counts only in execution_mode 1 (parallel).
ONNXRUNTIME_PARAMETERS = {
    "intra_op_thread_count": "0",
    "inter_op_thread_count": "0",
    "execution_mode": "0",
    "enable_mem_arena": "1",
}


def config_from_signature(
    name: str,
    signature: Signature,
    *,
    max_batch_size: int | None = None,
    sizes: Mapping[str, int] | None = None,
    filename: str = "model.onnx",
    batch_input: tuple[Mapping[str, Any], ...] = (),
) -> ModelConfig:
    """The config of an `onnxruntime` entry.

    Triton batches it when `batching_of` finds a batch axis; then `dims` leave that axis out and max_batch_size is 8
    unless given, else they are whole and it is 0. `sizes` are lengths of other named axes that are known to work, for
    the warm-up. `batch_input` (as in model_config.proto) makes its source inputs ragged: requests of any length are
    concatenated into one axis, and its targets are inputs of the graph that Triton fills, not the client.
    Raises ConfigurationError when a max_batch_size above 0 is asked of a model without the batch axis, and for a
    batch_input that does not fit the graph.
    """
    made = {n for entry in batch_input for n in entry.get("target_name", ())}
    ragged = {n for entry in batch_input for n in entry.get("source_input", ())}
    _check_batch_input(name, signature, made, ragged)
    batching = batching_of(signature, apart=made | ragged)
    size = (MAX_BATCH_SIZE if batching.axis else 0) if max_batch_size is None else max_batch_size
    if size > 0 and batching.axis is None:
        _refuse_batching(name, size, batching)
    batched = size > 0
    asked = Signature(inputs=tuple(t for t in signature.inputs if t.name not in made), outputs=signature.outputs)
    return ModelConfig(
        name=name,
        backend="onnxruntime",
        max_batch_size=size,
        default_model_filename=filename,
        version_policy=LATEST,
        input=tuple(input_from_spec(t, batched, ragged=t.name in ragged) for t in asked.inputs),
        output=tuple(output_from_spec(t, batched) for t in asked.outputs),
        batch_input=batch_input,
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_AUTO"),),
        dynamic_batching=ModelDynamicBatching(max_queue_delay_microseconds=0) if batched else None,
        optimization=ModelOptimizationPolicy(graph=ModelOptimizationGraph(level=0)),
        parameters={k: ModelParameter(string_value=v) for k, v in ONNXRUNTIME_PARAMETERS.items()},
        model_warmup=() if ragged else warmups(asked, size, sizes or {}),
        response_cache=ModelResponseCache(enable=False),
    )


def input_from_spec(spec: TensorSpec, batched: bool, *, ragged: bool = False) -> ModelInput:
    """The input as Triton's config names it; `batched` leaves the first axis out, which a `ragged` one does not have.

    Of a ragged input the graph's one axis is the sum of all lengths.
    """
    dims, reshape = _dims_and_reshape(spec, batched and not ragged)
    data_type = dtype_from_name(spec.dtype).config
    return ModelInput(
        name=spec.name, data_type=data_type, dims=dims, reshape=reshape, allow_ragged_batch=ragged or None
    )


def output_from_spec(spec: TensorSpec, batched: bool) -> ModelOutput:
    """The output as Triton's config names it; `batched` leaves the first axis out."""
    dims, reshape = _dims_and_reshape(spec, batched)
    return ModelOutput(name=spec.name, data_type=dtype_from_name(spec.dtype).config, dims=dims, reshape=reshape)


def _dims_and_reshape(spec: TensorSpec, batched: bool) -> tuple[tuple[int, ...], ModelTensorReshape | None]:
    dims = tuple(d if isinstance(d, int) else -1 for d in spec.shape[1 if batched else 0 :])
    if dims:
        return dims, None
    # Triton refuses empty dims. One value per row is [1] that the backend sees as []; without a batch axis an empty
    # reshape is refused as well, and the backends take the scalar as [1] by themselves.
    return (1,), ModelTensorReshape() if batched else None


def _check_batch_input(name: str, signature: Signature, made: set[str], ragged: set[str]) -> None:
    specs = {t.name: t for t in signature.inputs}
    for unknown in sorted((made | ragged) - set(specs)):
        raise ConfigurationError(
            f"'{name}': batch_input names '{unknown}', which is no input; it has {', '.join(specs)}",
            mend="name an input of the model as source_input, and another as target_name",
        )
    for tensor in (specs[n] for n in sorted(ragged)):
        if len(tensor.shape) != 1 or isinstance(tensor.shape[0], int):
            raise ConfigurationError(
                f"'{name}': '{tensor.name}' has shape {list(tensor.shape)}; a ragged input has one axis that varies",
                mend="concatenate the rows inside the model, or pad them and remove batch_input",
            )


def _refuse_batching(name: str, size: int, batching: Batching) -> None:
    raise ConfigurationError(
        f"'{name}' cannot have max_batch_size {size}: {batching.reason}",
        mend="export it with a batch axis on every input and output, or set max_batch_size to 0",
    )


def warmups(signature: Signature, max_batch_size: int, sizes: Mapping[str, int]) -> tuple[ModelWarmup, ...]:
    """One at batch 1 and one at the largest, or none where no input is known that the model surely takes.

    Zeros, not random bytes: those are NaN and denormal floats, or indexes beyond a table.
    """
    batched = max_batch_size > 0
    dims = {t.name: _warmup_dims(t, batched, sizes) for t in signature.inputs}
    if any(None in d for d in dims.values()) or not all(_takes_zero(t) for t in signature.inputs):
        return ()
    inputs = {
        t.name: ModelWarmupInput(
            data_type=dtype_from_name(t.dtype).config,
            dims=tuple(d for d in dims[t.name] if d is not None),
            zero_data=True,
        )
        for t in signature.inputs
    }
    batches = {"batch_1": 1} | ({"batch_max": max_batch_size} if max_batch_size > 1 else {})
    return tuple(ModelWarmup(name=n, batch_size=b, count=1, inputs=inputs) for n, b in batches.items())


def _warmup_dims(spec: TensorSpec, batched: bool, sizes: Mapping[str, int]) -> tuple[int | None, ...]:
    axes = spec.shape[1 if batched else 0 :]
    return tuple(d if isinstance(d, int) else sizes.get(d) for d in axes) or (1,)


def _takes_zero(spec: TensorSpec) -> bool:
    return spec.dtype != "BYTES" and (spec.low is None or spec.low <= 0)
