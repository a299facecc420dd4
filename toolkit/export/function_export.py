"""What the worker does for a model that is a function of another framework: load, ask, convert; or only look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed, ToolkitError
from toolkit.export.arrays import Array, write_arrays
from toolkit.export.function_onnx import function_to_onnx, write_model
from toolkit.export.labelled import write_held_out, write_labelled
from toolkit.export.lengths import write_lengths
from toolkit.export.reference import check_names, check_rows_apart, check_two_rows, noise_of, rows_alone, two_of
from toolkit.export.samples import (
    Arguments,
    check_batch_axes,
    input_specs,
    offered_rows,
    origin_of,
    read_samples,
    samples_for,
    with_given,
)
from toolkit.export.spec import (
    FACTS_FILE,
    LENGTHS_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ReferenceFacts,
    WorkerRequest,
)
from toolkit.models.code import customer_code
from toolkit.models.function import FunctionModel
from toolkit.models.source import Source
from toolkit.records import write_json
from toolkit.tensor import BATCH, Signature, TensorSpec, dtype_from_numpy

_CALLED = "the original"


def export_function(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[TensorSpec, ...]:
    """Write model.onnx, samples.npz, reference.npz and the held-out files; return the inputs' specs.

    Raises ModelRefused and ExportFailed.
    """
    source, spec, path = request.source, request.spec, request.source.path
    say("loading the model")
    model = load_function(source, request)
    samples, declared, held_as = _samples(request, model)
    inputs = input_specs(samples, declared)
    check_batch_axes(inputs)
    say(f"asking the original for {len(next(iter(samples.values())))} samples")
    original = partial(rows_alone, model.answers, path, called=_CALLED)
    reference = original(samples)
    check_names(samples, reference)
    check_two_rows(model.answers, path, two_of(samples), called=_CALLED)
    write_arrays(folder / SAMPLES_FILE, samples)
    write_arrays(folder / REFERENCE_FILE, reference)
    say("finding the original's rounding noise")
    probes = [(probe.text, probe.answers) for probe in model.probes]
    noise, notes = noise_of(probes, path, samples, reference, called=_CALLED)
    check_rows_apart(model.answers, path, samples, reference, noise)
    lengths = write_lengths(folder / LENGTHS_FILE, samples, inputs, original)
    read = partial(read_samples, declared=inputs, arguments=_arguments(model))
    if not write_labelled(folder, spec.samples, samples, original, read) and model.held_out is not None:
        write_held_out(folder, path, model.held_out, list(samples), original)
    say("converting to ONNX")
    made = function_to_onnx(model, source, inputs, tuple(reference), spec.opset)
    write_model(made, folder / MODEL_FILE)
    origin = origin_of(spec, model.sample_inputs is not None)
    write_json(folder / FACTS_FILE, ReferenceFacts(noise=noise, origin=origin, notes=(*held_as, *notes, *lengths)))
    return inputs


def inspect_function(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a model without converting it; a signature only where samples can be had. Writes nothing."""
    say("loading the model")
    model = load_function(request.source, request)
    signature, note = _signature(request, model)
    return {
        "signature": signature,
        "parameters": model.parameters,
        "size_bytes": model.size_bytes,
        "operators": model.operators,
        "notes": [note] if note else [],
    }


def load_function(source: Source, request: WorkerRequest) -> FunctionModel:
    """Load a source whose framework has an environment of its own."""
    if source.framework == "savedmodel":
        from toolkit.models.savedmodel import load_saved_model

        return load_saved_model(source)
    from toolkit.models.jax import load_jax

    return load_jax(source, arguments=request.spec.arguments)


def _samples(
    request: WorkerRequest, model: FunctionModel
) -> tuple[dict[str, Array], tuple[TensorSpec, ...], tuple[str, ...]]:
    """The rows as the framework holds them, the inputs as declared with the dtypes that it gave them, and notes."""
    spec, path = request.spec, request.source.path
    declared = with_given(model.inputs, spec.inputs) if model.inputs else spec.inputs
    rows = samples_for(spec, declared, _arguments(model), offered_rows(model.sample_inputs, path, spec))
    with customer_code(path, "taking the samples", ExportFailed, mend="give numbers that the framework has"):
        taken = {name: model.taken(array) for name, array in rows.items()}
    dtypes = {name: dtype_from_numpy(array.dtype).name for name, array in taken.items()}
    notes = (
        f"'{name}' is {dtypes[name]} for the framework, and {dtype_from_numpy(array.dtype).name} in the samples"
        for name, array in rows.items()
        if dtypes[name] != dtype_from_numpy(array.dtype).name
    )
    return taken, tuple(replace(t, dtype=dtypes[t.name]) for t in declared if t.name in dtypes), tuple(notes)


def _arguments(model: FunctionModel) -> Arguments:
    return Arguments(accepted=model.accepted, required=model.required, any_name=model.any_name)


def _signature(request: WorkerRequest, model: FunctionModel) -> tuple[Signature | None, str]:
    try:
        samples, declared, _ = _samples(request, model)
        one = {name: array[:1] for name, array in samples.items()}
        reference = rows_alone(model.answers, request.source.path, one, called=_CALLED)
    except ToolkitError as err:
        return None, err.message
    outputs = (
        TensorSpec(name=name, dtype=dtype_from_numpy(array.dtype).name, shape=(BATCH, *array.shape[1:]))
        for name, array in reference.items()
    )
    return Signature(inputs=input_specs(samples, declared), outputs=tuple(outputs)), ""
