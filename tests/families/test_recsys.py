"""Ranked lists against their reference, and NDCG, as tables."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.families.recsys import RECSYS, compare_rankings, ndcg

REFERENCE = {
    "ITEMS": np.array([[7, 3, 9, 5]]),
    "SCORES": np.array([[0.9, 0.5, 0.499999, 0.1]], dtype=np.float32),
}


def served(items: list[int], scores: list[float] | None = None) -> dict[str, np.ndarray]:
    given = REFERENCE["SCORES"] if scores is None else np.array([scores], dtype=np.float32)
    return {"ITEMS": np.array([items]), "SCORES": given}


@pytest.mark.parametrize(
    ("items", "passed", "text"),
    [
        ([7, 3, 9, 5], True, "samples agree"),
        ([7, 9, 3, 5], True, "1 of 1 lists differ only where neighbours score alike"),
        ([3, 7, 9, 5], False, "elements differ"),
        ([7, 3, 9, 11], True, "1 of 1 lists"),  # pushed out at the end by one that scores as much as the last
        ([11, 3, 9, 5], False, "elements differ"),  # a stranger at the head, whatever its score
        ([7, 12, 9, 5], False, "elements differ"),
    ],
)
def test_only_ties_may_change_places(items: list[int], passed: bool, text: str) -> None:
    result = compare_rankings(REFERENCE, served(items))
    assert result.passed == passed and text in result.reason


def test_scores_must_agree_too() -> None:
    assert not compare_rankings(REFERENCE, served([7, 3, 9, 5], [0.9, 0.6, 0.499999, 0.1])).passed


def test_lists_that_are_short_on_both_sides() -> None:
    short = {"ITEMS": np.array([[4, -1]]), "SCORES": np.array([[0.3, -np.inf]], dtype=np.float32)}
    assert compare_rankings(short, short).passed
    longer = {"ITEMS": np.array([[4, 6]]), "SCORES": np.array([[0.3, 0.2]], dtype=np.float32)}
    assert not compare_rankings(short, longer).passed


def test_missing_outputs_and_shapes_are_results() -> None:
    assert not compare_rankings(REFERENCE, {"ITEMS": REFERENCE["ITEMS"]}).passed
    assert not compare_rankings(REFERENCE, {k: v[:, :2] for k, v in REFERENCE.items()}).passed


@pytest.mark.parametrize(
    ("lists", "labels", "value"),
    [
        ([[1, 2, 3]], [1], 1.0),
        ([[1, 2, 3]], [2], 1 / np.log2(3)),
        ([[1, 2, 3]], [9], 0.0),
        ([[1, 2], [3, 4]], [1, 9], 0.5),
    ],
)
def test_ndcg(lists: list[list[int]], labels: list[int], value: float) -> None:
    assert ndcg({"ITEMS": np.array(lists)}, np.array(labels)) == pytest.approx(value)


def test_the_task_counts_lists() -> None:
    result = compare_rankings(REFERENCE, served([7, 9, 3, 5]), task=RECSYS.task, labels=np.array([3]))
    assert result.task is not None and result.task.disagreements == 1
    assert result.task.reference > result.task.answers
