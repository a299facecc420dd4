"""TorchScript to ONNX, by torch's older exporter: the only public way for a program whose Python source is gone.

In: a ModelFile around a ScriptModule. Out: an ONNX file with named axes. What the older exporter folds into constants
for the sample's sizes it does not say; parity at several batch sizes is what finds it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from toolkit.errors import ExportFailed
from toolkit.models.named_forward import NamedForward
from toolkit.models.onnx import opset_of, read_onnx, signature_from_onnx
from toolkit.models.pytorch import ModelFile
from toolkit.records import writing
from toolkit.tensor import BATCH, TensorSpec


def export_script(
    model: ModelFile,
    file: Path,
    inputs: tuple[TensorSpec, ...],
    rows: Mapping[str, torch.Tensor],
    output_names: tuple[str, ...],
    opset: int,
) -> None:
    """Convert on `rows` (two of them) into `file`. Raises ExportFailed with torch's reason, and for a fixed batch."""
    axes: dict[str, dict[int, str]] = {
        t.name: {i: d for i, d in enumerate(t.shape) if isinstance(d, str)} for t in inputs
    }
    axes |= {name: {0: BATCH} for name in output_names}
    script = cast(NamedForward, model.module).model
    arguments = tuple(rows[tensor.name] for tensor in inputs)
    try:
        with warnings.catch_warnings(), writing(file), torch.no_grad():
            warnings.simplefilter("ignore")  # it is deprecated, and says so each time
            torch.onnx.export(
                script,
                arguments,
                str(file),
                dynamo=False,
                input_names=[tensor.name for tensor in inputs],
                output_names=list(output_names),
                dynamic_axes=axes,
                opset_version=opset,
            )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as err:
        text: Any = str(err).strip().splitlines() or [""]
        raise ExportFailed(
            f"torch cannot convert the TorchScript program: {type(err).__name__}: {text[0]}",
            mend="give the Python factory that it was made from: model.py:load_model",
        ) from err
    _check(file, inputs, opset)


def _check(file: Path, inputs: tuple[TensorSpec, ...], opset: int) -> None:
    written = opset_of(read_onnx(file))
    if written != opset:
        raise ExportFailed(f"asked for opset {opset}, torch wrote {written}", mend=f"give --opset {written}")
    found = {tensor.name: tensor for tensor in signature_from_onnx(file).inputs}
    for tensor in inputs:
        if tensor.name not in found:
            raise ExportFailed(f"the program does not use its input '{tensor.name}'", mend="script it without it")
        if found[tensor.name].shape != tensor.shape:
            shape = list(found[tensor.name].shape)
            raise ExportFailed(f"input '{tensor.name}' became {shape} in the ONNX graph, expected {list(tensor.shape)}")
