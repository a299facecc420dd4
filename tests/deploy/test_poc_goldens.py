"""The bundles of the three guided PoCs, as texts that are read in diffs. `UPDATE_GOLDENS=1` rewrites them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from golden_run import golden_spec

from toolkit.deploy import validate_folder, write_bundle
from toolkit.records import files_below
from toolkit.workflow.deploy import BUNDLES

POCS = Path(__file__).parents[2] / "pocs"
#: Of each target, what is generated and small. The rest is a copy of a template, or rendered from what stands here.
KEPT = {
    "compose": ("README.md", "bundle.lock.json", "compose/docker-compose.yaml", "observability/prometheus/rules.yml"),
    "kubernetes": ("README.md", "kubernetes/rendered/custom.yaml", "kubernetes/rendered/keda.yaml"),
}


@pytest.mark.parametrize("target", KEPT)
@pytest.mark.parametrize("poc", ["vision", "recsys", "llm"])
def test_the_bundle_of_a_poc_is_its_golden_and_passes_every_validator(
    poc: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is named as README.md does, relative to where somebody stands."""
    monkeypatch.chdir(tmp_path)
    expected, output = POCS / poc / "expected", Path("bundle")
    write_bundle(BUNDLES[target](golden_spec(expected / "deployment", target)), output)
    findings = validate_folder(output)
    assert [f for f in findings if f.outcome == "failed"] == []
    assert all(f.reason for f in findings if f.outcome == "skipped")
    golden = expected / target
    if os.environ.get("UPDATE_GOLDENS"):
        shutil.rmtree(golden, ignore_errors=True)
        for name in KEPT[target]:
            (golden / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(output / name, golden / name)
    assert sorted(files_below(golden)) == sorted(KEPT[target])
    for name in KEPT[target]:
        assert (output / name).read_text() == (golden / name).read_text(), name
