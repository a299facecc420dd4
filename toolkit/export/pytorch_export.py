"""What the worker does for a PyTorch model: load, sample, run the original row by row, export; or only look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import ExportFailed, ToolkitError
from toolkit.export.arrays import Array, write_arrays
from toolkit.export.index_bounds import bounds_of_module, needs_bounds, with_bounds
from toolkit.export.labelled import write_held_out, write_labelled
from toolkit.export.lengths import write_lengths
from toolkit.export.pytorch_noise import pytorch_noise
from toolkit.export.pytorch_run import FORWARD, answers_of, forward_arguments, reference_by_row
from toolkit.export.reference import check_names, check_two_rows, two_of
from toolkit.export.samples import (
    check_batch_axes,
    input_specs,
    offered_rows,
    origin_of,
    random_samples,
    read_samples,
    samples_for,
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
from toolkit.export.torch_onnx import export_program, module_outputs, save_program
from toolkit.export.torchscript_onnx import export_script
from toolkit.models.code import customer_code
from toolkit.models.module import load_module
from toolkit.models.pytorch import ModelFile
from toolkit.records import write_json
from toolkit.tensor import BATCH, Signature, TensorSpec, dtype_from_numpy


def export_pytorch(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[TensorSpec, ...]:
    """Write model.onnx, samples.npz, reference.npz and the held-out files; return the inputs' specs."""
    path, spec = request.source.path, request.spec
    say("loading the model")
    model = load_module(request.source, seed=spec.seed, arguments=spec.arguments)
    samples = _samples(request, model)
    inputs = input_specs(samples, _declared(request, model))
    check_batch_axes(inputs)
    say(f"running the original on {_rows(samples)} samples")
    reference = reference_by_row(model, path, samples)
    check_names(samples, reference)
    two = two_of(samples)
    check_two_rows(partial(answers_of, model), path, two, called=FORWARD)
    write_arrays(folder / SAMPLES_FILE, samples)
    write_arrays(folder / REFERENCE_FILE, reference)
    say("finding the original's rounding noise")
    noise, notes = pytorch_noise(model, path, samples, reference)
    original = partial(reference_by_row, model, path)
    lengths = write_lengths(folder / LENGTHS_FILE, samples, inputs, original)
    read = partial(read_samples, declared=inputs, arguments=forward_arguments(model.module))
    if not write_labelled(folder, spec.samples, samples, original, read) and model.held_out is not None:
        say("running the original on the held-out samples")
        write_held_out(folder, path, model.held_out, list(samples), original)
    say("exporting to ONNX")
    rows = {name: torch.from_numpy(array) for name, array in two.items()}
    if request.source.framework == "torchscript":
        export_script(model, folder / MODEL_FILE, inputs, rows, tuple(reference), spec.opset)
        modules: dict[str, str] = {}
    else:
        program = export_program(model, path, inputs, rows, tuple(reference), spec.opset)
        modules = module_outputs(program)
        save_program(program, folder / MODEL_FILE)
    origin = origin_of(spec, model.sample_inputs is not None)
    facts = ReferenceFacts(noise=noise, origin=origin, notes=(*notes, *lengths), modules=modules)
    write_json(folder / FACTS_FILE, facts)
    return inputs


def inspect_pytorch(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a model without exporting it; a signature only where samples can be had. Writes nothing."""
    say("loading the model")
    model = load_module(request.source, seed=request.spec.seed, arguments=request.spec.arguments)
    parameters = list(model.module.parameters())
    tensors = [*parameters, *model.module.buffers()]
    leaves = (module for module in model.module.modules() if not any(module.children()))
    signature, note = _signature(request, model)
    return {
        "signature": signature,
        # Keras keeps the state of its random generators, whole numbers, as parameters too.
        "parameters": sum(p.numel() for p in parameters if p.is_floating_point()),
        "size_bytes": sum(t.numel() * t.element_size() for t in tensors),
        "operators": dict(Counter(type(module).__name__ for module in leaves).most_common()),
        "notes": [note] if note else [],
    }


def _signature(request: WorkerRequest, model: ModelFile) -> tuple[Signature | None, str]:
    try:
        samples = _samples(request, model)
        reference = reference_by_row(model, request.source.path, {name: array[:1] for name, array in samples.items()})
    except ToolkitError as err:
        return None, err.message
    outputs = (
        TensorSpec(name=name, dtype=dtype_from_numpy(array.dtype).name, shape=(BATCH, *array.shape[1:]))
        for name, array in reference.items()
    )
    return Signature(inputs=input_specs(samples, _declared(request, model)), outputs=tuple(outputs)), ""


def _samples(request: WorkerRequest, model: ModelFile) -> dict[str, Array]:
    offered = offered_rows(model.sample_inputs, request.source.path, request.spec)
    return samples_for(request.spec, _declared(request, model), forward_arguments(model.module), offered)


def _declared(request: WorkerRequest, model: ModelFile) -> tuple[TensorSpec, ...]:
    """The inputs as the user gave them, else as the format itself says; indices without a range with their table's."""
    declared = request.spec.inputs or model.inputs
    if request.spec.samples is not None or model.sample_inputs is not None or not needs_bounds(declared):
        return declared
    return with_bounds(declared, _bounds(request, model, declared))


def _bounds(request: WorkerRequest, model: ModelFile, declared: tuple[TensorSpec, ...]) -> dict[str, int]:
    """How far the integers of each input may go, from a run on two rows of zeros and ones; nothing when it fails."""
    rows = random_samples(declared, 2, request.spec.seed)
    tensors = {name: torch.from_numpy(array) for name, array in rows.items() if array.dtype.kind != "O"}
    try:
        with customer_code(request.source.path, "forward() on two rows", ExportFailed):
            return bounds_of_module(lambda: model.module(**tensors), tensors)
    except ExportFailed:
        return {}  # the run on the samples themselves says what is wrong


def _rows(arrays: dict[str, Array]) -> int:
    return len(next(iter(arrays.values())))
