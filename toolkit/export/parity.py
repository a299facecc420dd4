"""Whether two models give the same answers: pure arithmetic on arrays, no files, no servers.

In: reference and answers, each a mapping of output name to array with one row per sample. Out: a ParityResult.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from toolkit.export.difference import OutputParity, Tolerance, compare_output, join_rows
from toolkit.export.noise import Noise

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

__all__ = [
    "AccuracyLoss",
    "BatchEvidence",
    "Comparing",
    "LiveParity",
    "OutputParity",
    "ParityResult",
    "TaskMetric",
    "TaskResult",
    "Tolerance",
    "compare",
    "join_rows",
    "judge_task",
    "top1",
    "worst_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task metric on labelled samples, for the reference and for the answers; `disagreements` counts samples."""

    metric: str
    reference: float
    answers: float
    samples: int
    disagreements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyLoss:
    """What a variant in lower precision loses: 0 is nothing. `measure` says of what, on how many samples."""

    measure: str
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityResult:
    """The comparison as a whole: a value, kept and reported whether it passed or not.

    `basis` says where the tolerances come from, `noise` holds the reference's own noise that they were made from, and
    `notes` say what else was compared, what could not be, and in a failure where the answers part. `loss` is that of
    a variant that is judged by a budget (budget.py).
    """

    passed: bool
    reason: str
    samples: int
    batch_sizes: tuple[int, ...]
    outputs: tuple[OutputParity, ...]
    task: TaskResult | None = None
    basis: str = ""
    noise: tuple[Noise, ...] = ()
    notes: tuple[str, ...] = ()
    loss: AccuracyLoss | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEvidence:
    """What one served model did while live parity ran: executions by batch size.

    Where a server decodes sequences step by step and tells only that, `mean_rows` is how many went on in one step.
    """

    model: str
    executions: dict[str, int]
    mean_rows: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParity:
    """Parity measured through the server under concurrency. INVALID when the server did not really batch."""

    outcome: str
    reason: str
    requests: int
    clients: int
    failures: int
    result: ParityResult | None
    evidence: tuple[BatchEvidence, ...]


# --- task metrics -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMetric:
    """A figure of merit, higher is better: `decide` turns outputs into one decision per sample, `score` rates them.

    Both are module-level functions, so that the value can be pickled. Answers may score lower than the reference by
    `allowed_drop` at most.
    """

    name: str
    decide: Callable[[Arrays], Array]
    score: Callable[[Array, Array], float]
    allowed_drop: float = 0.0

    def __call__(self, outputs: Arrays, labels: Array) -> float:
        """The metric of `outputs` against `labels`, one row and one label per sample."""
        return self.score(self.decide(outputs), labels)


def _largest_of_first_output(outputs: Arrays) -> Array:
    """The index of the largest score; of a model that answers labels, one per row, the labels themselves."""
    import numpy as np

    scores = next(iter(outputs.values()))
    if scores.size == len(scores) and scores.dtype.kind in "iuOSU":
        texts = [v.decode() if isinstance(v, bytes) else v for v in scores.ravel().tolist()]
        return np.array(texts)
    result: Array = scores.reshape(len(scores), -1).argmax(axis=1)
    return result


def _share_equal(decisions: Array, labels: Array) -> float:
    return float((decisions == labels).mean())


#: The share of samples whose largest element of the first output is at the index of the label.
top1 = TaskMetric(name="top1", decide=_largest_of_first_output, score=_share_equal)


# --- comparing --------------------------------------------------------------------------------------------------------


def compare(
    reference: Arrays,
    answers: Arrays,
    tolerance: Tolerance | Mapping[str, Tolerance] | None = None,
    *,
    task: TaskMetric | None = None,
    labels: Array | None = None,
    problems: Mapping[str, str] | None = None,
) -> ParityResult:
    """Compare `answers` with `reference`, row by row; a `tolerance` for all outputs or by output's name.

    None, and an output that is not named, mean the table by dtype.

    `problems` names outputs whose answers could not be put together (see `join_rows`). With `task` and `labels` the
    task metric counts too. Wrong shapes, dtypes and missing outputs are results, never exceptions.
    """
    allowed = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(reference, tolerance)
    found = tuple(
        compare_output(name, array, answers.get(name), allowed.get(name), (problems or {}).get(name, ""))
        for name, array in reference.items()
    )
    complete = all(not output.problem for output in found)
    judged = judge_task(task, reference, answers, labels) if task and labels is not None and complete else None
    samples = max((len(array) for array in reference.values() if array.ndim), default=0)
    surplus = sorted(set(answers) - set(reference))
    return _concluded(found, samples=samples, batch_sizes=(), task=judged, metric=task, surplus=surplus)


