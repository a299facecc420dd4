"""Labels, on which a task metric is judged: those that come with the samples, or that the model's file offers.

In: the file of `--samples`, or `held_out()`. Out: the held-out files of an export, with
all labelled rows and the original's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed, UsageError
from toolkit.export.arrays import read_arrays, write_arrays
from toolkit.export.sample_files import LABEL, MOST_ROWS, read_labels
from toolkit.export.spec import HELD_OUT_FILE, HELD_OUT_REFERENCE_FILE
from toolkit.models.code import customer_code

Array = np.ndarray[Any, Any]


def without_label(arrays: Mapping[str, Array], inputs: Collection[str]) -> dict[str, Array]:
    """The arrays without the labels, unless the model has an input of that name."""
    return {name: array for name, array in arrays.items() if name != LABEL or name in inputs}


def write_labelled(
    folder: Path,
    path: Path | None,
    samples: Mapping[str, Array],
    answer: Callable[[dict[str, Array]], Mapping[str, Array]],
    read: Callable[[Path], Mapping[str, Array]],
) -> bool:
    """Write the held-out files from the labelled rows in the file `path`, if it has any; `answer` is the original.

    `samples` are the first rows of it as the model takes them, `read` gives all. Raises UsageError for labels that are
    not one for each row, or that no answer can equal.
    """
    labels = None if path is None or LABEL in samples else _labels(path)
    if path is None or labels is None:
        return False
    arrays = without_label(read(path), samples)
    if labels.ndim != 1 or any(len(array) != len(labels) for array in arrays.values()):
        raise UsageError(
            f"{path}: '{LABEL}' has shape {list(labels.shape)}",
            mend="give one whole number for each row of the inputs",
        )
    rows = {name: arrays[name][:MOST_ROWS].astype(array.dtype) for name, array in samples.items()}
    answers = answer(rows)
    first = next(iter(answers.values()))
    if labels.dtype.kind == "U" and first.dtype.kind not in "OSU":
        raise UsageError(
            f"{path}: the labels are texts ('{labels[0]}'), and the model answers {first.dtype.name}",
            mend="give each label as the index of its class",
        )
    write_arrays(folder / HELD_OUT_FILE, {f"input.{n}": a for n, a in rows.items()} | {LABEL: labels[:MOST_ROWS]})
    write_arrays(folder / HELD_OUT_REFERENCE_FILE, answers)
    return True


def _labels(path: Path) -> Array | None:
    return read_arrays(path).get(LABEL) if path.suffix == ".npz" else read_labels(path)


def write_held_out(
    folder: Path,
    path: Path,
    held_out: Callable[[], Any],
    inputs: Collection[str],
    answer: Callable[[dict[str, Array]], Mapping[str, Array]],
) -> None:
    """Write the held-out files from what the model's file at `path` offers: inputs by name, and integer labels.

    Raises ExportFailed where they do not fit the model.
    """
    with customer_code(path, "held_out()", ExportFailed):
        given, labels = held_out()
        given, labels = dict(given), np.asarray(labels)
    if set(given) != set(inputs) or labels.ndim != 1 or any(len(a) != len(labels) for a in given.values()):
        shapes = ", ".join(f"{name} {list(np.shape(array))}" for name, array in given.items())
        raise ExportFailed(
            f"{path}: held_out() gives {shapes} and labels {list(labels.shape)}; expected {', '.join(inputs)}"
            " with one row per label",
            mend="return ({input name: array}, labels)",
        )
    rows = {name: np.asarray(given[name]) for name in inputs}
    write_arrays(folder / HELD_OUT_FILE, {f"input.{n}": a for n, a in rows.items()} | {LABEL: labels})
    write_arrays(folder / HELD_OUT_REFERENCE_FILE, answer(rows))
