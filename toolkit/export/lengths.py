"""Parity at other lengths of the named axes beside the batch: shorter cuts of the samples, and the answers to them.

In: samples, and the specs that name the axes. Out: a file with inputs and outputs by length, a few rows each. The
original decides which lengths make sense: one that it does not take is a note, not a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed
from toolkit.export.arrays import read_arrays, write_arrays
from toolkit.tensor import BATCH, TensorSpec

Array = np.ndarray[Any, Any]

#: Rows at each length: a fault of the length shows in any row.
ROWS = 4
#: What an odd length differs from the even one by.
ODD_STEP = 5


def shorter(samples: Mapping[str, Array], inputs: tuple[TensorSpec, ...]) -> dict[str, dict[str, Array]]:
    """The first rows of `samples` cut along every named axis to half its length, and to an odd one, by a text for it.

    Axes of one name are cut alike, however long they are in the samples. Empty where only the batch is named.
    """
    sizes = {
        name: samples[tensor.name].shape[axis]
        for tensor in inputs
        for axis, name in enumerate(tensor.shape)
        if isinstance(name, str) and name != BATCH
    }
    halves = {name: max(1, size // 2) for name, size in sizes.items()}
    odd = {name: half - ODD_STEP if half > 2 * ODD_STEP else max(1, half - 1) for name, half in halves.items()}
    cuts = {", ".join(f"{n} {s}" for n, s in cut.items()): cut for cut in (halves, odd) if cut and cut != sizes}
    return {text: {t.name: _cut(samples[t.name], t, cut) for t in inputs} for text, cut in cuts.items()}


def _cut(array: Array, tensor: TensorSpec, lengths: Mapping[str, int]) -> Array:
    kept = (slice(lengths.get(name) if isinstance(name, str) else None) for name in tensor.shape[1:])
    result: Array = np.ascontiguousarray(array[(slice(ROWS), *kept)])
    return result


def write_lengths(
    path: Path,
    samples: Mapping[str, Array],
    inputs: tuple[TensorSpec, ...],
    answer: Callable[[dict[str, Array]], Mapping[str, Array]],
) -> tuple[str, ...]:
    """Write inputs and outputs at other lengths; `answer` is the original, row by row, and may raise ExportFailed.

    Returns a note for each length that the original does not take. Writes nothing where there is none.
    """
    arrays: dict[str, Array] = {}
    notes = []
    for text, rows in shorter(samples, inputs).items():
        try:
            answers = answer(rows)
        except ExportFailed as err:
            notes.append(f"not compared at {text}, which the original does not take: {err.message}")
            continue
        arrays |= {f"{text}/input.{name}": array for name, array in rows.items()}
        arrays |= {f"{text}/output.{name}": array for name, array in answers.items()}
    if arrays:
        write_arrays(path, arrays)
    return tuple(notes)


def read_lengths(path: Path) -> dict[str, tuple[dict[str, Array], dict[str, Array]]]:
    """Inputs and outputs by length, as `write_lengths` left them; none where there is no such file."""
    found: dict[str, tuple[dict[str, Array], dict[str, Array]]] = {}
    for key, array in (read_arrays(path) if path.is_file() else {}).items():
        text, _, name = key.partition("/")
        side, _, name = name.partition(".")
        found.setdefault(text, ({}, {}))[side == "output"][name] = array
    return found
