"""Arrays that a customer's function makes in the worker, and the ways in which it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.arrays import read_arrays
from toolkit.export.made_arrays import ARRAYS_FILE, export_arrays
from toolkit.models.source import source_from_path

CODE = """
import numpy as np

def items():
    return {"ids": np.arange(3), "vectors": np.eye(3)}

def doubled(items):
    with np.load(items + "/arrays.npz") as arrays:
        return {"ids": 2 * arrays["ids"]}

def nothing():
    return []

def broken():
    raise ValueError("no such table")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "data.py").write_text(CODE)
    return tmp_path / "data.py"


def test_arrays_and_what_needs_them(tmp_path: Path, code: Path) -> None:
    assert export_arrays(source_from_path(f"{code}:items"), tmp_path / "a") == {"ids": [3], "vectors": [3, 3]}
    export_arrays(source_from_path(f"{code}:doubled"), tmp_path / "b", folders={"items": tmp_path / "a"})
    np.testing.assert_array_equal(read_arrays(tmp_path / "b" / ARRAYS_FILE)["ids"], [0, 2, 4])


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("nothing", ExportFailed, "returned a list; expected a dict of arrays"),
        ("broken", ExportFailed, r"data\.py:15: broken\(\) raised ValueError: no such table"),
        ("item", ModelRefused, "has no function 'item'"),
    ],
)
def test_functions_that_fail(tmp_path: Path, code: Path, entry: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        export_arrays(source_from_path(f"{code}:{entry}"), tmp_path / "a")
