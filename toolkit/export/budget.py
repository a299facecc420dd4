"""Whether a variant in lower precision is still accurate enough: what it loses, against a budget. Pure.

In: the original's answers, the variant's, a budget, and labels where there are some. Out: a ParityResult whose reason
names the measure and the loss. Rounding to eight bits moves every element, so elements are not what is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.export.difference import Tolerance
from toolkit.export.parity import AccuracyLoss, ParityResult, TaskMetric, compare

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

#: An output that is farther from the original's than half of its own size answers something else.
GROSS = 0.5
#: A loss is a difference of two shares, so one that equals the budget may come out a rounding error above it.
ROUNDING = 1e-9
#: What a variant may lose where nobody says otherwise: one decision in a hundred.
DEFAULT_BUDGET = 0.01


def loss_between(reference: Arrays, answers: Arrays, task: TaskMetric | None, labels: Array | None) -> AccuracyLoss:
    """The drop of the task metric with labels; else the share of decisions that change; else the relative error.

    The relative error is the root of the mean square of the difference over that of the original, of the worst output.
    """
    first = next(iter(reference.values()))
    rows = len(first)
    if task is not None and labels is not None:
        drop = task(reference, labels) - task(answers, labels)
        return AccuracyLoss(measure=f"drop of {task.name} on {rows} labelled samples", loss=max(0.0, drop))
    if task is not None and first.dtype.kind == "f" and first.ndim == 2 and first.shape[1] > 1:
        changed = float((task.decide(reference) != task.decide(answers)).mean())
        return AccuracyLoss(measure=f"share of {rows} samples on which {task.name} changes", loss=changed)
    worst = max((relative_error(a, answers[n]) for n, a in reference.items() if a.dtype.kind == "f"), default=0.0)
    return AccuracyLoss(measure=f"relative error (root mean square) on {rows} samples", loss=worst)


def relative_error(reference: Array, answers: Array) -> float:
    """Root mean square of the difference over that of the reference; infinite where finiteness is lost."""
    import numpy as np

    if not np.array_equal(np.isfinite(reference), np.isfinite(answers)):
        return float("inf")
    finite = np.isfinite(reference)
    wanted, got = reference[finite].astype(np.float64), answers[finite].astype(np.float64)
    size = float(np.linalg.norm(wanted))
    error = float(np.linalg.norm(got - wanted))
    return error / size if size else (float("inf") if error else 0.0)


def compare_within_budget(
    reference: Arrays,
    answers: Arrays,
    tolerance: Tolerance | Mapping[str, Tolerance] | None = None,
    *,
    budget: float,
    task: TaskMetric | None = None,
    labels: Array | None = None,
    problems: Mapping[str, str] | None = None,
) -> ParityResult:
    """Judge a variant by what it loses; its elements are counted against the budget times each output's scale.

    `tolerance` is not used. Shapes, dtypes and missing outputs count as in `compare`, and an output that is off by half
    of its size fails whatever the budget.
    """
    allowed = {name: _of_scale(array, budget) for name, array in reference.items() if array.dtype.kind == "f"}
    result = compare(reference, answers, allowed, task=task, labels=labels, problems=problems)
    if any(o.problem for o in result.outputs) or set(answers) - set(reference):
        return result
    errors = {n: relative_error(a, answers[n]) for n, a in reference.items() if a.dtype.kind == "f"}
    gross = [f"output '{n}' is off by {error:.0%} of its size" for n, error in errors.items() if not error <= GROSS]
    found = loss_between(reference, answers, task, labels)
    lost = f"{found.measure}: {found.loss:.4f} (budget {budget:g})"
    passed = not gross and found.loss <= budget + ROUNDING
    return replace(result, passed=passed, reason="; ".join([*gross, lost]), loss=found)


def _of_scale(array: Array, budget: float) -> Tolerance:
    import numpy as np

    scale = float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
    return Tolerance(absolute=min(budget, GROSS) * scale, relative=min(budget, GROSS))
