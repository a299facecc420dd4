"""How answers of tree ensembles are compared: by the share of rows that agree, not by the worst element.

In: as `compare`. Out: a ParityResult. A tree is a step function: a feature that lies within rounding of a split goes
the other way in another runtime and moves that row's answer by a whole leaf. A few such rows are no fault; many are
(a scaler in float32 before the splits), and so is a label that changes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.export.difference import Tolerance, default_tolerance
from toolkit.export.parity import ParityResult, TaskMetric, compare, task_drop
from toolkit.tensor import dtype_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

#: Of a random forest of 100 trees 1.2 % of rows differ; of XGBoost behind a float32 scaler 20 %.
ROWS_THAT_MAY_DIFFER = 0.05
LABELS_THAT_MAY_DIFFER = 0.01
#: Why there is no noise to go by, for the parity report: a tree's answer does not move with rounding, but jumps.
TREES_BASIS = (
    "tolerance by dtype, row by row: trees answer in steps, so rounding either changes nothing or a whole leaf;"
    f" {1 - ROWS_THAT_MAY_DIFFER:.0%} of rows and {1 - LABELS_THAT_MAY_DIFFER:.0%} of labels have to agree"
)


def compare_trees(
    reference: Arrays,
    answers: Arrays,
    tolerance: Tolerance | Mapping[str, Tolerance] | None = None,
    *,
    task: TaskMetric | None = None,
    labels: Array | None = None,
    problems: Mapping[str, str] | None = None,
) -> ParityResult:
    """Compare row by row: at least 95 % of rows within the tolerance, at least 99 % of labels the same; one row may.

    A label is an output of integers or text, and the largest column of an output of floats with two or more. Shapes,
    dtypes, missing outputs and the task metric count as in `compare`.
    """
    result = compare(reference, answers, tolerance, task=task, labels=labels, problems=problems)
    if result.passed or any(o.problem for o in result.outputs) or set(answers) - set(reference):
        return result
    dropped = task_drop(result.task, task)
    reasons, excused = [dropped] if dropped else [], []
    for name, wanted in reference.items():
        reason, note = _judged(name, wanted, answers[name], tolerance)
        reasons += [reason] if reason else []
        excused += [note] if note else []
    return replace(result, passed=not reasons, reason="; ".join(reasons or excused))


def _judged(
    name: str, wanted: Array, got: Array, tolerance: Tolerance | Mapping[str, Tolerance] | None
) -> tuple[str, str]:
    """Why one output fails, else what was excused in it; both empty when it agrees."""
    import numpy as np

    rows = len(wanted)
    changed = int(_labels_differ(wanted, got).sum())
    if changed > max(1, LABELS_THAT_MAY_DIFFER * rows):
        return f"output '{name}': {changed} of {rows} rows have another label", ""
    if wanted.dtype.kind in "OSUiub":
        return "", f"output '{name}': {changed} of {rows} rows have another label" if changed else ""
    given = tolerance.get(name) if isinstance(tolerance, Mapping) else tolerance
    allowed = given or default_tolerance(wanted, got)
    difference = np.abs(got.astype(np.float64) - wanted.astype(np.float64))
    is_far = ~(difference <= allowed.absolute + allowed.relative * np.abs(wanted)) & ~(np.isnan(wanted) & np.isnan(got))
    far = int(is_far.reshape(rows, -1).any(axis=1).sum())
    quantiles = ", ".join(f"p{100 * q:g} {np.nanquantile(difference, q):.2g}" for q in (0.5, 0.95, 1.0))
    text = f"output '{name}': {far} of {rows} rows differ ({quantiles})"
    if far > max(1, ROWS_THAT_MAY_DIFFER * rows):
        return text, ""
    return "", f"{text}, as rows next to a split do; the labels agree" if far else ""


def _labels_differ(wanted: Array, got: Array) -> Array:
    import numpy as np

    rows = len(wanted)
    if dtype_from_numpy(wanted.dtype).name == "BYTES":
        text = [[v if isinstance(v, bytes) else str(v).encode() for v in a.ravel()] for a in (wanted, got)]
        differs = np.array([a != b for a, b in zip(*text, strict=True)]).reshape(rows, -1)
    elif wanted.dtype.kind in "iub":
        differs = (wanted != got).reshape(rows, -1)
    elif wanted.size > rows:
        differs = (wanted.reshape(rows, -1).argmax(axis=1) != got.reshape(rows, -1).argmax(axis=1)).reshape(rows, 1)
    else:
        return np.zeros(rows, bool)
    result: Array = differs.any(axis=1)
    return result
