"""PyTorch to ONNX through torch.export. Only the export worker calls this.

In: a ModelFile, two sample rows, the inputs' specs. Out: an ONNX file whose named axes are proven to be free.
Axes are named by plain strings: `torch.export.Dim` writes a static graph, and `Dim.AUTO` a wrong one, without an
error, for a model that branches on its batch size; a string makes that an error.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from toolkit.errors import ExportFailed
from toolkit.export.diagnosis import GuardLog, diagnosis
from toolkit.export.pytorch_run import outputs_by_name
from toolkit.export.spec import SINGLE_FILE_BYTES
from toolkit.models.pytorch import ModelFile
from toolkit.records import writing
from toolkit.tensor import BATCH, TensorSpec


def export_program(
    model: ModelFile,
    path: Path,
    inputs: tuple[TensorSpec, ...],
    rows: Mapping[str, torch.Tensor],
    output_names: tuple[str, ...],
    opset: int,
) -> torch.onnx.ONNXProgram:
    """Trace the model on `rows` (two of them) with the axes of `inputs` free. Raises ExportFailed with the cause."""
    guards = GuardLog()
    try:
        with torch.no_grad(), guards.listening():
            program = torch.onnx.export(
                _wrapped(model, tuple(t.name for t in inputs)),
                tuple(rows[tensor.name] for tensor in inputs),
                dynamo=True,
                dynamic_shapes={t.name: {i: d for i, d in enumerate(t.shape) if isinstance(d, str)} for t in inputs},
                input_names=[tensor.name for tensor in inputs],
                output_names=list(output_names),
                opset_version=opset,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as err:
        raise diagnosis(err, path, guards) from err
    if program is None:
        raise ExportFailed("torch.onnx.export returned nothing", mend="read export.log")
    _check_graph(program, inputs, opset)
    return program


def save_program(program: torch.onnx.ONNXProgram, path: Path, *, single_file_bytes: int = SINGLE_FILE_BYTES) -> None:
    """Write the model, its weights inside below `single_file_bytes`, without what names this machine's folders."""
    model = program.model
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    weights = sum(w.const_value.nbytes for w in model.graph.initializers.values() if w.const_value is not None)
    with writing(path):
        program.save(path, external_data=weights >= single_file_bytes)


def module_outputs(program: torch.onnx.ONNXProgram) -> dict[str, str]:
    """For each module, by its path, the value of the graph that its last node makes. Call it before `save_program`."""
    found: dict[str, str] = {}
    for node in program.model.graph:
        scopes = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "[]"))
        for scope in scopes[:-1]:  # the last is the operation itself
            if scope.startswith("model.") and node.outputs:
                found[scope.removeprefix("model.")] = str(node.outputs[0].name)
    return found


def _wrapped(model: ModelFile, arguments: tuple[str, ...]) -> torch.nn.Module:
    """The model behind a `forward` with exactly these arguments and a tuple of tensors, as torch.export needs it."""

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model.module

        def forward(self, *args: torch.Tensor) -> tuple[torch.Tensor, ...]:
            output = self.model(**dict(zip(arguments, args, strict=True)))
            return tuple(outputs_by_name(output, model.output_names).values())

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [inspect.Parameter(name, kind) for name in ("self", *arguments)]
    Wrapped.forward.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    wrapped = Wrapped()
    # Not eval(): the model is in that mode already, and the module of a .pt2 refuses to be asked.
    wrapped.training = False
    return wrapped


def _check_graph(program: torch.onnx.ONNXProgram, inputs: tuple[TensorSpec, ...], opset: int) -> None:
    """What torch can get wrong without an error: the opset, and axes that turned out static."""
    written = program.model.opset_imports.get("", 0)
    if written != opset:
        raise ExportFailed(f"asked for opset {opset}, torch wrote {written}", mend=f"use opset {written}")
    for wanted, value in zip(inputs, program.model.graph.inputs, strict=True):
        for axis, (name, found) in enumerate(zip(wanted.shape, _shape(value), strict=True)):
            if isinstance(name, str) and found != name:
                raise ExportFailed(
                    f"axis {axis} ('{name}') of input '{wanted.name}' became {found!r} in the ONNX graph",
                    mend="give axes that always have the same length the same name, or a number",
                )
    for value in program.model.graph.outputs:
        _check_output(str(value.name), _shape(value))


def _check_output(name: str, shape: tuple[int | str, ...]) -> None:
    if not shape or shape[0] != BATCH:
        leading = repr(shape[0]) if shape else "absent"
        raise ExportFailed(
            f"axis 0 of output '{name}' is {leading} in the ONNX graph, not the batch: the number of rows it returns"
            f" is {'fixed' if not shape or isinstance(shape[0], int) else 'not the number of rows it is given'}",
            mend="return one row per row of the inputs; select rows (y[mask], nms) after the model",
        )
    if BATCH in shape[1:]:
        raise ExportFailed(
            f"output '{name}' has shape {list(shape)}: it relates the rows of a batch to each other",
            mend="return what belongs to one row; compare rows after the model",
        )


def _shape(value: Any) -> tuple[int | str, ...]:
    dims = value.shape or ()
    return tuple(d if isinstance(d, int) else str(d.value) for d in dims)
