"""Every guided notebook runs from its first cell to its last in a fresh kernel, at smoke sizes.

Cells tagged `nbval-check-output` answer word for word as they were saved; the others run without an error.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_lab import ROOT, environment_of

NAMES = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, workplace: Path) -> None:
    """In the order of a workshop, so that the last one finds what the others decided."""
    pytest.importorskip("nbval", reason="the notebooks need the `test` extra")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", f"notebooks/{name}"]
    done = subprocess.run(
        words, cwd=workplace, env=environment_of(workplace), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
