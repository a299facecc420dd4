"""Every guided notebook runs from its first cell to its last in a fresh kernel, at smoke sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb")))
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str) -> None:
    pytest.importorskip("nbval", reason="the notebooks need the `test` extra")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", f"notebooks/{name}"]
    fast = os.environ | {"POC_FAST": "1"}
    done = subprocess.run(words, cwd=ROOT, env=fast, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
