"""A notebook as nbval runs it: from its first cell to its last in a fresh kernel, at smoke sizes, without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_lab import ROOT, environment_of
from poc_checks import IN_NOTEBOOKS, check_smoke_run, without_network

from toolkit.workflow.runs import run_from_text

NAMES = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


def check_notebook(workplace: Path, name: str) -> None:
    """Cells tagged `nbval-check-output` answer word for word as they were saved; the others run without an error.

    What a notebook leaves of its PoC is a run like the command line's, and is checked as one.
    """
    run_in_kernel(workplace, name)
    _, _, poc = Path(name).stem.partition("-")
    if poc in IN_NOTEBOOKS:
        check_smoke_run(poc, run_from_text(f"latest:{poc}", workplace / "runs"))


def run_in_kernel(workplace: Path, name: str) -> None:
    """Run a notebook under nbval; what it says is the failure."""
    pytest.importorskip("nbval", reason="the notebooks need the `test` extra")
    done = run(workplace, "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", f"notebooks/{name}")
    assert done.returncode == 0, done.stdout


def run(workplace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m` in the workplace, cut off from every network."""
    command = [*without_network(), sys.executable, "-m", *words]
    environment = environment_of(workplace)
    return subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, check=False)
