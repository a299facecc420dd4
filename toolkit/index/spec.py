"""The kinds of index and how each is built, as values in FAISS's own terms; and how hard a search may try.

Sources: Johnson, Douze, Jegou, "Billion-scale similarity search with GPUs" (IVF, PQ); Malkov, Yashunin, "Efficient and
robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs" (HNSW).
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


IndexSpec = Flat | Ivf | IvfPq | Hnsw
KINDS: dict[str, type[IndexSpec]] = {"flat": Flat, "ivf": Ivf, "ivf_pq": IvfPq, "hnsw": Hnsw}

#: The parameter that says how hard a search tries, by kind of index.
EFFORT = {"flat": "", "ivf": "nprobe", "ivf_pq": "nprobe", "hnsw": "ef_search"}
EFFORTS = {"flat": (0,), "ivf": (1, 2, 4, 8, 16, 32, 64), "ivf_pq": (4, 16, 64), "hnsw": (16, 32, 64, 128, 256, 512)}


def spec_from_kind(kind: str, metric: Metric = "l2") -> IndexSpec:
    """The index of a kind with its defaults. Raises UsageError."""
    if kind not in KINDS:
        raise UsageError(f"there is no index of kind '{kind}'", mend=f"use one of: {', '.join(KINDS)}")
    if metric not in ("l2", "inner_product"):
        raise UsageError(f"'{metric}' is not a metric", mend="use l2 or inner_product (of unit vectors: the cosine)")
    return KINDS[kind](metric=metric)


def factory_text(spec: IndexSpec, count: int, dimension: int) -> str:
    """The FAISS index_factory text of a spec for `count` vectors. Raises UsageError for sizes that do not fit."""
    if isinstance(spec, Flat):
        return "Flat"
    if isinstance(spec, Hnsw):
        return f"HNSW{spec.m},Flat"
    nlist = spec.nlist or max(1, min(count // 39, round(4 * math.sqrt(count))))  # FAISS wants 39 vectors a cell
    if isinstance(spec, Ivf):
        return f"IVF{nlist},Flat"
    m = spec.m or max(1, dimension // 4)
    if dimension % m:
        raise UsageError(f"product quantisation in {m} parts does not divide {dimension} dimensions")
    if count < 256:
        raise UsageError(f"product quantisation learns 256 codes from {count} vectors", mend="use --kind flat or hnsw")
    return f"IVF{nlist},PQ{m}"
