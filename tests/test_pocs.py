"""Every PoC of the repository runs, small, from its folder to its report; without a network where that can be had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from poc_checks import IN_NOTEBOOKS, check_smoke_run, without_network

POCS = Path(__file__).parents[1] / "pocs"


@pytest.mark.parametrize("name", ["text", pytest.param("vision-resnet50", marks=pytest.mark.slow)])
def test_a_poc_runs_from_its_folder_to_its_report(name: str, tmp_path: Path) -> None:
    command = [*without_network(), sys.executable, "-m", "toolkit", "run", str(POCS / name), "--smoke", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    check_smoke_run(name, tmp_path / json.loads(done.stdout)["run"])


def test_every_poc_folder_is_covered() -> None:
    names = {p.parent.name for p in POCS.glob("*/poc.yaml")}
    marked = test_a_poc_runs_from_its_folder_to_its_report.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert names == {getattr(p, "values", (p,))[0] for p in marked} | IN_NOTEBOOKS
