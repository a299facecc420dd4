"""Vectors from files of every format, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ModelRefused, UsageError
from toolkit.index.vectors import checked_ids, clustered_vectors, hold_out, read_vectors

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def texmex(path: Path, values: np.ndarray, kind: str) -> None:
    path.write_bytes(b"".join(np.int32(len(row)).tobytes() + row.astype(kind).tobytes() for row in values))


def write(path: Path) -> None:
    if path.suffix == ".npy":
        np.save(path, VALUES.astype(np.float64))
    elif path.suffix == ".npz":
        np.savez(path, embeddings=VALUES, item_id=[7, 8, 9, 11])
    else:
        texmex(path, VALUES, {".fvecs": "<f4", ".bvecs": "u1", ".ivecs": "<i4"}[path.suffix])


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".fvecs", ".bvecs", ".ivecs"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    write(path := tmp_path / f"v{suffix}")
    found = read_vectors(path)
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.ids is not None) == (suffix == ".npz")


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"id": [3, 1, 2, 0], "embedding": [row.tolist() for row in VALUES], "title": list("abcd")})
    parquet.write_table(table, tmp_path / "v.parquet")
    found = read_vectors(tmp_path / "v.parquet")
    np.testing.assert_array_equal(found.values, VALUES)
    assert found.ids is not None and found.ids.tolist() == [3, 1, 2, 0]


def test_ann_benchmarks_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="HDF5 needs h5py")
    with h5py.File(tmp_path / "v.hdf5", "w") as file:
        file["train"], file["test"] = VALUES, VALUES[:2]
    found = read_vectors(tmp_path / "v.hdf5")
    assert found.queries is not None and found.queries.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.npy", b"not an array", "does not hold vectors"),
        ("v.npz", b"PK", "does not hold vectors"),
        ("v.fvecs", b"", "the file is empty"),
        ("v.fvecs", b"\x03\x00\x00\x00abc", "no whole rows of 3 dimensions"),
        ("v.fvecs", np.int32([1, 0, 2, 0]).tobytes(), "differ in their dimension"),
        ("v.fvecs", np.int32(-5).tobytes(), "no whole rows of -5 dimensions"),
        ("v.csv", b"1,2", "is no vector format"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((ModelRefused, UsageError), match=message):
        read_vectors(tmp_path / name)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1.0, np.nan], [0, 0]]), "row 0 is not finite"),
        (np.zeros((3, 0)), r"shape \[3, 0\]"),
        (np.zeros(3), r"shape \[3\]"),
        (np.array([["a"]]), "expected numbers"),
    ],
)
def test_arrays_that_are_no_vectors(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "v.npy", array)
    with pytest.raises(ModelRefused, match=message):
        read_vectors(tmp_path / "v.npy")


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        read_vectors(tmp_path / "v.npy")


def test_ids() -> None:
    assert checked_ids(None, 3, "x").tolist() == [0, 1, 2]
    with pytest.raises(ModelRefused, match="2 ids for 3 vectors"):
        checked_ids(np.array([1, 2]), 3, "x")
    with pytest.raises(ModelRefused, match=r"id 2 comes 2 times \(1 duplicates"):
        checked_ids(np.array([1, 2, 2]), 3, "x")


def test_held_out_queries_are_not_in_the_catalogue() -> None:
    held = hold_out(clustered_vectors(100, 4, queries=0), 10)
    assert held.queries is not None and held.values.shape == (90, 4)
    together = np.concatenate((held.values, held.queries))
    assert len(np.unique(together, axis=0)) == 100
    with pytest.raises(UsageError, match="cannot be held out"):
        hold_out(held, 90)


def test_clusters_have_few_dimensions_of_their_own() -> None:
    values = clustered_vectors(2000, 64, queries=0, intrinsic=5).values
    strength = np.linalg.svd(values - values.mean(axis=0), compute_uv=False) ** 2
    assert strength[:5].sum() / strength.sum() > 0.98
