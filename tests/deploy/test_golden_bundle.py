"""The whole bundle of a small deployment, as text. `UPDATE_GOLDENS=1 pytest tests/deploy` rewrites the goldens."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from toolkit.deploy import DeploymentSpec, compose_bundle, validate_folder, write_bundle
from toolkit.records import files_below

GOLDEN = Path(__file__).parent / "goldens" / "compose"

#: Copied from deploy_templates as they are, so goldens of them would only be second copies.
VERBATIM = ("smoke/smoke.py", "start/start.py")


def test_a_bundle_equals_its_golden_and_passes_every_validator(
    make_spec: Callable[..., DeploymentSpec], tmp_path: Path
) -> None:
    output = tmp_path / "bundle"
    write_bundle(compose_bundle(make_spec()), output)
    findings = validate_folder(output)
    for path in VERBATIM:
        (output / path).unlink()
    (output / "start").rmdir()
    if os.environ.get("UPDATE_GOLDENS"):
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(output, GOLDEN)
    assert files_below(output) == files_below(GOLDEN)
    for path in files_below(GOLDEN):
        assert (output / path).read_bytes() == (GOLDEN / path).read_bytes(), path
    assert [f for f in findings if f.outcome == "failed"] == []
    assert all(f.reason for f in findings if f.outcome == "skipped")
    assert {"YAML", "JSON", "ModelConfig protobuf", "known metrics"} <= {f.tool for f in findings if f.outcome == "ok"}
