"""The reference of all parity: the original asked row by row, and once more computed otherwise.

In: a function of the customer's framework that answers rows by input name. Out: answers by output name, each row
computed alone, and the noise of each output. Only the export worker calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed
from toolkit.export.noise import Noise, noises_between, tolerance_from_noise
from toolkit.export.parity import compare
from toolkit.models.code import customer_code

Array = np.ndarray[Any, Any]
Answers = Callable[[Mapping[str, Array]], Mapping[str, Array]]

#: Rows that the model is run on again: the noise hardly differs from row to row.
NOISE_ROWS = 16


def rows_alone(
    answers: Answers, path: Path, inputs: Mapping[str, Array], *, called: str, mend: str = ""
) -> dict[str, Array]:
    """The original's answers, row by row at batch 1; `called` is its name for people.

    Raises ExportFailed naming the customer's line.
    """
    rows = min(len(array) for array in inputs.values())
    mend = mend or f"{called} must take any number of rows, one too"
    with customer_code(path, f"{called} on one row", ExportFailed, mend=mend):
        found = [answers({n: a[row : row + 1] for n, a in inputs.items()}) for row in range(rows)]
    for name, array in found[0].items():
        _check_rows(name, array, 1)
    return {name: np.concatenate([answer[name] for answer in found]) for name in found[0]}


def check_two_rows(answers: Answers, path: Path, inputs: Mapping[str, Array], *, called: str) -> None:
    """Run the original on two rows. Raises ExportFailed when its batch is fixed, with the line that fixes it."""
    doing = f"the batch is fixed: {called} takes one row, and on two rows it"
    mend = "use x.shape[0] or -1 where the batch size stands as a number"
    with customer_code(path, doing, ExportFailed, mend=mend):
        found = answers(inputs)
    for name, array in found.items():
        _check_rows(name, array, 2)


def check_rows_apart(
    answers: Answers, path: Path, samples: Mapping[str, Array], reference: Mapping[str, Array], noise: tuple[Noise, ...]
) -> None:
    """Raises ExportFailed when the original answers two rows otherwise than each alone, beyond its rounding noise.

    A converter that fixes the branch of one batch size writes a graph that agrees with the rows alone.
    """
    allowed = {n.output: tolerance_from_noise(n) for n in noise}
    with customer_code(path, "the original on two rows", ExportFailed):
        together = answers(two_of(samples))
    found = compare(two_of(reference), together, allowed)
    if not found.passed:
        raise ExportFailed(
            f"{path}: the original answers two rows otherwise than each alone: {found.reason}",
            mend="no `if` on the number of rows, and nothing that is computed over the rows of a batch",
        )


def two_of(samples: Mapping[str, Array]) -> dict[str, Array]:
    """Two rows of the samples, the first one twice where there is no other."""
    return {name: np.resize(array, (2, *array.shape[1:])) for name, array in samples.items()}


def noise_of(
    probes: Iterable[tuple[str, Callable[[], AbstractContextManager[Answers]]]],
    path: Path,
    samples: Mapping[str, Array],
    reference: Mapping[str, Array],
    *,
    called: str,
) -> tuple[tuple[Noise, ...], tuple[str, ...]]:
    """The noise of every output, by the first of the `probes` that works, and a note where none does.

    A probe is its text and a context that gives the same model computed otherwise. Runs it on at most 16 rows.
    """
    rows = {name: array[:NOISE_ROWS] for name, array in samples.items()}
    expected = {name: array[:NOISE_ROWS] for name, array in reference.items()}
    reasons = []
    for text, computed_otherwise in probes:
        try:
            with customer_code(path, f"running {text}", ExportFailed), computed_otherwise() as answers:
                found = rows_alone(answers, path, rows, called=called)
        except ExportFailed as err:
            reasons.append(err.message)
            continue
        if all(found[name].shape == array.shape for name, array in expected.items()):
            return noises_between(expected, found, probe=text), ()
    return (), (f"the model's rounding noise is not known: {reasons[0] if reasons else 'it has no weights to move'}",)


def check_names(samples: Mapping[str, Array], reference: Mapping[str, Array]) -> None:
    """Raises ExportFailed when an input and an output bear one name, which ONNX does not allow."""
    both = sorted(set(samples) & set(reference))
    if both:
        raise ExportFailed(
            f"'{both[0]}' is the name of an input and of an output", mend="define OUTPUT_NAMES in the model's file"
        )


def _check_rows(name: str, array: Array, rows: int) -> None:
    if array.ndim == 0 or len(array) != rows:
        raise ExportFailed(
            f"output '{name}' has shape {list(array.shape)} for {rows} row(s): axis 0 is not the batch",
            mend="return one row per row of the inputs",
        )
