"""What the worker does for a PyTorch model: load, sample, run the original row by row, export; or only look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ExportFailed, ToolkitError
from toolkit.export.arrays import Array, write_arrays
from toolkit.export.index_bounds import bounds_of_module, needs_bounds, with_bounds
from toolkit.export.labelled import write_labelled
from toolkit.export.lengths import write_lengths
from toolkit.export.pytorch_noise import pytorch_noise
from toolkit.export.pytorch_run import check_two_rows, forward_arguments, reference_by_row
from toolkit.export.samples import input_specs, origin_of, random_samples, samples_for
from toolkit.export.spec import (
    FACTS_FILE,
    HELD_OUT_FILE,
    HELD_OUT_REFERENCE_FILE,
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
    _check_batch_axes(inputs)
    say(f"running the original on {_rows(samples)} samples")
    reference = reference_by_row(model, path, samples)
    _check_names(samples, reference)
    two = {name: np.resize(array, (2, *array.shape[1:])) for name, array in samples.items()}
    check_two_rows(model, path, two)
    write_arrays(folder / SAMPLES_FILE, samples)
    write_arrays(folder / REFERENCE_FILE, reference)
    say("finding the original's rounding noise")
    noise, notes = pytorch_noise(model, path, samples, reference)
    lengths = write_lengths(folder / LENGTHS_FILE, samples, inputs, lambda rows: reference_by_row(model, path, rows))
    if not write_labelled(folder, spec.samples, list(samples), lambda rows: reference_by_row(model, path, rows)):
        _write_held_out(model, path, folder, samples, say)
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
        "parameters": sum(p.numel() for p in parameters),
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
    spec, path = request.spec, request.source.path
    sample = model.sample_inputs
    offered = partial(_offered, sample, path, spec.seed, spec.sample_count) if sample else None
    return samples_for(spec, _declared(request, model), forward_arguments(model.module), offered)


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


def _offered(sample_inputs: Callable[[int, int], Any], path: Path, seed: int, count: int) -> Any:
    with customer_code(path, f"sample_inputs({seed}, {count})", ExportFailed):
        return sample_inputs(seed, count)


def _rows(arrays: dict[str, Array]) -> int:
    return len(next(iter(arrays.values())))


def _check_batch_axes(inputs: tuple[TensorSpec, ...]) -> None:
    for tensor in inputs:
        if not tensor.is_batchable:
            raise ExportFailed(
                f"input '{tensor.name}' has no batch: axis 0 of {tensor.text()} is not '{BATCH}'",
                mend=f"declare it with a first axis named {BATCH}, for example {tensor.name}:float32:{BATCH},...",
            )


def _check_names(samples: dict[str, Array], reference: dict[str, Array]) -> None:
    both = sorted(set(samples) & set(reference))
    if both:
        raise ExportFailed(
            f"'{both[0]}' is the name of an input and of an output", mend="define OUTPUT_NAMES in the model's file"
        )


def _write_held_out(
    model: ModelFile, path: Path, folder: Path, samples: dict[str, Array], say: Callable[[str], None]
) -> None:
    if model.held_out is None:
        return
    with customer_code(path, "held_out()", ExportFailed):
        inputs, labels = model.held_out()
        inputs, labels = dict(inputs), np.asarray(labels)
    if set(inputs) != set(samples) or labels.ndim != 1 or any(len(a) != len(labels) for a in inputs.values()):
        shapes = ", ".join(f"{name} {list(np.shape(array))}" for name, array in inputs.items())
        raise ExportFailed(
            f"{path}: held_out() gives {shapes} and labels {list(labels.shape)}; expected {', '.join(samples)}"
            " with one row per label",
            mend="return ({input name: array}, labels)",
        )
    say(f"running the original on {len(labels)} held-out samples")
    arrays = {name: np.asarray(inputs[name]) for name in samples}
    write_arrays(folder / HELD_OUT_FILE, {f"input.{n}": a for n, a in arrays.items()} | {"label": labels})
    write_arrays(folder / HELD_OUT_REFERENCE_FILE, reference_by_row(model, path, arrays))
