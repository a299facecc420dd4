"""The rounding noise of a PyTorch model: its answers in float64, else with all weights moved by half a roundoff.

In: a ModelFile, samples and their reference. Out: a Noise for each floating-point output. Only the worker calls this.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.errors import ExportFailed
from toolkit.export.noise import Noise, noises_between
from toolkit.export.pytorch_run import reference_by_row
from toolkit.models.code import customer_code
from toolkit.models.pytorch import ModelFile

Array = np.ndarray[Any, Any]

#: Rows that the model is run on again: the noise hardly differs from row to row.
ROWS = 16
IN_FLOAT64 = "the same model in float64"
MOVED = "the same model with each weight moved by up to half a unit of roundoff"


def pytorch_noise(
    model: ModelFile, path: Path, samples: Mapping[str, Array], reference: Mapping[str, Array]
) -> tuple[tuple[Noise, ...], tuple[str, ...]]:
    """The noise of every output, and a note where it could not be found. Runs the original on at most 16 rows."""
    rows = {name: array[:ROWS] for name, array in samples.items()}
    expected = {name: array[:ROWS] for name, array in reference.items()}
    reasons = []
    for probe, changed, inputs in (
        (IN_FLOAT64, torch.nn.Module.double, {name: _doubled(array) for name, array in rows.items()}),
        (MOVED, _moved, rows),
    ):
        try:
            with customer_code(path, f"running {probe}", ExportFailed):
                other = replace(model, module=changed(copy.deepcopy(model.module)))
            answers = reference_by_row(other, path, inputs)
        except ExportFailed as err:
            reasons.append(err.message)
            continue
        if all(answers[name].shape == array.shape for name, array in expected.items()):
            return noises_between(expected, answers, probe=probe), ()
    return (), (f"the model's rounding noise is not known: {reasons[0] if reasons else 'its shapes vary'}",)


def _doubled(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def _moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module with seeded errors of storage in every weight, as if each had been rounded once more."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                unit = torch.finfo(tensor.dtype).eps / 2
                error = torch.rand(tensor.shape, generator=random, dtype=torch.float64) * 2 - 1
                tensor.copy_((tensor.double() * (1 + unit * error)).to(tensor.dtype))
    return module
