"""A checkout to write in for each file of tests, and a JupyterLab upon it; what they leave running fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_lab import jupyter_lab, make_workplace
from tiny_poc import processes_of, wait_until


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = make_workplace(tmp_path_factory.mktemp("workplace") / "checkout")
    yield place
    assert wait_until(lambda: not processes_of(place), 15), processes_of(place)


@pytest.fixture(scope="module")
def lab(workplace: Path) -> Iterator[str]:
    pytest.importorskip("jupyterlab", reason="the notebooks need the `workshop` extra")
    with jupyter_lab(workplace) as address:
        yield address


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: TOOLKIT_SCREENSHOTS, or with pytest's temporary files."""
    kept = os.environ.get("TOOLKIT_SCREENSHOTS")
    return Path(kept).resolve() if kept else tmp_path_factory.mktemp("screenshots")
