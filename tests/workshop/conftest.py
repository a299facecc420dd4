"""A small PoC that is built and measured once, for every view to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_poc import write_poc

from toolkit.workshop import measure
from toolkit.workshop.opened import Opened, read_opened


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    place = tmp_path_factory.mktemp("workshop")
    folder = write_poc(place / "pocs" / "tiny", duration_s=0.4)
    return replace(read_opened(folder, "", ()), root=place / "runs")


@pytest.fixture(scope="session")
def measured(tiny: Opened) -> Path:
    return measure(tiny)