#: How answers are compared with their reference: `compare`, or what a kind of answers needs instead.
Comparing = Callable[..., ParityResult]


def judge_task(task: TaskMetric, reference: Arrays, answers: Arrays, labels: Array) -> TaskResult:
    """The task metric of both sides, and how many samples they decide differently."""
    before, after = task.decide(reference), task.decide(answers)
    return TaskResult(
        metric=task.name,
        reference=task.score(before, labels),
        answers=task.score(after, labels),
        samples=len(labels),
        disagreements=int((before != after).reshape(len(labels), -1).any(axis=1).sum()),
    )


def task_drop(result: TaskResult | None, metric: TaskMetric | None) -> str:
    """What a task metric lost beyond its allowance, in words; empty where it did not, or was not judged."""
    if result is None or metric is None or result.answers >= result.reference - metric.allowed_drop:
        return ""
    return f"{result.metric} fell from {result.reference:.4f} to {result.answers:.4f}"


def worst_of(results: Mapping[int, ParityResult]) -> ParityResult:
    """One result from those at several batch sizes: elements and mismatches added up, the rest from the worst."""
    first = next(iter(results.values()))
    outputs = tuple(
        _worst_output({size: result.outputs[index] for size, result in results.items()})
        for index in range(len(first.outputs))
    )
    failed = [f"batch {size}: {result.reason}" for size, result in results.items() if not result.passed]
    merged = _concluded(outputs, samples=first.samples, batch_sizes=tuple(results), task=first.task)
    # Some comparisons excuse elements that differ: the verdict and its words are theirs.
    worst = max(results.values(), key=lambda r: [(o.mismatches, o.max_absolute) for o in r.outputs])
    losses = [result.loss for result in results.values() if result.loss is not None]
    loss = max(losses, key=lambda lost: lost.loss, default=None)
    return replace(merged, passed=not failed, reason=failed[0] if failed else worst.reason, loss=loss)


def _worst_output(by_size: Mapping[int, OutputParity]) -> OutputParity:
    def badness(size: int) -> tuple[bool, int, float, float]:
        output = by_size[size]
        return bool(output.problem), output.mismatches, output.max_absolute, -output.cosine

    worst = max(by_size, key=badness)
    elements = sum(output.elements for output in by_size.values())
    mismatches = sum(output.mismatches for output in by_size.values())
    return replace(by_size[worst], batch_size=worst, elements=elements, mismatches=mismatches)


def _concluded(
    outputs: tuple[OutputParity, ...],
    *,
    samples: int,
    batch_sizes: tuple[int, ...],
    task: TaskResult | None,
    metric: TaskMetric | None = None,
    surplus: Iterable[str] = (),
) -> ParityResult:
    reasons = [_output_reason(output) for output in outputs if not output.passed]
    reasons += [f"output '{name}' is not in the reference" for name in surplus]
    if not sum(output.elements for output in outputs):
        reasons.append("nothing was compared")
    if dropped := task_drop(task, metric):
        reasons.append(dropped)
    worst = max((output.max_absolute for output in outputs), default=0.0)
    agreed = f"{samples} samples agree; the largest difference is {worst:.2g}"
    return ParityResult(
        passed=not reasons,
        reason="; ".join(reasons) or agreed,
        samples=samples,
        batch_sizes=batch_sizes,
        outputs=outputs,
        task=task,
    )


def _output_reason(output: OutputParity) -> str:
    if output.problem:
        return f"output '{output.output}': {output.problem}"
    return (
        f"output '{output.output}': {output.mismatches} of {output.elements} elements differ,"
        f" worst in sample {output.worst_sample} (max abs {output.max_absolute:.3g})"
    )
