"""Every guided notebook runs from its first cell to its last in a fresh kernel, at smoke sizes, without a network.

Cells tagged `nbval-check-output` answer word for word as they were saved; the others run without an error. What a
notebook leaves of its PoC is a run like the command line's, and is checked as one.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_lab import ROOT, environment_of
from poc_checks import IN_NOTEBOOKS, check_smoke_run, without_network
from tiny_poc import save_model

from toolkit.workflow.runs import run_from_text

pytestmark = pytest.mark.timeout(900)
NAMES = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, workplace: Path) -> None:
    """In the order of a workshop, so that the last one finds what the others decided."""
    run_in_kernel(workplace, name)
    _, _, poc = Path(name).stem.partition("-")
    if poc in IN_NOTEBOOKS:
        check_smoke_run(poc, run_from_text(f"latest:{poc}", workplace / "runs"))


@pytest.mark.slow
def test_a_notebook_for_a_new_customer_runs_too(workplace: Path) -> None:
    save_model(workplace / "theirs.onnx")
    words = ["new", "acme", "--family", "vision", "--model", "theirs.onnx", "--notebook"]
    done = run(workplace, "toolkit", *words)
    assert done.returncode == 0 and "notebooks/acme.ipynb" in done.stdout, done.stderr
    run_in_kernel(workplace, "acme.ipynb")
    again = run(workplace, "toolkit", "new", "acme", *words[2:])
    assert again.returncode == 2 and "acme.ipynb exists already" in again.stderr


def run_in_kernel(workplace: Path, name: str) -> None:
    pytest.importorskip("nbval", reason="the notebooks need the `test` extra")
    done = run(workplace, "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", f"notebooks/{name}")
    assert done.returncode == 0, done.stdout


def run(workplace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*without_network(), sys.executable, "-m", *words]
    environment = environment_of(workplace)
    return subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, check=False)
