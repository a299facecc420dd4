"""The kinds of index and how each is built, as values in the libraries' own terms; and how hard a search may try.

`flat`, `ivf`, `ivf_pq` and `hnsw` are FAISS's, on the CPU; `cagra` and `cuvs_ivf_pq` cuVS's, on a GPU.

Sources: Johnson, Douze, Jegou, "Billion-scale similarity search with GPUs" (IVF, PQ); Malkov, Yashunin, "Efficient and
robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs" (HNSW); Ootomo et al.,
"CAGRA: Highly Parallel Graph Construction and Approximate Nearest Neighbor Search for GPUs".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from toolkit.errors import UsageError

Metric = Literal["l2", "inner_product"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """Every vector is compared: exact, and as slow as the catalogue is large."""

    metric: Metric = "l2"
    kind: Literal["flat"] = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ivf:
    """Vectors in `nlist` cells, of which a search visits `nprobe`. nlist 0: about four times the root of the count."""

    metric: Metric = "l2"
    nlist: int = 0
    kind: Literal["ivf"] = "ivf"


@dataclass(frozen=True, slots=True, kw_only=True)
class IvfPq:
    """As Ivf, a vector kept in `m` codes of one byte; `m` divides the dimension, 0: a quarter of it."""

    metric: Metric = "l2"
    nlist: int = 0
    m: int = 0
    kind: Literal["ivf_pq"] = "ivf_pq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hnsw:
    """A graph with `m` links a vector, built with `ef_construction` candidates; a search keeps `ef_search`."""

    metric: Metric = "l2"
    m: int = 16
    ef_construction: int = 80
    kind: Literal["hnsw"] = "hnsw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cagra:
    """A graph on the GPU with `graph_degree` links a vector, chosen among `intermediate_graph_degree`."""

    metric: Metric = "l2"
    graph_degree: int = 64
    intermediate_graph_degree: int = 128
    kind: Literal["cagra"] = "cagra"


@dataclass(frozen=True, slots=True, kw_only=True)
class CuvsIvfPq:
    """As IvfPq, on the GPU; `pq_dim` codes of one byte a vector, 0: cuVS's own choice."""

    metric: Metric = "l2"
    nlist: int = 0
    pq_dim: int = 0
    kind: Literal["cuvs_ivf_pq"] = "cuvs_ivf_pq"


CuvsSpec = Cagra | CuvsIvfPq
IndexSpec = Flat | Ivf | IvfPq | Hnsw | CuvsSpec
KINDS: dict[str, type[IndexSpec]] = {
    "flat": Flat,
    "ivf": Ivf,
    "ivf_pq": IvfPq,
    "hnsw": Hnsw,
    "cagra": Cagra,
    "cuvs_ivf_pq": CuvsIvfPq,
}
#: Kinds whose search follows the links of a graph.
GRAPHS = ("hnsw", "cagra")

#: The parameter that says how hard a search tries, by kind of index.
EFFORT = {
    "flat": "",
    "ivf": "nprobe",
    "ivf_pq": "nprobe",
    "hnsw": "ef_search",
    "cagra": "itopk_size",
    "cuvs_ivf_pq": "n_probes",
}
EFFORTS = {
    "flat": (0,),
    "ivf": (1, 2, 4, 8, 16, 32, 64),
    "ivf_pq": (4, 16, 64),
    "hnsw": (16, 32, 64, 128, 256, 512),
    "cagra": (32, 64, 128, 256, 512),
    "cuvs_ivf_pq": (4, 16, 64),
}


def spec_from_kind(kind: str, metric: Metric = "l2") -> IndexSpec:
    """The index of a kind with its defaults. Raises UsageError."""
    if kind not in KINDS:
        raise UsageError(f"there is no index of kind '{kind}'", mend=f"use one of: {', '.join(KINDS)}")
    if metric not in ("l2", "inner_product"):
        raise UsageError(f"'{metric}' is not a metric", mend="use l2 or inner_product (of unit vectors: the cosine)")
    return KINDS[kind](metric=metric)


def cells(count: int) -> int:
    """The number of cells for `count` vectors: about four times the root, and 39 vectors each, as FAISS wants."""
    return max(1, min(count // 39, round(4 * math.sqrt(count))))


def factory_text(spec: IndexSpec, count: int, dimension: int) -> str:
    """The FAISS index_factory text of a spec for `count` vectors; for cuVS's kinds a text of the same form.

    Raises UsageError for sizes that do not fit.
    """
    if isinstance(spec, Flat):
        return "Flat"
    if isinstance(spec, Hnsw):
        return f"HNSW{spec.m},Flat"
    if isinstance(spec, Cagra):
        return f"CAGRA{spec.graph_degree}"
    nlist = spec.nlist or cells(count)
    if isinstance(spec, CuvsIvfPq):
        return f"cuVS IVF{nlist},PQ{spec.pq_dim or 'auto'}"
    if isinstance(spec, Ivf):
        return f"IVF{nlist},Flat"
    m = spec.m or max(1, dimension // 4)
    if dimension % m:
        raise UsageError(f"product quantisation in {m} parts does not divide {dimension} dimensions")
    if count < 256:
        raise UsageError(f"product quantisation learns 256 codes from {count} vectors", mend="use --kind flat or hnsw")
    return f"IVF{nlist},PQ{m}np"  # np: no polysemous training, which no search here uses and takes most of the build
