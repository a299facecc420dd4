"""Rules on how requests are scheduled: the dynamic batcher, priorities, sequences, warm-up, ragged batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.model_config import ModelDynamicBatching, ModelInput, ModelWarmup, ModelWarmupInput
from toolkit.tensor import dtype_from_name

_BOOLEAN_CONTROLS = ("CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_READY")
_TRUTHS = ("int32_false_true", "fp32_false_true", "bool_false_true")
_ID_TYPES = ("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_INT32", "TYPE_STRING")


@rule(
    "TR004",
    "error",
    "A preferred batch above the largest can never form; Triton does not load the entry.",
    "lower preferred_batch_size or raise max_batch_size",
)
def preferred_above_max(subject: Subject) -> Iterator[str]:
    largest = subject.config.max_batch_size
    for size in _batching(subject).preferred_batch_size:
        if size > largest:
            yield f"preferred_batch_size {size} is above max_batch_size {largest}"
        elif size < 1:
            yield f"preferred_batch_size {size} is not positive"


@rule(
    "TR005",
    "error",
    "Dynamic batching needs a batch axis; requests would run one by one.",
    "set max_batch_size above 0, or remove dynamic_batching",
)
def batching_without_batch(subject: Subject) -> Iterator[str]:
    if subject.config.dynamic_batching and not subject.is_batched:
        yield "dynamic_batching with max_batch_size 0"


@rule(
    "TR031",
    "warning",
    "Every request waits for a batch that cannot form: the delay is added to its latency and nothing is won.",
    "raise max_batch_size, or set max_queue_delay_microseconds to 0",
)
def delay_without_batch(subject: Subject) -> Iterator[str]:
    delay = _batching(subject).max_queue_delay_microseconds
    if subject.config.max_batch_size == 1 and delay > 0:
        yield f"max_queue_delay_microseconds {delay} with max_batch_size 1"


@rule(
    "TR032",
    "error",
    "Requests without a priority would have none of the levels; Triton does not load the entry.",
    "set default_priority_level from 1 to priority_levels, and name no other level in priority_queue_policy",
)
def impossible_priority(subject: Subject) -> Iterator[str]:
    batching = _batching(subject)
    levels, default = batching.priority_levels or 0, batching.default_priority_level or 0
    if levels and not 1 <= default <= levels:
        yield f"default_priority_level {default} is not in 1..{levels}"
    if not levels and (default or batching.priority_queue_policy):
        yield "priorities are configured, and priority_levels is 0"
    for level in batching.priority_queue_policy if levels else ():
        if not 1 <= int(level) <= levels:
            yield f"priority_queue_policy names level {level}, not in 1..{levels}"


@rule(
    "TR033",
    "error",
    "Responses in the order of requests exclude priorities and delayed timeouts; Triton does not load the entry.",
    "remove preserve_ordering, or the priority levels and `timeout_action: DELAY`",
)
def ordered_priorities(subject: Subject) -> Iterator[str]:
    batching = _batching(subject)
    if not batching.preserve_ordering:
        return
    if (batching.priority_levels or 0) > 1:
        yield f"preserve_ordering with {batching.priority_levels} priority levels"
    for policy in (batching.default_queue_policy or {}, *batching.priority_queue_policy.values()):
        if policy.get("timeout_action") == "DELAY" and policy.get("default_timeout_microseconds", 0):
            yield "preserve_ordering with a queue policy of timeout_action DELAY"


@rule(
    "TR034",
    "warning",
    "No request can wait longer than its timeout: it is dropped while the batcher still waits for a batch.",
    "make default_timeout_microseconds larger than max_queue_delay_microseconds",
)
def timeout_below_delay(subject: Subject) -> Iterator[str]:
    batching = _batching(subject)
    for policy in (batching.default_queue_policy or {}, *batching.priority_queue_policy.values()):
        timeout = policy.get("default_timeout_microseconds", 0)
        if 0 < timeout <= batching.max_queue_delay_microseconds:
            yield f"default_timeout_microseconds {timeout}, delay {batching.max_queue_delay_microseconds}"


@rule(
    "TR035",
    "error",
    "The sequence batcher's batches or controls contradict each other; Triton does not load the entry.",
    "correct sequence_batching as the finding says",
)
def impossible_sequences(subject: Subject) -> Iterator[str]:
    batching = subject.config.sequence_batching
    if batching is None:
        return
    largest = max(1, subject.config.max_batch_size)
    for size in batching.get("oldest", {}).get("preferred_batch_size", ()):
        if not 1 <= size <= largest:
            yield f"sequence_batching.oldest.preferred_batch_size {size} is not in 1..{largest}"
    slots = batching.get("direct", {}).get("minimum_slot_utilization", 0.0)
    if not 0.0 <= slots <= 1.0:
        yield f"sequence_batching.direct.minimum_slot_utilization {slots} is not in 0..1"
    yield from _control_problems(batching.get("control_input", ()), {t.name for t in subject.config.input})


@rule(
    "TR036",
    "warning",
    "Triton documents streams of responses from a sequence for iterative sequences only.",
    "set iterative_sequence, or remove the decoupled transaction policy",
)
def decoupled_sequence(subject: Subject) -> Iterator[str]:
    batching = subject.config.sequence_batching
    if subject.is_decoupled and batching is not None and not batching.get("iterative_sequence"):
        yield "decoupled with sequence_batching"


@rule(
    "TR012",
    "error",
    "A warm-up request that the model does not take; Triton does not load the entry.",
    "make the warm-up's inputs those of the model, with lengths in place of -1",
)
def wrong_warmup(subject: Subject) -> Iterator[str]:
    inputs = {t.name: t for t in subject.config.input}
    for warmup in subject.config.model_warmup:
        yield from (f"warm-up '{warmup.name}': {problem}" for problem in _warmup_problems(warmup, inputs, subject))


def _batching(subject: Subject) -> ModelDynamicBatching:
    return subject.config.dynamic_batching or ModelDynamicBatching()


def _control_problems(controls: tuple[Mapping[str, Any], ...], inputs: set[str]) -> Iterator[str]:
    names = [control.get("name", "") for control in controls]
    kinds = Counter(c.get("kind", "CONTROL_SEQUENCE_START") for control in controls for c in control.get("control", ()))
    yield from (f"the control tensor '{name}' comes twice" for name, n in Counter(names).items() if name and n > 1)
    yield from (f"{kind} is given to several tensors" for kind, n in kinds.items() if n > 1)
    yield from (f"the control tensor '{name}' is an input as well" for name in names if name in inputs)
    if "" in names:
        yield "a control tensor has no name"
    for control in controls:
        for one in control.get("control", ()):
            yield from _one_control_problems(control.get("name", ""), one)


def _one_control_problems(name: str, control: Mapping[str, Any]) -> Iterator[str]:
    kind = control.get("kind", "CONTROL_SEQUENCE_START")
    truths = [t for t in _TRUTHS if control.get(t)]
    if kind in _BOOLEAN_CONTROLS and len(truths) != 1:
        yield f"{kind} of '{name}' needs exactly one of {', '.join(_TRUTHS)}; it has {', '.join(truths) or 'none'}"
    if kind == "CONTROL_SEQUENCE_CORRID" and control.get("data_type") not in _ID_TYPES:
        yield f"{kind} of '{name}' is {control.get('data_type', 'of no type')}; expected one of {', '.join(_ID_TYPES)}"


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
        if given.input_data_file:
            yield from _warmup_file_problems(name, given, subject)


def _warmup_input_problems(name: str, given: ModelWarmupInput, tensor: ModelInput) -> Iterator[str]:
    if given.data_type != tensor.data_type:
        yield f"input '{name}' is {given.data_type}, the model's is {tensor.data_type}"
    fits = len(given.dims) == len(tensor.dims) and all(
        g > 0 and t in (-1, g) for g, t in zip(given.dims, tensor.dims, strict=True)
    )
    if not fits:
        yield f"input '{name}' has dims {list(given.dims)}, the model's are {list(tensor.dims)}"


def _warmup_file_problems(name: str, given: ModelWarmupInput, subject: Subject) -> Iterator[str]:
    """The file holds one row, which Triton repeats; texts have a length each, so their size is free."""
    file = subject.path / "warmup" / str(given.input_data_file)
    if not file.is_file():
        yield f"input '{name}': there is no file warmup/{given.input_data_file}"
        return
    expected = 0 if given.data_type == "TYPE_INVALID" else dtype_from_name(given.data_type).itemsize
    for length in given.dims:
        expected *= length
    if expected > 0 and file.stat().st_size != expected:
        yield f"input '{name}': warmup/{file.name} has {file.stat().st_size} bytes, its dims need {expected}"


RULES = (
    preferred_above_max,
    batching_without_batch,
    wrong_warmup,
    delay_without_batch,
    impossible_priority,
    ordered_priorities,
    timeout_below_delay,
    impossible_sequences,
    decoupled_sequence,
)
