"""cuVS on a GPU (CAGRA, IVF-PQ), behind the functions that every library of indexes has here.

Source: the Python interface of rapidsai/cuvs, python/cuvs/cuvs/neighbors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.environment import gpus_here, package_version
from toolkit.errors import EnvironmentProblem
from toolkit.extras import require
from toolkit.index.spec import Cagra, CuvsIvfPq, IndexSpec, cells
from toolkit.index.vectors import Floats

NAME, FILE = "cuvs", "index.cuvs"
#: CAGRA keeps at most so many candidates with the algorithm that it chooses for small batches.
MAX_ITOPK = 512


def version() -> str:
    """The installed library, as messages and descriptions have it."""
    return next((f"{n} {v}" for n in ("cuvs-cu13", "cuvs-cu12") if (v := package_version(n))), "cuvs")


def check_here(spec: IndexSpec) -> None:
    """Raises MissingDependency without the library, EnvironmentProblem without a GPU."""
    _library(spec)


def build(vectors: Floats, spec: IndexSpec) -> Any:
    """An index of `vectors` [count, dimension]. Raises MissingDependency and EnvironmentProblem without a GPU."""
    library, metric = _library(spec), "sqeuclidean" if spec.metric == "l2" else "inner_product"
    if isinstance(spec, Cagra):
        degrees = {
            "graph_degree": min(spec.graph_degree, len(vectors) - 1),
            "intermediate_graph_degree": min(spec.intermediate_graph_degree, len(vectors) - 1),
        }
        parameters = library.IndexParams(metric=metric, **degrees)
    else:
        assert isinstance(spec, CuvsIvfPq)
        nlist = spec.nlist or cells(len(vectors))
        parameters = library.IndexParams(metric=metric, n_lists=nlist, pq_dim=spec.pq_dim)
    return library.build(parameters, _on_device(vectors))


def insert(index: Any, vectors: Floats, spec: IndexSpec) -> None:
    """Add vectors; their places follow those that are there."""
    library = _library(spec)
    if isinstance(spec, Cagra):
        library.extend(library.ExtendParams(), index, _on_device(vectors))
    else:
        places = np.arange(len(index), len(index) + len(vectors), dtype=np.int64)
        library.extend(index, _on_device(vectors), _on_device(places))


def save(index: Any, path: Path, spec: IndexSpec) -> None:
    """Write the index into a file."""
    _library(spec).save(str(path), index)


def load(path: Path, spec: IndexSpec) -> Any:
    """Read the index of a file onto the GPU. Raises RuntimeError for one that this version cannot read."""
    library, errors = _library(spec), require("cuvs.common.exceptions")
    try:
        return library.load(str(path))
    except errors.CuvsException as err:
        raise RuntimeError(str(err)) from err


def search(index: Any, queries: Floats, k: int, spec: IndexSpec, effort: int) -> tuple[NDArray[np.int64], Floats]:
    """Places (-1: none found) and scores [queries, k], the best first."""
    library = _library(spec)
    if isinstance(spec, Cagra):
        parameters = library.SearchParams(itopk_size=max(k, min(effort, MAX_ITOPK)))
    else:
        parameters = library.SearchParams(n_probes=effort)
    scores, places = library.search(parameters, index, _on_device(queries), k)
    found = places.copy_to_host().astype(np.int64)
    return np.where(found < len(index), found, -1), scores.copy_to_host()


def _library(spec: IndexSpec) -> Any:
    """cuVS's module for a kind of index. Raises MissingDependency, and EnvironmentProblem without a GPU."""
    neighbors = require("cuvs.neighbors.cagra" if isinstance(spec, Cagra) else "cuvs.neighbors.ivf_pq")
    if not gpus_here():
        raise EnvironmentProblem(
            f"an index of kind '{spec.kind}' is built and searched on an NVIDIA GPU, and NVML sees none here",
            mend="use a machine with a GPU, or --kind hnsw or ivf_pq; toolkit doctor shows what is here",
        )
    return neighbors


def _on_device(array: NDArray[Any]) -> Any:
    return require("pylibraft.common").device_ndarray(np.ascontiguousarray(array))
