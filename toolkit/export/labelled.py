"""Labels that come with the samples: an array `label` in an .npz beside the inputs, which a task metric is judged on.

In: the file of `--samples`. Out: the held-out files of an export, with all labelled rows and the original's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UsageError
from toolkit.export.arrays import read_arrays, write_arrays
from toolkit.export.spec import HELD_OUT_FILE, HELD_OUT_REFERENCE_FILE

Array = np.ndarray[Any, Any]

LABEL = "label"
#: Labelled rows that are run; a share of so many is known to about a percent.
MOST_ROWS = 2000


def without_label(arrays: Mapping[str, Array], inputs: Collection[str]) -> dict[str, Array]:
    """The arrays without the labels, unless the model has an input of that name."""
    return {name: array for name, array in arrays.items() if name != LABEL or name in inputs}


def write_labelled(
    folder: Path,
    samples: Path | None,
    inputs: Collection[str],
    answer: Callable[[dict[str, Array]], Mapping[str, Array]],
) -> bool:
    """Write the held-out files from the labelled rows of `samples`, if it has any; `answer` is the original.

    Raises UsageError for labels that are not one for each row.
    """
    if samples is None or samples.suffix != ".npz" or LABEL in inputs:
        return False
    arrays = read_arrays(samples)
    labels = arrays.pop(LABEL, None)
    if labels is None:
        return False
    if labels.ndim != 1 or any(len(array) != len(labels) for array in arrays.values()):
        raise UsageError(
            f"{samples}: '{LABEL}' has shape {list(labels.shape)}",
            mend="give one whole number for each row of the inputs",
        )
    rows = {name: array[:MOST_ROWS] for name, array in arrays.items()}
    write_arrays(folder / HELD_OUT_FILE, {f"input.{n}": a for n, a in rows.items()} | {LABEL: labels[:MOST_ROWS]})
    write_arrays(folder / HELD_OUT_REFERENCE_FILE, answer(rows))
    return True
