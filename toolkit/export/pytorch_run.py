"""Run the customer's PyTorch model as it is: the reference of all parity. Only the export worker calls this.

In: a ModelFile and rows. Out: answers by output name, each row computed alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ExportFailed
from toolkit.export.reference import rows_alone
from toolkit.export.samples import Arguments
from toolkit.models.pytorch import ModelFile

Array = np.ndarray[Any, Any]
#: What a PyTorch model is called with, for people.
FORWARD = "forward()"
_RENAME = "return tensors only: wrap the model in a torch.nn.Module whose forward() picks them"


def forward_arguments(module: torch.nn.Module) -> Arguments:
    """The names that `forward` takes."""
    parameters = inspect.signature(module.forward).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return Arguments(
        accepted=tuple(p.name for p in named),
        required=tuple(p.name for p in named if p.default is p.empty),
        any_name=any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


def outputs_by_name(output: Any, output_names: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Tensors by name: the keys of a mapping, `output` for one tensor, `output_N` for several, or `output_names`.

    Raises ExportFailed for anything but tensors, and when `output_names` are too many or too few.
    """
    if isinstance(output, torch.Tensor):
        found = {"output": output}
    elif isinstance(output, Mapping):
        found = {str(name): value for name, value in output.items() if value is not None}
    elif isinstance(output, tuple | list):
        found = {f"output_{index}": value for index, value in enumerate(output)}
    else:
        raise ExportFailed(f"forward() returns a {type(output).__name__}; expected tensors", mend=_RENAME)
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise ExportFailed(f"forward(): '{name}' is a {type(value).__name__}, not a tensor", mend=_RENAME)
    if output_names and len(output_names) != len(found):
        raise ExportFailed(
            f"OUTPUT_NAMES has {len(output_names)} names and forward() returns {len(found)}: {', '.join(found)}",
            mend="name every output, in order",
        )
    return dict(zip(output_names or found, found.values(), strict=True))


def answers_of(model: ModelFile, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All rows of `inputs` in one call of the original, without gradients."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in inputs.items()}
    with torch.no_grad():
        outputs = outputs_by_name(model.module(**tensors), model.output_names)
    if any(tensor.dtype is torch.bfloat16 for tensor in outputs.values()):
        raise ExportFailed("forward() returns bfloat16, which numpy does not have", mend="return it as .float()")
    return {name: tensor.numpy(force=True) for name, tensor in outputs.items()}


def reference_by_row(model: ModelFile, path: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The original's answers, row by row at batch 1. Raises ExportFailed naming the customer's line."""
    return rows_alone(partial(answers_of, model), path, inputs, called=FORWARD)
