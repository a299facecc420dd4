"""Vectors to an index on disk that was checked against exact search: an Artifact of the format `faiss` or `cuvs`.

In: vectors, their ids, an IndexSpec. Out: a folder with the library's own file, ids.npy, index.json (how it was built,
what it costs, what it finds) and artifact.json. Who searches it, and how hard, is not known here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from toolkit.artifact import Artifact, read_artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.errors import ConfigurationError, ModelRefused, UsageError
from toolkit.extras import require
from toolkit.index import cuvs_index, faiss_index
from toolkit.index.recall import recall
from toolkit.index.spec import CuvsSpec, IndexSpec, Metric, factory_text
from toolkit.index.vectors import Floats, checked_ids, checked_vectors
from toolkit.index.warnings import IndexWarning, unequal_lengths
from toolkit.records import digest_of_files, read_json, write_json
from toolkit.tensor import BATCH, Signature, TensorSpec

IDS_FILE, DESCRIPTION_FILE = "ids.npy", "index.json"
#: Queries, taken from the vectors themselves, that a new index is checked with, and how hard it tries then.
CHECKED, CHECK_EFFORT, CHECK_K = 100, 1 << 12, 10


class Library(Protocol):
    """What a library of indexes offers: a name and a file's name, and an index built, kept, read and searched."""

    NAME: str
    FILE: str

    def version(self) -> str: ...
    def check_here(self, spec: IndexSpec) -> None: ...
    def build(self, vectors: Floats, spec: IndexSpec) -> Any: ...
    def insert(self, index: Any, vectors: Floats, spec: IndexSpec) -> None: ...
    def save(self, index: Any, path: Path, spec: IndexSpec) -> None: ...
    def load(self, path: Path, spec: IndexSpec) -> Any: ...
    def search(
        self, index: Any, queries: Floats, k: int, spec: IndexSpec, effort: int
    ) -> tuple[NDArray[np.int64], Floats]: ...


def library_of(spec: IndexSpec) -> Library:
    """The library that builds and searches an index of this kind."""
    return cuvs_index if isinstance(spec, CuvsSpec) else faiss_index


def files_of(spec: IndexSpec) -> tuple[str, str]:
    """The files of an index, beside its description."""
    return library_of(spec).FILE, IDS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIndex:
    """How an index was built and what it costs.

    `recall_at_most_effort` is recall@10 against exact search of vectors of its own when a search tries as hard as it
    can: what product quantisation, or a bad graph, loses for good.
    """

    spec: IndexSpec
    factory: str
    count: int
    dimension: int
    build_s: float
    index_bytes: int
    recall_at_most_effort: float
    library: str
    warnings: tuple[IndexWarning, ...] = ()


def build_index(
    vectors: Floats, spec: IndexSpec, folder: Path, *, name: str, ids: NDArray[np.int64] | None = None
) -> BuiltIndex:
    """Build, check and write an index of `vectors` [count, dimension] into `folder`, which is made.

    Raises ModelRefused for vectors or ids that are no good, UsageError for a spec that does not fit them, and
    MissingDependency without the library, EnvironmentProblem for a GPU's kind without one.
    """
    library = library_of(spec)
    vectors = checked_vectors(vectors, name)
    ids = checked_ids(ids, len(vectors), name)
    factory = factory_text(spec, *vectors.shape)
    began = time.perf_counter()
    index = library.build(vectors, spec)
    build_s = time.perf_counter() - began
    index_bytes = _write_index(folder, index, ids, spec)
    built = BuiltIndex(
        spec=spec,
        factory=factory,
        count=len(vectors),
        dimension=vectors.shape[1],
        build_s=build_s,
        index_bytes=index_bytes,
        recall_at_most_effort=_checked_recall(index, vectors, spec),
        library=library.version(),
        warnings=tuple(w for w in (unequal_lengths(vectors, spec),) if w),
    )
    _describe(folder, name, built)
    return built


def insert_into_index(folder: Path, vectors: Floats, ids: NDArray[np.int64], target: Path) -> float:
    """Write the index in `folder` with more vectors into `target`; returns the seconds of the insertion alone.

    Cells, codes and links stay as they are, so an index that has grown much should be built anew. Raises ModelRefused
    for vectors or ids that are no good (an id may not be there already), and as `Searcher`.
    """
    found = Searcher(folder)
    spec = found.built.spec
    vectors = checked_vectors(vectors, "the vectors to insert")
    if vectors.shape[1] != found.built.dimension:
        raise ModelRefused(f"vectors of {vectors.shape[1]} dimensions for an index of {found.built.dimension}")
    together = checked_ids(np.concatenate((found.ids, ids)), len(found.ids) + len(vectors), "the vectors to insert")
    began = time.perf_counter()
    library_of(spec).insert(found.index, vectors, spec)
    insert_s = time.perf_counter() - began
    index_bytes = _write_index(target, found.index, together, spec)
    _describe(target, read_artifact(folder).name, replace(found.built, count=len(together), index_bytes=index_bytes))
    return insert_s


