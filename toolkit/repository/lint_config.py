"""What a config.pbtxt says that contradicts itself or its neighbours.

Each check: Subject -> one sentence for each finding. What a finding means is said in the table of lint.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from toolkit.repository.ensemble import ensemble_problems
from toolkit.repository.lint_subject import Subject
from toolkit.repository.model_config import ModelInput, ModelWarmup, ModelWarmupInput
from toolkit.repository.publish import CONFIG_FILE

#: Every model parameter that the native backend reads (onnxruntime_backend, src/onnxruntime.cc); it ignores others.
ONNXRUNTIME_PARAMETERS = frozenset(
    {
        "intra_op_thread_count",
        "inter_op_thread_count",
        "execution_mode",
        "enable_mem_arena",
        "enable_mem_pattern",
        "memory.enable_memory_arena_shrinkage",
        "session.use_device_allocator_for_initializers",
        "cudnn_conv_algo_search",
        "gpu_mem_limit",
        "arena_extend_strategy",
        "do_copy_in_default_stream",
    }
)
_TEXTS_AND_COMMENTS = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#.*""")


def unreadable_config(subject: Subject) -> Iterator[str]:
    if subject.config_error:
        yield subject.config_error


def missing_config(subject: Subject) -> Iterator[str]:
    if subject.config_text is None:
        yield f"there is no {CONFIG_FILE}"


def foreign_name(subject: Subject) -> Iterator[str]:
    if subject.config.name != subject.path.name:
        yield f"name is '{subject.config.name}', the folder is '{subject.path.name}'"


def implicit_max_batch_size(subject: Subject) -> Iterator[str]:
    # The parsed message cannot tell 0 from absent.
    if subject.config_text is not None:
        code = _TEXTS_AND_COMMENTS.sub("", subject.config_text)
        if not re.search(r"\bmax_batch_size\s*:", code):
            yield "max_batch_size is not written"


def preferred_above_max(subject: Subject) -> Iterator[str]:
    batching, largest = subject.config.dynamic_batching, subject.config.max_batch_size
    for size in batching.preferred_batch_size if batching else ():
        if size > largest:
            yield f"preferred_batch_size {size} is above max_batch_size {largest}"


def batching_without_batch(subject: Subject) -> Iterator[str]:
    if subject.config.dynamic_batching and not subject.is_batched:
        yield "dynamic_batching with max_batch_size 0"


def open_ensemble(subject: Subject) -> Iterator[str]:
    yield from ensemble_problems(subject.config, subject.models)


def ragged_not_flat(subject: Subject) -> Iterator[str]:
    for tensor in subject.config.input:
        if tensor.allow_ragged_batch and len(tensor.dims) != 1:
            yield f"input '{tensor.name}' is ragged and has dims {list(tensor.dims)}"


def cache_enabled(subject: Subject) -> Iterator[str]:
    if subject.config.response_cache and subject.config.response_cache.enable:
        yield "response_cache is enabled"


def tied_to_gpu(subject: Subject) -> Iterator[str]:
    for group in subject.config.instance_group:
        if group.kind == "KIND_GPU" or group.gpus:
            where = f" gpus {list(group.gpus)}" if group.gpus else ""
            yield f"instance_group says {group.kind}{where}"


def unknown_parameter(subject: Subject) -> Iterator[str]:
    if subject.backend == "onnxruntime":
        unknown = sorted(set(subject.config.parameters) - ONNXRUNTIME_PARAMETERS)
        yield from (f"parameter '{name}' is none of the onnxruntime backend's" for name in unknown)


def wrong_warmup(subject: Subject) -> Iterator[str]:
    inputs = {t.name: t for t in subject.config.input}
    for warmup in subject.config.model_warmup:
        yield from (f"warm-up '{warmup.name}': {problem}" for problem in _warmup_problems(warmup, inputs, subject))


def _warmup_problems(warmup: ModelWarmup, inputs: dict[str, ModelInput], subject: Subject) -> Iterator[str]:
    largest = max(1, subject.config.max_batch_size)
    if not 0 <= warmup.batch_size <= largest:
        yield f"batch_size {warmup.batch_size} is above {largest}"
    required = {name for name, t in inputs.items() if not t.optional}
    yield from (f"input '{name}' is missing" for name in sorted(required - set(warmup.inputs)))
    for name, given in warmup.inputs.items():
        # A name that is no input can still be a control tensor of a sequence batcher.
        if name in inputs:
            yield from _warmup_input_problems(name, given, inputs[name])
        elif subject.config.sequence_batching is None:
            yield f"'{name}' is not an input"
        if given.input_data_file and not (subject.path / "warmup" / given.input_data_file).is_file():
            yield f"input '{name}': there is no file warmup/{given.input_data_file}"


def _warmup_input_problems(name: str, given: ModelWarmupInput, tensor: ModelInput) -> Iterator[str]:
    if given.data_type != tensor.data_type:
        yield f"input '{name}' is {given.data_type}, the model's is {tensor.data_type}"
    fits = len(given.dims) == len(tensor.dims) and all(
        g > 0 and t in (-1, g) for g, t in zip(given.dims, tensor.dims, strict=True)
    )
    if not fits:
        yield f"input '{name}' has dims {list(given.dims)}, the model's are {list(tensor.dims)}"
