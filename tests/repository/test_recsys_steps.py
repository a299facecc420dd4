"""The table_lookup and best_of steps' own code, called as Triton's stub calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from step_stub import Tensor, step_model

from toolkit.export.arrays import write_arrays
from toolkit.repository.entry import add_step

TABLE = {"ids": np.array([30, 10, 20]), "features": np.array([[3.0, 33], [1, 11], [2, 22]])}


def looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: list[list[int]], table: object = TABLE) -> object:
    (tmp_path / "data").mkdir()
    write_arrays(tmp_path / "data" / "arrays.npz", table)  # type: ignore[arg-type]
    parameters = {"count": len(ids[0]), "width": 2}
    entry = add_step(tmp_path / "m", "table_lookup", name="t", parameters=parameters, files=tmp_path / "data")
    (answer,) = step_model(entry, monkeypatch).execute([{"IDS": Tensor("IDS", np.array(ids))}])
    return [t.as_numpy() for t in answer.output_tensors]


def test_rows_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, known = looked_up(tmp_path, monkeypatch, [[10, 30, -1], [25, 99, 20]])  # type: ignore[misc]
    assert rows.tolist() == [[[1, 11], [3, 33], [0, 0]], [[0, 0], [0, 0], [2, 22]]]
    assert known.tolist() == [[1, 1, 0], [0, 0, 1]] and rows.dtype == known.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.array([1, 1, 2])}, "comes twice"),
        ({"features": np.zeros((3, 5))}, r"shape \[3, 5\].*width 2"),
        ({"ids": np.array([1, 2])}, "2 ids"),
        ({"features": np.array([[1.0, 2], [np.nan, 0], [0, 1]])}, "the row of id 10 holds a NaN"),
    ],
)
def test_a_table_that_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(RuntimeError, match=message):
        looked_up(tmp_path, monkeypatch, [[1]], TABLE | change)


@pytest.mark.parametrize(
    ("ids", "scores", "best_ids", "best_scores"),
    [
        ([5, 6, 7], [0.1, 0.9, 0.5], [6, 7], [0.9, 0.5]),
        ([5, 6, 7], [0.5, 0.5, 0.5], [5, 6], [0.5, 0.5]),
        ([5, -1, -1], [0.1, 9.0, 8.0], [5, -1], [0.1, -np.inf]),
        ([-1, -1, -1], [1.0, 2.0, 3.0], [-1, -1], [-np.inf, -np.inf]),
        ([5], [0.1], [5, -1], [0.1, -np.inf]),
    ],
)
def test_the_best(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ids: list[int],
    scores: list[float],
    best_ids: list[int],
    best_scores: list[float],
) -> None:
    entry = add_step(tmp_path / "m", "best_of", name="b", parameters={"count": len(ids), "best": 2})
    request = {"IDS": Tensor("IDS", np.array([ids])), "SCORES": Tensor("SCORES", np.array([scores], dtype=np.float32))}
    (answer,) = step_model(entry, monkeypatch).execute([request])
    found_ids, found_scores = (t.as_numpy() for t in answer.output_tensors)
    assert found_ids.tolist() == [best_ids]
    np.testing.assert_allclose(found_scores, [best_scores], rtol=1e-6)
