"""Every guided notebook runs from its first cell to its last in a fresh kernel, at smoke sizes.

Cells tagged `nbval-check-output` answer word for word as they were saved; the others run without an error. The notebook
that a browser runs whole is run here only where there is no browser: else by test_browser.py, on what was measured.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyter_lab import NAMES, WHOLE, run_in, run_in_kernel
from tiny_poc import save_model

from toolkit.report.pdf import browser_here

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", [n for n in NAMES if n != WHOLE or browser_here() is None])
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, workplace: Path) -> None:
    """In the order of a workshop, so that the last one finds what the others decided."""
    run_in_kernel(workplace, name)


@pytest.mark.slow
def test_a_notebook_for_a_new_customer_runs_too(workplace: Path) -> None:
    save_model(workplace / "theirs.onnx")
    words = ["new", "acme", "--family", "vision", "--model", "theirs.onnx", "--notebook"]
    done = run_in(workplace, "toolkit", *words)
    assert done.returncode == 0 and "notebooks/acme.ipynb" in done.stdout, done.stderr
    run_in_kernel(workplace, "acme.ipynb")
    again = run_in(workplace, "toolkit", "new", "acme", *words[2:])
    assert again.returncode == 2 and "acme.ipynb exists already" in again.stderr
