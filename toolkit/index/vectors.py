"""Vectors from files: npy, npz, fvecs, bvecs, ivecs, parquet and ann-benchmarks' HDF5; and seeded ones with structure.

Out: float32 [count, dimension] in memory, C order, every number finite. This module does not know what they mean.
Sources: corpus-texmex.irisa.fr (fvecs and its relatives), github.com/erikbern/ann-benchmarks (HDF5 layout).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ModelRefused, UsageError
from toolkit.extras import require

Floats = NDArray[np.float32]

#: Names of a parquet file's column and an npz file's array that hold vectors.
VECTOR_NAMES = ("vector", "vectors", "embedding", "embeddings", "emb")
ID_NAMES = ("id", "ids", "item_id")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """`values` [count, dimension]; `ids` where the file gives them; `queries` where the file holds some of its own."""

    values: Floats
    ids: NDArray[np.int64] | None = None
    queries: Floats | None = None


def read_vectors(path: Path) -> Vectors:
    """Read vectors by the file's suffix.

    Raises UsageError for an unknown suffix or an absent file, ModelRefused for a file that holds no usable vectors.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: '{path.suffix}' is no vector format", mend=f"use one of: {', '.join(_READERS)}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    try:
        found = reader(path)
    except (OSError, ValueError, KeyError, EOFError) as err:
        raise ModelRefused(f"{path} does not hold vectors: {err}") from err
    queries = None if found.queries is None else checked_vectors(found.queries, f"{path}: queries")
    return Vectors(values=checked_vectors(found.values, str(path)), ids=found.ids, queries=queries)


def checked_vectors(values: Any, where: str) -> Floats:
    """`values` as float32 [count, dimension]. Raises ModelRefused for another shape, none, or a NaN; it says where."""
    array = np.asarray(values)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise ModelRefused(f"{where}: {array.dtype} of shape {list(array.shape)}; expected numbers [count, dimension]")
    floats = np.ascontiguousarray(array, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(floats).all(axis=1))
    if len(bad):
        raise ModelRefused(f"{where}: row {bad[0]} is not finite ({len(bad)} rows are not)", mend="remove these rows")
    return floats


def checked_ids(ids: NDArray[np.int64] | None, count: int, where: str) -> NDArray[np.int64]:
    """One id per vector, 0, 1, 2 ... without any. Raises ModelRefused for another number, or one that comes twice."""
    if ids is None:
        return np.arange(count, dtype=np.int64)
    if len(ids) != count:
        raise ModelRefused(f"{where}: {len(ids)} ids for {count} vectors")
    unique, times = np.unique(ids, return_counts=True)
    if len(unique) != count:
        first = unique[times > 1][0]
        raise ModelRefused(
            f"{where}: id {first} comes {times.max()} times ({count - len(unique)} duplicates in all)",
            mend="keep one vector per id",
        )
    return np.ascontiguousarray(ids, dtype=np.int64)


def clustered_vectors(
    count: int, dimension: int, *, queries: int, intrinsic: int = 12, clusters: int = 1000, seed: int = 0
) -> Vectors:
    """Seeded vectors in clusters on a plane of `intrinsic` dimensions with a little noise, and queries held out.

    Independent Gaussian noise says nothing about an index: in 128 dimensions all its distances are nearly equal.
    """
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, intrinsic))
    plane = generator.standard_normal((intrinsic, dimension)) / np.sqrt(intrinsic)
    total = count + queries
    inner = centres[generator.integers(0, clusters, total)] + 0.3 * generator.standard_normal((total, intrinsic))
    values = (inner @ plane + 0.02 * generator.standard_normal((total, dimension))).astype(np.float32)
    return Vectors(values=values[:count], queries=values[count:])


def hold_out(vectors: Vectors, count: int, seed: int = 0) -> Vectors:
    """`vectors` with `count` of them, drawn by `seed`, taken out as queries. Raises UsageError for too few vectors."""
    if count >= len(vectors.values):
        raise UsageError(f"{count} queries cannot be held out of {len(vectors.values)} vectors", mend="--queries FILE")
    order = np.random.default_rng(seed).permutation(len(vectors.values))
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    ids = None if vectors.ids is None else vectors.ids[kept]
    return Vectors(values=vectors.values[kept], ids=ids, queries=vectors.values[held])


def _from_npy(path: Path) -> Vectors:
    return Vectors(values=np.load(path, allow_pickle=False))


def _from_npz(path: Path) -> Vectors:
    with np.load(path, allow_pickle=False) as file:
        return _named({name: file[name] for name in file.files})


def _from_texmex(kind: type[Any]) -> Callable[[Path], Vectors]:
    """fvecs, bvecs, ivecs: each row is its dimension as int32, then that many values of `kind`, little endian."""

    def read(path: Path) -> Vectors:
        raw = np.fromfile(path, dtype=np.uint8)
        if len(raw) < 4:
            raise ValueError("the file is empty")
        dimension, size = int(raw[:4].view("<i4")[0]), np.dtype(kind).itemsize
        row = 4 + dimension * size
        if dimension < 1 or len(raw) % row:
            raise ValueError(f"{len(raw)} bytes are no whole rows of {dimension} dimensions")
        rows = raw.reshape(-1, row)
        if (np.ascontiguousarray(rows[:, :4]).view("<i4") != dimension).any():
            raise ValueError("the rows differ in their dimension")
        return Vectors(values=np.ascontiguousarray(rows[:, 4:]).view(np.dtype(kind).newbyteorder("<")))

    return read


def _from_parquet(path: Path) -> Vectors:
    table = require("pyarrow.parquet").read_table(path)
    columns = {name: table.column(name) for name in (*VECTOR_NAMES, *ID_NAMES) if name in table.column_names}
    return _named(
        {
            n: np.stack(c.to_numpy(zero_copy_only=False)) if n in VECTOR_NAMES else c.to_numpy()
            for n, c in columns.items()
        }
    )


def _from_hdf5(path: Path) -> Vectors:
    with require("h5py").File(path) as file:
        return Vectors(values=file["train"][()], queries=file["test"][()])


def _named(arrays: dict[str, Any]) -> Vectors:
    """Vectors and ids among arrays by name. Raises KeyError without vectors."""
    found = next((n for n in VECTOR_NAMES if n in arrays), None)
    if found is None:
        raise KeyError(f"no array is named {' or '.join(VECTOR_NAMES)}")
    ids = next((arrays[n] for n in ID_NAMES if n in arrays), None)
    return Vectors(values=arrays[found], ids=None if ids is None else np.asarray(ids, dtype=np.int64))


_READERS: dict[str, Callable[[Path], Vectors]] = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".fvecs": _from_texmex(np.float32),
    ".bvecs": _from_texmex(np.uint8),
    ".ivecs": _from_texmex(np.int32),
    ".parquet": _from_parquet,
    ".hdf5": _from_hdf5,
}
