"""`toolkit index` on a real Triton: recall through the server, exclusions, an update under load, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
from toolkit.errors import ModelRefused, ToolkitError, UsageError
from toolkit.index.build import Searcher, exact_neighbours, read_built
from toolkit.index.recall import recall
from toolkit.index.vectors import clustered_vectors
from toolkit.load.slo import Slo
from toolkit.workflow.index import RESULT, IndexSweep, IndexSweepResult, build_index_from_file, sweep_index

SWEEP = IndexSweep(
    vectors=None,
    queries=None,
    generated=(3000, 16),
    kinds=("ivf",),
    efforts=(1, 64),
    metric="l2",
    k=10,
    recall=0.9,
    slo=Slo(criteria=()),
    clients=4,
    duration_s=0.8,
    query_count=100,
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IndexSweepResult]:
    root = tmp_path_factory.mktemp("runs")
    return sweep_index(SWEEP, command="toolkit index sweep", root=root, progress=lambda text: None)


def test_a_sweep_through_the_server(swept: tuple[Path, IndexSweepResult]) -> None:
    run, result = swept
    assert [p.effort for p in result.points] == [1, 64]
    shares = [p.recall for p in result.points]
    assert shares[0] < shares[-1], "a search that tries harder finds more"
    assert result.chosen in {p.name for p in result.points} and result.chosen in result.sentence
    assert json.loads((run / RESULT).read_text())["chosen"] == result.chosen
    excluded, updated = result.conditions
    assert excluded.failed == updated.failed == 0
    assert excluded.recall > 0.8
    assert updated.recall > 0.5, "vectors that were added while the server answered are found"
    assert (run / "repository" / "ivf" / "2" / "index.faiss").is_file()
    assert all(p.measurement.requests > 10 and p.in_process_per_s > 0 for p in result.points)


def test_what_the_server_finds_is_what_the_library_finds(swept: tuple[Path, IndexSweepResult]) -> None:
    run, result = swept
    data = clustered_vectors(3000, 16, queries=100)
    assert data.queries is not None
    truth, _ = exact_neighbours(data.values, data.queries, 10)
    searcher = Searcher(run / "indexes" / "ivf")
    for point in result.points:
        found, _ = searcher.search(data.queries, 10, point.effort)
        assert recall(found, truth).mean() == pytest.approx(point.recall, abs=1e-9)


def test_build_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "items.npy", np.random.default_rng(0).standard_normal((500, 8)))
    built = build_index_from_file(tmp_path / "items.npy", "hnsw", "l2", tmp_path / "index")
    assert read_built(tmp_path / "index") == built and built.recall_at_most_effort == 1.0
    with pytest.raises(UsageError, match="is there already"):
        build_index_from_file(tmp_path / "items.npy", "hnsw", "l2", tmp_path / "index")


@pytest.mark.parametrize(
    ("array", "change", "message"),
    [
        (np.zeros((5, 4)), {"k": 0}, "--k 0"),
        (np.zeros((5, 4)), {"k": 9}, "expected 1 to"),
        (np.zeros((5, 4)), {"queries": "other.npy", "k": 2}, "queries of 3 dimensions for vectors of 4"),
        (np.full((5, 4), np.nan), {"k": 2}, "not finite"),
        (np.zeros((5, 4)), {"kinds": ("annoy",), "k": 2}, "no index of kind 'annoy'"),
        (np.zeros((5, 4)), {"kinds": ("flat", "cagra"), "k": 2}, "cuvs.*not installed|NVML sees none"),
        (np.zeros((5, 4)), {"k": -1}, "--k -1"),
    ],
)
def test_bad_input(tmp_path: Path, array: np.ndarray, change: dict[str, object], message: str) -> None:
    np.save(tmp_path / "v.npy", array)
    np.save(tmp_path / "other.npy", np.zeros((2, 3)))
    if "queries" in change:
        change = change | {"queries": tmp_path / str(change["queries"])}
    spec = replace(SWEEP, vectors=tmp_path / "v.npy", **change)  # type: ignore[arg-type]
    with pytest.raises((UsageError, ModelRefused, ToolkitError), match=message):
        sweep_index(spec, command="", root=tmp_path / "runs", progress=lambda text: None)
