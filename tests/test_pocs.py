"""Every PoC of the repository runs, small, from its folder to its report; without a network where that can be had."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

POCS = Path(__file__).parents[1] / "pocs"
LOOPBACK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
HELD_OUT = {"vision": 540}


def without_network() -> list[str]:
    """The words before a command that cut it off from every network but the loopback, if this machine allows it."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return []
    return LOOPBACK if subprocess.run([*LOOPBACK, "true"], capture_output=True, check=False).returncode == 0 else []


@pytest.mark.parametrize(
    "name",
    [
        "vision",
        "recsys",
        pytest.param("vision-resnet50", marks=pytest.mark.slow),
    ],
)
def test_a_poc_runs_from_its_folder_to_its_report(name: str, tmp_path: Path) -> None:
    command = [*without_network(), sys.executable, "-m", "toolkit", "run", str(POCS / name), "--smoke", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    run = tmp_path / answer["run"]
    assert answer["decision"]["outcome"] in ("PASS", "UNDECIDED", "FAIL")
    parity = json.loads((run / "parity" / "live.json").read_text())
    assert parity["outcome"] == "PASS", parity["reason"]
    if name in HELD_OUT:
        task = parity["result"]["task"]
        assert (task["samples"], task["disagreements"]) == (HELD_OUT[name], 0)
        assert task["answers"] == task["reference"] > 0.95
    if name == "recsys":
        recall = json.loads((run / "recall" / "nearest_items" / "recall.json").read_text())
        assert recall["outcome"] == "PASS" and recall["k"] == 100
        assert parity["result"]["task"]["disagreements"] == 0
        for figure in json.loads((run / "report.json").read_text())["quality"]:
            values = figure["values"]
            assert values["by popularity"] < values["trained"] < values["best possible"], figure
    html = (run / "report.html").read_text()
    shown = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', shown)


def test_every_poc_folder_is_covered() -> None:
    names = {p.parent.name for p in POCS.glob("*/poc.yaml")}
    marked = test_a_poc_runs_from_its_folder_to_its_report.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert names == {getattr(p, "values", (p,))[0] for p in marked}
