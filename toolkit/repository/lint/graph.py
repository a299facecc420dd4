"""Rules on the ONNX graph: what it takes and gives, against what the config says."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.repository.defaults import input_from_spec, output_from_spec
from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.model_config import ModelInput, ModelOutput
from toolkit.tensor import TensorSpec


@rule(
    "TR010",
    "error",
    "Batching needs a leading axis of variable length on every input and output.",
    "export the model with a batch axis, or set max_batch_size to 0 and write whole dims",
)
def fixed_batch(subject: Subject) -> Iterator[str]:
    if subject.is_batched:
        for spec in _batched_tensors(subject):
            if not (spec.shape and isinstance(spec.shape[0], str)):
                yield f"max_batch_size is {subject.config.max_batch_size}, and '{spec.name}' is {list(spec.shape)}"


@rule(
    "TR019",
    "warning",
    "A first axis of another name may not be the batch: batched answers would go to the wrong requests.",
    "export again with the same name for the first axis of every input and output",
)
def several_batch_axes(subject: Subject) -> Iterator[str]:
    firsts = {spec.shape[0]: spec.name for spec in _batched_tensors(subject) if spec.shape}
    names = [axis for axis in firsts if isinstance(axis, str)]
    if subject.is_batched and len(names) > 1:
        yield "first axes differ: " + ", ".join(f"'{axis}' of {firsts[axis]}" for axis in names)


@rule(
    "TR018",
    "error",
    "Inputs must be the graph's; Triton does not load the entry.",
    "copy names, types and fixed dims from the graph, the batch axis left out",
)
def inputs_unlike_graph(subject: Subject) -> Iterator[str]:
    if subject.graph is None or not subject.config.input:
        return
    specs = {t.name: t for t in subject.graph.inputs}
    given = {t.name: t for t in subject.config.input}
    joined = set(_joined(subject))
    wanted = [name for name in specs if name not in subject.defaults and name not in joined]
    yield from (f"the graph's input '{name}' is not in the config" for name in wanted if name not in given)
    yield from (f"the graph has no input '{name}' for batch_input" for name in sorted(_made(subject) - set(specs)))
    for name, tensor in given.items():
        if name not in specs:
            yield f"the graph has no input '{name}'; it has {', '.join(specs)}"
        elif not _has_scalar_batch(specs[name], subject):
            ragged = bool(tensor.allow_ragged_batch)
            yield from _differences("input", tensor, input_from_spec(specs[name], subject.is_batched, ragged=ragged))


@rule(
    "TR009",
    "error",
    "Outputs are compared exactly with the graph; Triton does not load the entry.",
    "copy names, types and dims from the graph, the batch axis left out",
)
def outputs_unlike_graph(subject: Subject) -> Iterator[str]:
    if subject.graph is None:
        return
    specs = {t.name: t for t in subject.graph.outputs}
    for tensor in subject.config.output:
        if tensor.name not in specs:
            yield f"the graph has no output '{tensor.name}'; it has {', '.join(specs)}"
        elif not _has_scalar_batch(specs[tensor.name], subject):
            yield from _differences("output", tensor, output_from_spec(specs[tensor.name], subject.is_batched))


@rule(
    "TR081",
    "error",
    "The graph has no value for this input, so a request without it fails.",
    "remove `optional`, or give the input an initializer of its name in the graph",
)
def needed_input_is_optional(subject: Subject) -> Iterator[str]:
    if subject.graph is not None:
        for tensor in subject.config.input:
            if tensor.optional and tensor.name not in subject.defaults:
                yield f"input '{tensor.name}' is optional, and the graph needs it"


def _has_scalar_batch(spec: TensorSpec, subject: Subject) -> bool:
    """A batched entry whose graph has no axis to leave out, which `fixed_batch` reports."""
    return subject.is_batched and not spec.shape


def _differences(what: str, tensor: ModelInput | ModelOutput, graph: ModelInput | ModelOutput) -> Iterator[str]:
    if tensor.data_type != graph.data_type:
        yield f"{what} '{tensor.name}' is {tensor.data_type}, the graph says {graph.data_type}"
    ours, theirs = _seen_by_backend(tensor), _seen_by_backend(graph)
    # The native backend compares outputs exactly, and inputs only where the graph fixes a length.
    same = ours == theirs if what == "output" else _fits_fixed(ours, theirs)
    if not same:
        yield f"{what} '{tensor.name}' has dims {list(ours)}, the graph says {list(theirs)}"


def _seen_by_backend(tensor: ModelInput | ModelOutput) -> tuple[int, ...]:
    return tensor.reshape.shape if tensor.reshape else tensor.dims


def _fits_fixed(ours: tuple[int, ...], theirs: tuple[int, ...]) -> bool:
    return len(ours) == len(theirs) and all(t in (-1, o) for o, t in zip(ours, theirs, strict=True))


def _made(subject: Subject) -> set[str]:
    """The inputs that Triton makes itself of a ragged batch."""
    return {name for entry in subject.config.batch_input for name in entry.get("target_name", ())}


def _joined(subject: Subject) -> set[str]:
    """The inputs whose first axis is not the batch: ragged ones, concatenated, and what describes these."""
    return _made(subject) | {t.name for t in subject.config.input if t.allow_ragged_batch}


def _batched_tensors(subject: Subject) -> tuple[TensorSpec, ...]:
    if subject.graph is None:
        return ()
    apart = _joined(subject) | subject.defaults
    return (*(t for t in subject.graph.inputs if t.name not in apart), *subject.graph.outputs)


RULES = (outputs_unlike_graph, fixed_batch, inputs_unlike_graph, several_batch_axes, needed_input_is_optional)
