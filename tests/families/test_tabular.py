"""A scikit-learn pipeline with strings, from its file to a decision by two commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from model_zoo import MODELS

from toolkit.serve.embedded import problems


def toolkit(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toolkit", *arguments, "--json"]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=240)


def test_a_pipeline_with_strings_runs_as_it_is(tmp_path: Path) -> None:
    if found := problems():
        pytest.skip(str(found[0]))
    (brought,) = (b for b in MODELS if b.name == "sklearn-strings")
    model = brought.make(tmp_path / "in", 0)
    made = toolkit("new", "credit", "--family", "tabular", "--model", model, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    run = toolkit("run", "pocs/credit", "--smoke", "--no-publish", cwd=tmp_path)
    assert run.returncode in (0, 1), run.stderr
    folder = tmp_path / json.loads(run.stdout)["run"]
    live = json.loads((folder / "parity" / "live.json").read_text())
    assert live["result"]["passed"]
    assert live["outcome"] == "PASS", live["reason"]
