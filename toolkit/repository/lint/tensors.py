"""Rules on inputs and outputs as the config declares them: dims, reshapes, formats, labels, ragged batches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.model_config import ModelInput, ModelOutput

_BATCH_INPUT_TYPES = ("TYPE_INT32", "TYPE_FP32")


@rule(
    "TR007",
    "error",
    "Ragged batches are concatenated into one axis, so the input must have exactly one.",
    "give the input dims [ -1 ], or remove allow_ragged_batch",
)
def ragged_not_flat(subject: Subject) -> Iterator[str]:
    for tensor in subject.config.input:
        if tensor.allow_ragged_batch and len(tensor.dims) != 1:
            yield f"input '{tensor.name}' is ragged and has dims {list(tensor.dims)}"


@rule(
    "TR041",
    "warning",
    "Without a batch there is nothing to join; without batch_input the model cannot tell where a request ends.",
    "set max_batch_size above 0 and add a batch_input whose source_input is the ragged input",
)
def ragged_unmarked(subject: Subject) -> Iterator[str]:
    sources = {name for entry in subject.config.batch_input for name in entry.get("source_input", ())}
    for tensor in subject.config.input:
        if tensor.allow_ragged_batch and not subject.is_batched:
            yield f"input '{tensor.name}' is ragged with max_batch_size 0"
        elif tensor.allow_ragged_batch and tensor.name not in sources:
            yield f"input '{tensor.name}' is ragged, and no batch_input describes it"


@rule(
    "TR042",
    "error",
    "Triton refuses a batch_input or batch_output that does not say what it is made from and of which type.",
    "name one input as source_input, TYPE_INT32 or TYPE_FP32, and target names that the graph has",
)
def impossible_batch_tensors(subject: Subject) -> Iterator[str]:
    inputs = {t.name for t in subject.config.input}
    outputs = {t.name for t in subject.config.output}
    for number, entry in enumerate(subject.config.batch_input):
        yield from _source_problems(f"batch_input[{number}]", entry, inputs)
        if entry.get("data_type", "TYPE_INVALID") not in _BATCH_INPUT_TYPES:
            yield f"batch_input[{number}] is {entry.get('data_type', 'of no type')}"
        taken = sorted(inputs.intersection(entry.get("target_name", ())))
        yield from (f"batch_input[{number}] makes '{name}', which requests give as well" for name in taken)
    for number, entry in enumerate(subject.config.batch_output):
        yield from _source_problems(f"batch_output[{number}]", entry, inputs)
        strangers = sorted(set(entry.get("target_name", ())) - outputs)
        yield from (f"batch_output[{number}] scatters '{name}', which is no output" for name in strangers)


@rule(
    "TR043",
    "error",
    "Triton refuses a tensor without a name, a type, or dims that are lengths or -1.",
    "write name, data_type and dims; a scalar is dims [ 1 ] with an empty reshape",
)
def incomplete_tensor(subject: Subject) -> Iterator[str]:
    for what, tensor in _tensors(subject):
        if not tensor.name:
            yield f"an {what} has no name"
        if tensor.data_type == "TYPE_INVALID":
            yield f"{what} '{tensor.name}' has no data_type"
        if not tensor.dims or any(d < 1 and d != -1 for d in tensor.dims):
            yield f"{what} '{tensor.name}' has dims {list(tensor.dims)}"


@rule(
    "TR044",
    "error",
    "A reshape holds as many elements as the dims, between any two free lengths; Triton does not load the entry.",
    "correct the reshape; an empty one needs dims [ 1 ] and max_batch_size above 0",
)
def impossible_reshape(subject: Subject) -> Iterator[str]:
    for what, tensor in _tensors(subject):
        if tensor.reshape is None or not tensor.dims:
            continue
        shape = tensor.reshape.shape
        if not shape and not subject.is_batched:
            yield f"{what} '{tensor.name}' has an empty reshape with max_batch_size 0"
        elif _pieces(shape) != _pieces(tensor.dims):
            yield f"{what} '{tensor.name}' has dims {list(tensor.dims)} and reshape {list(shape)}"


@rule(
    "TR045",
    "error",
    "Triton refuses the format or kind of this tensor.",
    "remove `format` from tensors that are no images, and shape tensors from backends other than TensorRT",
)
def impossible_format(subject: Subject) -> Iterator[str]:
    for image in subject.config.input:
        if image.format in ("FORMAT_NHWC", "FORMAT_NCHW") and len(image.dims) != 3:
            yield f"input '{image.name}' is {image.format} with {len(image.dims)} dims; it needs 3"
    for what, tensor in _tensors(subject):
        if tensor.is_shape_tensor and subject.backend != "tensorrt":
            yield f"{what} '{tensor.name}' is a shape tensor on the {subject.backend or 'ensemble'} backend"
        if tensor.is_non_linear_format_io and (subject.backend != "tensorrt" or len(tensor.dims) != 3):
            yield f"{what} '{tensor.name}' has a non-linear format; that takes TensorRT and 3 dims"


@rule(
    "TR046",
    "error",
    "Of two tensors of one name Triton keeps one silently.",
    "give every input and every output a name of its own",
)
def same_name_twice(subject: Subject) -> Iterator[str]:
    counts = Counter((what, tensor.name) for what, tensor in _tensors(subject) if tensor.name)
    yield from (f"{what} '{name}' comes {count} times" for (what, name), count in counts.items() if count > 1)


@rule(
    "TR013",
    "error",
    "Classification answers carry labels from a file that is not there.",
    "put the label file beside config.pbtxt, one label a line, or remove label_filename",
)
def missing_labels(subject: Subject) -> Iterator[str]:
    for tensor in subject.config.output:
        if tensor.label_filename and not (subject.path / tensor.label_filename).is_file():
            yield f"the label file {tensor.label_filename} of output '{tensor.name}' is missing"


@rule(
    "TR047",
    "error",
    "Classes beyond the last label have none, and a file for another output names classes wrongly.",
    "write one label a line, as many as the output has values per row",
)
def wrong_labels(subject: Subject) -> Iterator[str]:
    for tensor in subject.config.output:
        file = subject.path / tensor.label_filename
        if not tensor.label_filename or not file.is_file():
            continue
        if not file.resolve().is_relative_to(subject.path.resolve()):
            yield f"the label file {tensor.label_filename} lies outside of the entry"
            continue
        labels, values = len(file.read_bytes().splitlines()), math.prod(tensor.dims)
        if -1 not in tensor.dims and labels != values:
            yield f"{tensor.label_filename} has {labels} labels, output '{tensor.name}' has {values} values"


def _tensors(subject: Subject) -> Iterator[tuple[str, ModelInput | ModelOutput]]:
    yield from (("input", tensor) for tensor in subject.config.input)
    yield from (("output", tensor) for tensor in subject.config.output)


def _source_problems(where: str, entry: Mapping[str, Any], inputs: set[str]) -> Iterator[str]:
    sources = entry.get("source_input", ())
    if len(sources) != 1:
        yield f"{where} has {len(sources)} source inputs; it needs 1"
    yield from (f"{where} is made from '{name}', which is no input" for name in sources if name not in inputs)
    if not entry.get("target_name"):
        yield f"{where} has no target_name"


def _pieces(shape: tuple[int, ...]) -> list[int]:
    """The number of elements between free lengths: [2, 4, -1, 6] and [8, -1, 1, 6] are [8, 6] both."""
    pieces = [1]
    for length in shape:
        pieces = [*pieces, 1] if length == -1 else [*pieces[:-1], pieces[-1] * length]
    return pieces


RULES = (
    ragged_not_flat,
    missing_labels,
    ragged_unmarked,
    impossible_batch_tensors,
    incomplete_tensor,
    impossible_reshape,
    impossible_format,
    same_name_twice,
    wrong_labels,
)
