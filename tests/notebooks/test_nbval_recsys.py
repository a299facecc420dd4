"""The recommender's notebook runs under nbval, beside the others (test_nbval.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from notebook_run import check_notebook


@pytest.mark.timeout(900)
def test_a_notebook_runs_from_its_first_cell_to_its_last(workplace: Path) -> None:
    check_notebook(workplace, "20-recsys.ipynb")
