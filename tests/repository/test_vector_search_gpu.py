"""The vector_search_gpu step's own code over an exact search that stands in for cuVS; with a GPU, over cuVS itself."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from step_stub import Tensor, step_model

pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
from toolkit.environment import gpus_here, package_version
from toolkit.index.build import build_index, exact_neighbours
from toolkit.index.spec import spec_from_kind
from toolkit.index.vectors import clustered_vectors
from toolkit.repository.entry import RepositoryEntry, add_step

DATA = clustered_vectors(500, 8, queries=20, clusters=10)
IDS = np.arange(500) + 1000
NONE_FOUND = 0xFFFFFFFF


class CuvsException(Exception):
    """What cuVS raises, which is no RuntimeError."""


class OnDevice:
    """An array that its owner must copy back, as pylibraft's device_ndarray."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def copy_to_host(self) -> Any:
        return self.values


class Exact:
    """What `load` of a cuVS module gives: its length, its dimensions."""

    dim = DATA.values.shape[1]

    def __len__(self) -> int:
        return len(DATA.values)


def cuvs_modules(asked: list[dict[str, int]]) -> dict[str, types.ModuleType]:
    """Modules with cuVS's names and calls that search exactly, and find nothing for the last of `k` (as CAGRA may)."""

    def load(path: str) -> Exact:
        if Path(path).read_bytes() != b"index":
            raise CuvsException("unknown serialization version")
        return Exact()

    def search(parameters: dict[str, int], index: Exact, queries: OnDevice, k: int) -> tuple[OnDevice, OnDevice]:
        asked.append(parameters)
        places, scores = exact_neighbours(DATA.values, queries.values, k)
        places = places.astype(np.uint32)
        places[:, -1] = NONE_FOUND
        return OnDevice(scores), OnDevice(places)

    neighbors = ("cuvs.neighbors", "cuvs.neighbors.cagra", "cuvs.neighbors.ivf_pq")
    names = ("cuvs", "cuvs.common", "cuvs.common.exceptions", *neighbors, "pylibraft", "pylibraft.common")
    modules = {name: types.ModuleType(name) for name in names}
    for kind in ("cagra", "ivf_pq"):
        vars(modules[f"cuvs.neighbors.{kind}"]).update(load=load, search=search, SearchParams=dict)
    vars(modules["cuvs"])["__version__"] = "25.10"
    vars(modules["cuvs.common.exceptions"])["CuvsException"] = CuvsException
    vars(modules["pylibraft.common"])["device_ndarray"] = OnDevice
    return modules


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, int]]:
    found: list[dict[str, int]] = []
    for name, module in cuvs_modules(found).items():
        monkeypatch.setitem(sys.modules, name, module)
    return found


def entry(folder: Path, **parameters: Any) -> RepositoryEntry:
    files = folder / "index"
    files.mkdir(exist_ok=True)
    (files / "index.cuvs").write_bytes(b"index")
    np.save(files / "ids.npy", IDS)
    given = {"dimension": 8, "k": 5} | parameters
    return add_step(folder / "m", "vector_search_gpu", name="items", parameters=given, files=files, replace=True)


def request(queries: Any, exclude: Any = None) -> dict[str, Tensor]:
    tensors = {"QUERY": Tensor("QUERY", np.asarray(queries, dtype=np.float32))}
    return tensors if exclude is None else tensors | {"EXCLUDE": Tensor("EXCLUDE", np.asarray(exclude, dtype=np.int64))}


@pytest.mark.parametrize(
    ("kind", "effort", "expected"),
    [
        ("cagra", {"itopk_size": 128}, {"itopk_size": 128}),
        ("cagra", {"itopk_size": 4096}, {"itopk_size": 512}),
        ("ivf_pq", {"n_probes": 7}, {"n_probes": 7}),
    ],
)
def test_each_request_gets_its_own_neighbours_with_the_effort_that_was_asked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[dict[str, int]],
    kind: str,
    effort: dict[str, int],
    expected: dict[str, int],
) -> None:
    assert DATA.queries is not None
    model = step_model(entry(tmp_path, kind=kind, **effort), monkeypatch)
    truth, _ = exact_neighbours(DATA.values, DATA.queries[:3], 6, ids=IDS)
    exclude = [[truth[1, 0]], [-1]]
    one, two = model.execute([request(DATA.queries[:1]), request(DATA.queries[1:3], exclude)])
    ids = [r.output_tensors[0].as_numpy().tolist() for r in (one, two)]
    # Six were searched for because one is excluded; the last of them is not found.
    assert ids == [[truth[0, :5].tolist()], [[*truth[1, 1:5].tolist(), -1], truth[2, :5].tolist()]]
    assert two.output_tensors[1].as_numpy()[0, -1] == np.inf
    assert asked == [expected]


def test_a_query_that_is_not_finite_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, int]]
) -> None:
    model = step_model(entry(tmp_path), monkeypatch)
    bad, good = model.execute([request([[np.nan] * 8]), request(DATA.values[:1])])
    assert "QUERY row 0 holds a NaN" in str(bad.error)
    assert good.output_tensors[0].as_numpy()[0, 0] == IDS[0]


def test_another_index_than_the_configuration_says_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, int]]
) -> None:
    with pytest.raises(RuntimeError, match=r"500 vectors of 8 dimensions.*dimension 9"):
        step_model(entry(tmp_path, dimension=9), monkeypatch)
    damaged = entry(tmp_path)
    (damaged.path / "1" / "index.cuvs").write_bytes(b"another")
    with pytest.raises(RuntimeError, match=r"index\.cuvs cannot be read by cuVS 25\.10; build it again"):
        step_model(damaged, monkeypatch)


@pytest.mark.gpu
@pytest.mark.skipif(not (package_version("cuvs-cu12") and gpus_here()), reason="needs cuVS and an NVIDIA GPU")
@pytest.mark.parametrize(("kind", "name"), [("cagra", "cagra"), ("cuvs_ivf_pq", "ivf_pq")])
def test_cuvs_itself_finds_what_exact_search_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    assert DATA.queries is not None
    build_index(DATA.values, spec_from_kind(kind), tmp_path / "index", name="items", ids=IDS)
    given = {"dimension": 8, "k": 5, "kind": name}
    served = add_step(tmp_path / "m", "vector_search_gpu", name="items", parameters=given, files=tmp_path / "index")
    (answer,) = step_model(served, monkeypatch).execute([request(DATA.queries)])
    truth, _ = exact_neighbours(DATA.values, DATA.queries, 5, ids=IDS)
    ids = answer.output_tensors[0].as_numpy()
    assert np.mean([np.isin(t, i).mean() for t, i in zip(truth, ids, strict=True)]) > 0.5
