"""What the worker does for an ONNX file: copy it, choose samples, run the original row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from toolkit.errors import ExportFailed
from toolkit.export.arrays import Array, write_arrays
from toolkit.export.index_bounds import bounds_in_graph, with_bounds
from toolkit.export.labelled import write_labelled
from toolkit.export.lengths import write_lengths
from toolkit.export.onnx_noise import onnx_noise
from toolkit.export.onnx_source import copy_onnx
from toolkit.export.onnxruntime import answers_of, chunks, open_onnx, runtime_errors
from toolkit.export.samples import Arguments, input_specs, origin_of, read_samples, samples_for, with_given
from toolkit.export.spec import (
    FACTS_FILE,
    LENGTHS_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ReferenceFacts,
    WorkerRequest,
)
from toolkit.models.onnx import check_onnx, read_onnx, signature_from_onnx
from toolkit.records import write_json
from toolkit.tensor import TensorSpec


def export_onnx(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[TensorSpec, ...]:
    """Write model.onnx, samples.npz and reference.npz into `folder`; return the inputs' specs.

    Raises ModelRefused and ExportFailed.
    """
    path, spec = request.source.path, request.spec
    say("copying the model")
    check_onnx(path)
    copy_onnx(path, folder)
    declared = with_given(signature_from_onnx(folder / MODEL_FILE).inputs, spec.inputs)
    declared = with_bounds(declared, bounds_in_graph(read_onnx(path).graph))
    names = tuple(tensor.name for tensor in declared)
    arguments = Arguments(accepted=names, required=names)
    samples = samples_for(spec, declared, arguments, None)
    write_arrays(folder / SAMPLES_FILE, samples)
    say(f"running the original on {len(samples[names[0]])} samples")
    reference = _reference(path, samples)
    write_arrays(folder / REFERENCE_FILE, reference)
    inputs = input_specs(samples, declared)
    say("finding the original's rounding noise")
    noise, notes = onnx_noise(folder / MODEL_FILE, samples, reference)
    lengths = write_lengths(folder / LENGTHS_FILE, samples, inputs, lambda rows: _reference(path, rows))
    read = partial(read_samples, declared=declared, arguments=arguments)
    write_labelled(folder, spec.samples, samples, partial(_reference, path), read)
    facts = ReferenceFacts(comparing=_kind(path), noise=noise, origin=origin_of(spec, False), notes=(*notes, *lengths))
    write_json(folder / FACTS_FILE, facts)
    return inputs


def _kind(path: Path) -> Literal["elements", "trees"]:
    """Step functions, where a rounding error can move a row by a whole leaf, are compared row by row."""
    is_trees = any(node.op_type.startswith("TreeEnsemble") for node in read_onnx(path).graph.node)
    return "trees" if is_trees else "elements"


def _reference(path: Path, samples: dict[str, Array]) -> dict[str, Array]:
    session = open_onnx(path)
    try:
        answers = [answers_of(session, row) for row in chunks(samples, 1)]
    except runtime_errors() as err:
        raise ExportFailed(
            f"{path}: ONNX Runtime cannot run it on one of the samples: {str(err).splitlines()[0]}",
            mend="give samples that make sense to it: --samples FILE, or --input NAME:DTYPE:DIM,...:LOW..HIGH",
        ) from err
    for name, array in answers[0].items():
        if array.ndim == 0 or len(array) != 1:
            raise ExportFailed(f"{path}: output '{name}' has shape {list(array.shape)} for one row, not a batch of one")
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
