"""Recommenders: a user and a context in, a ranked list of items out; accuracy is the NDCG of the next item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toolkit.export.difference import TOLERANCES
from toolkit.export.parity import ParityResult, TaskMetric, Tolerance, compare, judge_task
from toolkit.families.family import Family

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]

#: The outputs of a ranking: ids, the best first, and the score of each; -1 and minus infinity where there are no more.
IDS, SCORES = "ITEMS", "SCORES"


def compare_rankings(
    reference: Arrays,
    answers: Arrays,
    tolerance: Tolerance | None = None,
    *,
    task: TaskMetric | None = None,
    labels: Array | None = None,
    problems: Mapping[str, str] | None = None,
) -> ParityResult:
    """Compare ranked lists: ids must be equal, except where neighbours score too alike to be told apart.

    An id at another place than in the reference is excused, and counted in the reason, when the reference's scores of
    the two places are closer than the tolerance, and at the end of the list when the item that was pushed out scores
    as little as the one that came in. Everything else is as in `compare`.
    """
    import numpy as np

    allowed = tolerance or TOLERANCES["FP32"]
    if problems or not {IDS, SCORES} <= set(reference) or not {IDS, SCORES} <= set(answers):
        return compare(reference, answers, tolerance, task=task, labels=labels, problems=problems)
    if answers[IDS].shape != reference[IDS].shape:
        return compare(reference, answers, tolerance, task=task, labels=labels)
    differ = answers[IDS] != reference[IDS]
    excused = differ & _is_excused(answers[IDS], reference[IDS], reference[SCORES], allowed)
    settled = {**answers, IDS: np.where(excused, reference[IDS], answers[IDS])}
    result = compare(reference, settled, allowed)
    if task is not None and labels is not None and not any(o.problem for o in result.outputs):
        result = replace(result, task=judge_task(task, reference, answers, labels))
    lists = int(excused.any(axis=1).sum())
    note = f"; {lists} of {len(excused)} lists differ only where neighbours score alike" if lists else ""
    return replace(result, reason=result.reason + note)


def _is_excused(ids: Array, reference_ids: Array, scores: Array, allowed: Tolerance) -> Array:
    """Places whose id stands elsewhere in the reference, or came in at its end, at a score that is near [lists, k]."""
    import numpy as np

    margin = allowed.absolute + allowed.relative * np.abs(np.nan_to_num(scores, posinf=0.0, neginf=0.0))
    finite = np.nan_to_num(scores, posinf=1e30, neginf=-1e30)
    near = np.abs(finite[:, :, None] - finite[:, None, :]) <= margin[:, :, None]
    moved = (ids[:, :, None] == reference_ids[:, None, :]) & near
    is_new = ~(ids[:, :, None] == reference_ids[:, None, :]).any(axis=2)
    excused: Array = moved.any(axis=2) | (is_new & near[:, :, -1])
    return excused


def _ranked_ids(outputs: Arrays) -> Array:
    return outputs[IDS]


def _mean_ndcg(ids: Array, labels: Array) -> float:
    """Each list has one relevant item: 1 / log2(1 + its rank), 0 when it is not listed; the mean over lists."""
    import numpy as np

    hits = ids == labels.reshape(-1, 1)
    gains = np.where(hits.any(axis=1), 1.0 / np.log2(2.0 + hits.argmax(axis=1)), 0.0)
    return float(gains.mean())


#: NDCG of the lists against the one item of each user that was held out.
ndcg = TaskMetric(name="NDCG", decide=_ranked_ids, score=_mean_ndcg, allowed_drop=1e-3)

RECSYS = Family(
    name="recsys",
    inference="recommendation",
    task=ndcg,
    encoders={},
    slo="p95=100ms",
    max_batch_size=16,
    compare=compare_rankings,
)
