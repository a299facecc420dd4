"""FAISS on the CPU, behind the functions that every library of indexes has here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.environment import package_version
from toolkit.extras import require
from toolkit.index.spec import Hnsw, IndexSpec, Metric, factory_text
from toolkit.index.vectors import Floats

NAME, FILE = "faiss", "index.faiss"


def version() -> str:
    """The installed library, as messages and descriptions have it."""
    return f"faiss-cpu {package_version('faiss-cpu')}"


def check_here(spec: IndexSpec) -> None:
    """Raises MissingDependency without the library."""
    require("faiss")


def build(vectors: Floats, spec: IndexSpec) -> Any:
    """An index of `vectors` [count, dimension]. Raises UsageError for sizes that do not fit, MissingDependency."""
    faiss = require("faiss")
    index = faiss.index_factory(vectors.shape[1], factory_text(spec, *vectors.shape), metric_of(spec.metric))
    if isinstance(spec, Hnsw):
        index.hnsw.efConstruction = spec.ef_construction
    if not index.is_trained:
        index.train(vectors)
    index.add(vectors)
    return index


def insert(index: Any, vectors: Floats, spec: IndexSpec) -> None:
    """Add vectors; their places follow those that are there."""
    index.add(vectors)


def save(index: Any, path: Path, spec: IndexSpec) -> None:
    """Write the index into a file."""
    require("faiss").write_index(index, str(path))


def load(path: Path, spec: IndexSpec) -> Any:
    """Read the index of a file. Raises RuntimeError for one that this version cannot read."""
    return require("faiss").read_index(str(path))


def search(index: Any, queries: Floats, k: int, spec: IndexSpec, effort: int) -> tuple[NDArray[np.int64], Floats]:
    """Places (-1: none found) and scores [queries, k], the best first."""
    scores, places = index.search(queries, k, params=_search_parameters(spec, effort))
    return places, scores


def metric_of(metric: Metric) -> Any:
    """FAISS's constant for a metric."""
    faiss = require("faiss")
    return faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT


def _search_parameters(spec: IndexSpec, effort: int) -> Any:
    """FAISS's parameters of one search; None where there is nothing to choose."""
    faiss = require("faiss")
    if spec.kind == "hnsw":
        return faiss.SearchParametersHNSW(efSearch=effort)
    return None if spec.kind == "flat" else faiss.SearchParametersIVF(nprobe=effort)
