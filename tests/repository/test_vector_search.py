"""The vector_search step's own code, called as Triton's stub calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from step_stub import InferenceResponse, Tensor, step_model

pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
from toolkit.errors import UsageError
from toolkit.index.build import build_index, exact_neighbours
from toolkit.index.spec import Flat, Hnsw
from toolkit.index.vectors import clustered_vectors
from toolkit.repository.entry import RepositoryEntry, add_step
from toolkit.repository.step import config_from_step

DATA = clustered_vectors(500, 8, queries=20, clusters=10)
IDS = np.arange(500) + 1000


@pytest.fixture
def entry(tmp_path: Path) -> RepositoryEntry:
    build_index(DATA.values, Flat(), tmp_path / "index", name="items", ids=IDS)
    parameters = {"dimension": 8, "k": 5}
    return add_step(tmp_path / "m", "vector_search", name="items", parameters=parameters, files=tmp_path / "index")


def request(queries: Any, exclude: Any = None) -> dict[str, Tensor]:
    tensors = {"QUERY": Tensor("QUERY", np.asarray(queries, dtype=np.float32))}
    return tensors if exclude is None else tensors | {"EXCLUDE": Tensor("EXCLUDE", np.asarray(exclude, dtype=np.int64))}


def found(response: InferenceResponse) -> tuple[np.ndarray, np.ndarray]:
    assert response.error is None
    ids, scores = response.output_tensors
    assert (ids.name, scores.name) == ("IDS", "SCORES")
    return ids.as_numpy(), scores.as_numpy()


def test_each_request_of_a_batch_gets_its_own_neighbours(
    entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATA.queries is not None
    answers = step_model(entry, monkeypatch).execute([request(DATA.queries[:1]), request(DATA.queries[1:4])])
    truth, distances = exact_neighbours(DATA.values, DATA.queries[:4], 5, ids=IDS)
    ids, scores = (np.concatenate(parts) for parts in zip(*map(found, answers), strict=True))
    np.testing.assert_array_equal(ids, truth)
    np.testing.assert_allclose(scores, distances, rtol=1e-4)
    assert ids.dtype == np.int64 and scores.dtype == np.float32


def test_excluded_ids_are_never_answered(entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DATA.queries is not None
    query = DATA.queries[:2]
    truth, _ = exact_neighbours(DATA.values, query, 8, ids=IDS)
    exclude = [[truth[0, 0], truth[0, 2], -1], [truth[1, 1], -1, -1]]
    ids, _ = found(step_model(entry, monkeypatch).execute([request(query, exclude)])[0])
    assert ids[0].tolist() == truth[0, [1, 3, 4, 5, 6]].tolist()
    assert ids[1].tolist() == truth[1, [0, 2, 3, 4, 5]].tolist()


def test_with_everything_excluded_the_answer_is_empty(entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, scores = found(step_model(entry, monkeypatch).execute([request(DATA.values[:1], [IDS])])[0])
    assert ids.tolist() == [[-1] * 5] and np.isinf(scores).all()


def test_a_query_that_is_not_finite_fails_alone(entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    model = step_model(entry, monkeypatch)
    bad, good = model.execute([request([[np.nan] * 8]), request(DATA.values[:1])])
    assert "QUERY row 0 holds a NaN" in str(bad.error)
    assert found(good)[0][0, 0] == IDS[0]


def test_an_index_that_is_not_what_the_configuration_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_index(DATA.values, Hnsw(), tmp_path / "index", name="items")
    wrong = add_step(tmp_path / "m", "vector_search", name="x", parameters={"dimension": 9}, files=tmp_path / "index")
    with pytest.raises(RuntimeError, match=r"500 vectors of 8 dimensions.*dimension 9"):
        step_model(wrong, monkeypatch)


def test_an_index_of_another_version_is_not_loaded(
    tmp_path: Path, entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry.path / "1" / "index.faiss").write_bytes(b"Ix99" + bytes(64))
    with pytest.raises(RuntimeError, match=r"index\.faiss cannot be read by FAISS .*; build it again"):
        step_model(entry, monkeypatch)


@pytest.mark.parametrize("k", [0, -3])
def test_k_is_a_positive_number(k: int) -> None:
    with pytest.raises(UsageError, match=f"step vector_search: k is {k}; expected integer"):
        config_from_step("vector_search", "x", {"dimension": 8, "k": k})


def test_a_catalogue_of_one_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_index(DATA.values[:1], Hnsw(), tmp_path / "index", name="items", ids=IDS[:1])
    one = add_step(tmp_path / "m", "vector_search", name="x", parameters={"dimension": 8}, files=tmp_path / "index")
    ids, _ = found(step_model(one, monkeypatch).execute([request(DATA.values[:2])])[0])
    assert ids.tolist() == [[IDS[0]] + [-1] * 9] * 2


def test_the_step_needs_its_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs the file index\.faiss"):
        add_step(tmp_path / "m", "vector_search", name="x", parameters={"dimension": 9})


def test_another_index_is_another_entry(tmp_path: Path, entry: RepositoryEntry) -> None:
    build_index(DATA.values[:10], Flat(), tmp_path / "other", name="items")
    other = add_step(
        tmp_path / "m", "vector_search", name="other", parameters={"dimension": 8}, files=tmp_path / "other"
    )
    assert other.artifact_sha256 != entry.artifact_sha256
