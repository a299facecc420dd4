"""A cell that runs before the ones above it, in a real kernel: a plain message, and what follows goes on."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def test_a_name_that_is_not_there_yet_says_which_cells_come_first() -> None:
    sources = ("from toolkit import workshop", "workshop.curve(run)", "1 / 0", "print('on')")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    early, other, last = (cell.outputs[-1] for cell in notebook.cells[1:])
    assert early.output_type == "error" and len(early.traceback) == 2
    assert "'run' is not there" in early.traceback[0] and "mend: Run > Run All Above" in early.traceback[1]
    assert other.ename == "ZeroDivisionError" and last.text == "on\n"


def test_run_all_stops_at_it() -> None:
    sources = ("from toolkit import workshop", "workshop.curve(run)", "print('on')")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    with pytest.raises(CellExecutionError, match="'run' is not there"):
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    assert not notebook.cells[2].outputs