def _write_index(folder: Path, index: Any, ids: NDArray[np.int64], spec: IndexSpec) -> int:
    library = library_of(spec)
    folder.mkdir(parents=True, exist_ok=True)
    library.save(index, folder / library.FILE, spec)
    np.save(folder / IDS_FILE, ids)
    return (folder / library.FILE).stat().st_size


def _describe(folder: Path, name: str, built: BuiltIndex) -> None:
    write_json(folder / DESCRIPTION_FILE, built)
    write_artifact(folder, _artifact(folder, name, built))


def _artifact(folder: Path, name: str, built: BuiltIndex) -> Artifact:
    query = TensorSpec(name="QUERY", dtype="FP32", shape=(BATCH, built.dimension))
    files = files_of(built.spec)
    found = (("IDS", "INT64"), ("SCORES", "FP32"))
    return Artifact(
        name=name,
        format=library_of(built.spec).NAME,
        precision="fp32",
        files=files,
        signature=Signature(
            inputs=(query,), outputs=tuple(TensorSpec(name=n, dtype=d, shape=(BATCH, "k")) for n, d in found)
        ),
        sha256=digest_of_files(folder, files),
        built_on=environment_here().summary(),
    )


def read_built(folder: Path) -> BuiltIndex:
    """How the index in `folder` was built. Raises ConfigurationError for another folder or damaged files."""
    artifact = read_artifact(folder)
    if artifact.format not in (faiss_index.NAME, cuvs_index.NAME):
        raise ConfigurationError(f"{folder} holds a model of format {artifact.format}, not an index")
    return read_json(folder / DESCRIPTION_FILE, BuiltIndex)


class Searcher:
    """An index in memory; how hard a search tries is a parameter of each call."""

    def __init__(self, folder: Path) -> None:
        """Read the index of a folder. Raises ConfigurationError, and ModelRefused for the file of another version."""
        self.built = read_built(folder)
        self.ids = np.load(folder / IDS_FILE)
        self._library = library_of(self.built.spec)
        path = folder / self._library.FILE
        try:
            self.index: Any = self._library.load(path, self.built.spec)
        except RuntimeError as err:
            raise ModelRefused(
                f"{path} was written by {self.built.library} and cannot be read by {self._library.version()}",
                mend="build the index again: toolkit index build",
            ) from err

    def search(self, queries: Floats, k: int, effort: int) -> tuple[NDArray[np.int64], Floats]:
        """Ids and scores [queries, k], the best first; -1 where the index holds, or finds, fewer. Raises UsageError."""
        if k < 1:
            raise UsageError(f"k is {k}; expected 1 or more neighbours")
        if queries.ndim != 2 or queries.shape[1] != self.built.dimension:
            raise UsageError(
                f"queries of shape {list(queries.shape)} for an index of {self.built.dimension} dimensions"
            )
        found = min(k, self.built.count)
        places, scores = self._library.search(self.index, queries, found, self.built.spec, effort)
        ids = np.where(places >= 0, self.ids[places], -1)
        missing = ((0, 0), (0, k - found))
        worst = np.inf if self.built.spec.metric == "l2" else -np.inf
        return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=worst)


def exact_neighbours(
    vectors: Floats, queries: Floats, k: int, *, metric: Metric = "l2", ids: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """The true neighbours by comparing every pair: ids and scores [queries, k], the best first, -1 beyond the count.

    Scores are squared distances (l2, small is near) or products (inner_product, large is near), as FAISS gives them.
    """
    faiss = require("faiss")
    found = min(k, len(vectors))
    scores, places = faiss.knn(queries, vectors, found, metric=faiss_index.metric_of(metric))
    named = places if ids is None else ids[places]
    missing = ((0, 0), (0, k - found))
    worst = np.inf if metric == "l2" else -np.inf
    return np.pad(named, missing, constant_values=-1), np.pad(scores, missing, constant_values=worst)


def _checked_recall(index: Any, vectors: Floats, spec: IndexSpec) -> float:
    chosen = vectors[np.random.default_rng(0).integers(0, len(vectors), min(CHECKED, len(vectors)))]
    k = min(CHECK_K, len(vectors))
    places, _ = library_of(spec).search(index, chosen, k, spec, CHECK_EFFORT)
    truth, _ = exact_neighbours(vectors, chosen, k, metric=spec.metric)
    return float(recall(places, truth).mean())
