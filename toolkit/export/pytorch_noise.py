"""The rounding noise of a PyTorch model: its answers in float64, else with all weights moved by half a roundoff.

In: a ModelFile, samples and their reference. Out: a Noise for each floating-point output. Only the worker calls this.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.export.noise import Noise
from toolkit.export.pytorch_run import FORWARD, answers_of
from toolkit.export.reference import Answers, noise_of
from toolkit.models.pytorch import ModelFile

Array = np.ndarray[Any, Any]

IN_FLOAT64 = "the same model in float64"
MOVED = "the same model with each weight moved by up to half a unit of roundoff"


def pytorch_noise(
    model: ModelFile, path: Path, samples: Mapping[str, Array], reference: Mapping[str, Array]
) -> tuple[tuple[Noise, ...], tuple[str, ...]]:
    """The noise of every output, and a note where it could not be found. Runs the original on at most 16 rows."""

    @contextmanager
    def changed(change: Callable[[torch.nn.Module], torch.nn.Module], widen: bool) -> Iterator[Answers]:
        other = replace(model, module=change(copy.deepcopy(model.module)))
        yield lambda rows: answers_of(other, {n: _doubled(a) if widen else a for n, a in rows.items()})

    probes = (
        (IN_FLOAT64, partial(changed, torch.nn.Module.double, True)),
        (MOVED, partial(changed, _moved, False)),
    )
    return noise_of(probes, path, samples, reference, called=FORWARD)


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
