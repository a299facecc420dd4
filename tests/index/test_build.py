"""Indexes of every kind against exact search, recall as a table, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.artifact import read_artifact, write_artifact
from toolkit.environment import gpus_here, package_version
from toolkit.errors import ConfigurationError, EnvironmentProblem, MissingDependency, ModelRefused, UsageError
from toolkit.index.recall import mean_interval, recall
from toolkit.index.spec import EFFORTS, Flat, Hnsw, Ivf, IvfPq, factory_text, spec_from_kind
from toolkit.index.vectors import clustered_vectors
from toolkit.index.warnings import unequal_lengths
from toolkit.records import digest_of_files

pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
import faiss

from toolkit.index.build import Searcher, build_index, exact_neighbours, files_of, insert_into_index, read_built
from toolkit.index.faiss_index import FILE

faiss.omp_set_num_threads(1)  # threads that wait for each other are slow where tests run side by side
DATA = clustered_vectors(4000, 16, queries=50, clusters=40, seed=1)
IDS = np.arange(4000) * 10 + 5


@pytest.mark.parametrize("kind", ["flat", "ivf", "ivf_pq", "hnsw"])
@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_an_index_finds_what_exact_search_finds(tmp_path: Path, kind: str, metric: str) -> None:
    spec = spec_from_kind(kind, metric)  # type: ignore[arg-type]
    built = build_index(DATA.values, spec, tmp_path, name="items", ids=IDS)
    assert DATA.queries is not None
    truth, distances = exact_neighbours(DATA.values, DATA.queries, 10, metric=spec.metric, ids=IDS)
    ids, scores = Searcher(tmp_path).search(DATA.queries, 10, EFFORTS[kind][-1])
    share = recall(ids, truth).mean()
    assert share == 1.0 if kind == "flat" else share > (0.5 if kind == "ivf_pq" else 0.95)
    assert set(ids.ravel()) <= set(IDS)
    if kind == "flat":
        np.testing.assert_allclose(scores, distances, rtol=1e-4, atol=1e-4)
    assert read_built(tmp_path) == built
    assert built.count == 4000 and built.index_bytes == (tmp_path / FILE).stat().st_size


def test_exact_search_is_what_numpy_says() -> None:
    assert DATA.queries is not None
    squared = ((DATA.queries[:, None] - DATA.values[None]) ** 2).sum(-1)
    ids, scores = exact_neighbours(DATA.values, DATA.queries, 5)
    np.testing.assert_array_equal(ids, np.argsort(squared, axis=1)[:, :5])
    np.testing.assert_allclose(scores, np.sort(squared, axis=1)[:, :5], rtol=1e-3, atol=1e-4)


def test_more_effort_finds_more(tmp_path: Path) -> None:
    build_index(DATA.values, Ivf(nlist=64), tmp_path, name="items")
    assert DATA.queries is not None
    truth, _ = exact_neighbours(DATA.values, DATA.queries, 20)
    shares = [recall(Searcher(tmp_path).search(DATA.queries, 20, n)[0], truth).mean() for n in (1, 4, 64)]
    assert shares[0] < shares[1] <= shares[2] == 1.0


def test_a_catalogue_smaller_than_k(tmp_path: Path) -> None:
    build_index(DATA.values[:1], Flat(), tmp_path, name="one", ids=np.array([42]))
    ids, scores = Searcher(tmp_path).search(DATA.values[:1], 3, 0)
    assert ids.tolist() == [[42, -1, -1]] and np.isinf(scores[0, 1:]).all()
    truth, _ = exact_neighbours(DATA.values[:1], DATA.values[:1], 3, ids=np.array([42]))
    assert recall(ids, truth).tolist() == [1.0]


@pytest.mark.parametrize(
    ("found", "truth", "share"),
    [
        ([1, 2, 3], [1, 2, 3], 1.0),
        ([3, 2, 1], [1, 2, 3], 1.0),
        ([1, 9, 8], [1, 2, 3], 1 / 3),
        ([1, 1, 1], [1, 2, 3], 1 / 3),
        ([-1, -1, -1], [1, 2, 3], 0.0),
        ([1, -1, -1], [1, -1, -1], 1.0),
    ],
)
def test_recall(found: list[int], truth: list[int], share: float) -> None:
    assert recall(np.array([found]), np.array([truth])).tolist() == [pytest.approx(share)]


def test_interval_of_a_mean_stays_within_shares() -> None:
    assert mean_interval(np.ones(10)) == (1.0, 1.0, 1.0)
    mean, low, high = mean_interval(np.array([0.0, 1.0] * 50))
    assert mean == 0.5 and 0.35 < low < 0.45 and 0.55 < high < 0.65


@pytest.mark.parametrize(
    ("spec", "count", "dimension", "text"),
    [
        (Flat(), 10, 8, "Flat"),
        (Hnsw(m=24), 10, 8, "HNSW24,Flat"),
        (Ivf(), 10_000, 8, "IVF256,Flat"),
        (Ivf(), 1_000_000, 8, "IVF4000,Flat"),
        (Ivf(nlist=7), 10_000, 8, "IVF7,Flat"),
        (Ivf(), 1, 8, "IVF1,Flat"),
        (IvfPq(), 10_000, 64, "IVF256,PQ16np"),
    ],
)
def test_factory(spec: object, count: int, dimension: int, text: str) -> None:
    assert factory_text(spec, count, dimension) == text  # type: ignore[arg-type]


def test_what_cannot_be_built(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not divide 16"):
        build_index(DATA.values, IvfPq(m=5), tmp_path, name="items")
    with pytest.raises(UsageError, match="learns 256 codes from 100"):
        build_index(DATA.values[:100], IvfPq(), tmp_path, name="items")
    with pytest.raises(UsageError, match="no index of kind 'annoy'"):
        spec_from_kind("annoy")
    with pytest.raises(ModelRefused, match="duplicates"):
        build_index(DATA.values[:3], Flat(), tmp_path, name="items", ids=np.array([1, 1, 2]))


def test_what_cannot_be_searched(tmp_path: Path) -> None:
    build_index(DATA.values, Flat(), tmp_path / "i", name="items")
    searcher = Searcher(tmp_path / "i")
    with pytest.raises(UsageError, match="k is 0"):
        searcher.search(DATA.values[:1], 0, 0)
    with pytest.raises(UsageError, match="for an index of 16 dimensions"):
        searcher.search(DATA.values[:1, :8], 1, 0)
    with pytest.raises(UsageError, match="k is -2"):
        searcher.search(DATA.values[:1], -2, 0)
    (tmp_path / "i" / FILE).write_bytes(b"IxXX")
    with pytest.raises(ConfigurationError, match="digest"):
        Searcher(tmp_path / "i")


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    build_index(DATA.values[:50], Flat(), tmp_path, name="items")
    artifact = read_artifact(tmp_path)
    (tmp_path / FILE).write_bytes(b"Ix99" + bytes(64))
    write_artifact(tmp_path, replace(artifact, sha256=digest_of_files(tmp_path, files_of(Flat()))))
    with pytest.raises(ModelRefused, match=r"index\.faiss was written by faiss-cpu .* cannot be read by") as caught:
        Searcher(tmp_path)
    assert "build the index again" in caught.value.mend


@pytest.mark.parametrize("kind", ["flat", "ivf", "ivf_pq", "hnsw"])
def test_inserted_vectors_are_found(tmp_path: Path, kind: str) -> None:
    assert DATA.queries is not None
    build_index(DATA.values, spec_from_kind(kind), tmp_path / "old", name="items", ids=IDS)
    new = np.arange(len(DATA.queries)) * 10 + 1
    assert insert_into_index(tmp_path / "old", DATA.queries, new, tmp_path / "new") > 0
    assert read_built(tmp_path / "new").count == 4050 and read_built(tmp_path / "old").count == 4000
    ids, _ = Searcher(tmp_path / "new").search(DATA.queries, 10, EFFORTS[kind][-1])
    assert (ids == new[:, None]).any(axis=1).mean() > 0.9
    with pytest.raises(ModelRefused, match="id 5 comes 2 times"):
        insert_into_index(tmp_path / "old", DATA.queries[:1], IDS[:1], tmp_path / "twice")
    with pytest.raises(ModelRefused, match="vectors of 4 dimensions for an index of 16"):
        insert_into_index(tmp_path / "old", DATA.queries[:1, :4], new[:1], tmp_path / "narrow")


@pytest.mark.parametrize(
    ("kind", "metric", "spread", "is_warned"),
    [
        ("hnsw", "inner_product", 0.5, True),
        ("hnsw", "inner_product", 0.0, False),
        ("hnsw", "l2", 0.5, False),
        ("ivf", "inner_product", 0.5, False),
    ],
)
def test_a_graph_over_vectors_of_unequal_length_is_warned_of(
    tmp_path: Path, kind: str, metric: str, spread: float, is_warned: bool
) -> None:
    unit = DATA.values / np.linalg.norm(DATA.values, axis=1, keepdims=True)
    vectors = unit * np.random.default_rng(0).lognormal(0.0, spread, (len(unit), 1))
    built = build_index(vectors, spec_from_kind(kind, metric), tmp_path, name="items")  # type: ignore[arg-type]
    assert [w.kind for w in built.warnings] == ["UnequalLengths"] * is_warned
    assert all("unit length" in w.text and w.figure > w.threshold for w in built.warnings)
    assert read_built(tmp_path) == built


def test_a_vector_without_length_is_told_too() -> None:
    warning = unequal_lengths(np.zeros((3, 2), dtype=np.float32), Hnsw(metric="inner_product"))
    assert warning is not None and warning.figure == float("inf")


@pytest.mark.skipif(bool(package_version("cuvs-cu12") and gpus_here()), reason="cuVS and a GPU are here")
@pytest.mark.parametrize("kind", ["cagra", "cuvs_ivf_pq"])
def test_an_index_of_the_gpu_is_refused_without_one(tmp_path: Path, kind: str) -> None:
    with pytest.raises((MissingDependency, EnvironmentProblem)) as caught:
        build_index(DATA.values, spec_from_kind(kind), tmp_path, name="items")
    assert "poc-toolkit[cuvs]" in caught.value.mend or "--kind hnsw" in caught.value.mend


@pytest.mark.gpu
@pytest.mark.skipif(not (package_version("cuvs-cu12") and gpus_here()), reason="needs cuVS and an NVIDIA GPU")
@pytest.mark.parametrize("kind", ["cagra", "cuvs_ivf_pq"])
@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_an_index_of_the_gpu_finds_what_exact_search_finds(tmp_path: Path, kind: str, metric: str) -> None:
    spec = spec_from_kind(kind, metric)  # type: ignore[arg-type]
    built = build_index(DATA.values, spec, tmp_path, name="items", ids=IDS)
    assert DATA.queries is not None and read_built(tmp_path) == built
    truth, _ = exact_neighbours(DATA.values, DATA.queries, 10, metric=spec.metric, ids=IDS)
    ids, _ = Searcher(tmp_path).search(DATA.queries, 10, EFFORTS[kind][-1])
    assert recall(ids, truth).mean() > (0.5 if kind == "cuvs_ivf_pq" else 0.95)
