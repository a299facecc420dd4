from __future__ import annotations

import numpy as np
import pytest

from toolkit.export.parity import Tolerance, worst_of
from toolkit.export.trees import compare_trees

ROWS = 100
SCORES = np.random.default_rng(0).dirichlet((1, 1, 1), ROWS).astype(np.float32)
LABELS = SCORES.argmax(axis=1)
NAMES = np.array([b"cat", b"dog", b"owl"], dtype=object)[LABELS]


def nudged(rows: int) -> np.ndarray:
    """The scores with two small columns exchanged in some rows: other figures, the same label."""
    result = SCORES.copy()
    order = np.argsort(result, axis=1)
    for row in range(rows):
        low, middle = order[row, 0], order[row, 1]
        result[row, [low, middle]] = result[row, [middle, low]]
    return result


@pytest.mark.parametrize(("rows", "passed"), [(0, True), (1, True), (5, True), (6, False), (20, False)])
def test_a_few_rows_next_to_a_split_are_no_fault(rows, passed):
    result = compare_trees({"p": SCORES, "label": LABELS}, {"p": nudged(rows), "label": LABELS})
    assert result.passed == passed
    assert f"{rows} of 100 rows differ" in result.reason or rows == 0
    merged = worst_of({1: result, 8: result})
    assert merged.passed == passed and (rows == 0 or "rows differ" in merged.reason)


@pytest.mark.parametrize("kind", ["integers", "text", "columns"])
@pytest.mark.parametrize(("changed", "passed"), [(1, True), (2, False)])
def test_labels_must_agree_in_all_rows_but_one(kind, changed, passed):
    wanted = {"integers": LABELS, "text": NAMES, "columns": SCORES}[kind]
    got = wanted.copy()
    got[:changed] = np.roll(got[:changed], 1, axis=1) if kind == "columns" else np.roll(np.unique(got), 1)[0]
    if kind != "columns":
        got[:changed] = [next(v for v in np.unique(wanted) if v != old) for old in wanted[:changed]]
    result = compare_trees({"label": wanted}, {"label": got})
    assert result.passed == passed, result.reason
    assert passed or f"{changed} of 100 rows have another label" in result.reason


@pytest.mark.parametrize(
    "answers", [{}, {"p": SCORES[:, :2]}, {"p": SCORES, "more": SCORES}, {"p": np.full_like(SCORES, np.nan)}]
)
def test_what_is_wrong_for_any_model_is_wrong_for_trees(answers):
    assert not compare_trees({"p": SCORES}, answers).passed


def test_a_tolerance_by_output_is_used():
    value = np.linspace(1, 2, ROWS, dtype=np.float32).reshape(-1, 1)
    loose = {"v": Tolerance(absolute=0.1, relative=0)}
    assert compare_trees({"v": value}, {"v": value + 0.05}, loose).passed
    assert not compare_trees({"v": value}, {"v": value + 0.05}).passed
