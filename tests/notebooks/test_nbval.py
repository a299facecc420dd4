"""The guided notebooks run under nbval; the longest is in a file of its own, so that another worker takes it."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_run import NAMES, check_notebook, run, run_in_kernel
from tiny_poc import save_model

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "20-recsys.ipynb"])
def test_a_notebook_runs_from_its_first_cell_to_its_last(name: str, workplace: Path) -> None:
    """In the order of a workshop, so that the last one finds what the others decided."""
    check_notebook(workplace, name)


@pytest.mark.slow
def test_a_notebook_for_a_new_customer_runs_too(workplace: Path) -> None:
    save_model(workplace / "theirs.onnx")
    words = ["new", "acme", "--family", "vision", "--model", "theirs.onnx", "--notebook"]
    done = run(workplace, "toolkit", *words)
    assert done.returncode == 0 and "notebooks/acme.ipynb" in done.stdout, done.stderr
    run_in_kernel(workplace, "acme.ipynb")
    again = run(workplace, "toolkit", "new", "acme", *words[2:])
    assert again.returncode == 2 and "acme.ipynb exists already" in again.stderr
