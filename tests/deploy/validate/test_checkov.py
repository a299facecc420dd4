"""checkov: each check that does not hold is a finding; accepted ones are named, with their reasons in a file."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from toolkit.deploy.rendering import templates_folder
from toolkit.deploy.validate.checkov import run_checkov

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\nspec: {containers: [{name: c, image: i:1}]}\n"
CHECK = {"check_id": "CKV_1", "check_name": "no root", "file_path": "/a.yaml", "resource": "Pod.b.a"}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "kubernetes" / "rendered").mkdir(parents=True)
    (tmp_path / "kubernetes" / "rendered" / "a.yaml").write_text(POD)
    (tmp_path / ".checkov.yaml").write_text("skip-check: [CKV_K8S_43]\n")
    return tmp_path


def answering(folder: Path, output: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in checkov's place that prints `output`."""
    program = folder / "checkov-of-a-test"
    (folder / "output").write_text(output)
    program.write_text(f"#!/bin/sh\ncat {folder / 'output'}\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("TOOLKIT_CHECKOV", str(program))


@pytest.mark.parametrize(
    ("output", "code", "found"),
    [
        (json.dumps({"results": {"failed_checks": [CHECK]}}), 1, ("failed", "CKV_1: no root")),
        (json.dumps({"results": {"failed_checks": []}}), 0, ("ok", "")),
        (json.dumps({"passed": 0, "failed": 0}), 0, ("ok", "")),
        ("", 2, ("failed", "it gave no report: exit code 2")),
        ("not JSON", 0, ("failed", "it gave no report: Expecting value: line 1 column 1 (char 0)")),
    ],
)
def test_a_report_becomes_findings(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, output: str, code: int, found: tuple[str, str]
) -> None:
    answering(bundle, output, code, monkeypatch)
    first, accepted = run_checkov(bundle)
    assert (first.outcome, first.reason) == found
    assert (accepted.outcome, accepted.reason.split()[0]) == ("skipped", "CKV_K8S_43")


def test_where_it_is_absent_it_says_how_to_get_it(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_CHECKOV", "no-such-program-of-ours")
    (finding,) = run_checkov(bundle)
    assert (finding.outcome, "pipx install checkov" in finding.reason) == ("skipped", True)


def test_a_bundle_without_objects_has_nothing_for_it(tmp_path: Path) -> None:
    assert list(run_checkov(tmp_path)) == []


@pytest.mark.skipif(
    shutil.which(os.environ.get("TOOLKIT_CHECKOV", "checkov")) is None, reason="checkov is not installed"
)
def test_the_real_one_finds_a_pod_that_is_not_hardened(bundle: Path) -> None:
    reasons = {f.reason.partition(":")[0] for f in run_checkov(bundle) if f.outcome == "failed"}
    assert {"CKV_K8S_20", "CKV_K8S_22", "CKV_K8S_28"} <= reasons
    assert "CKV_K8S_43" not in reasons


def test_every_accepted_check_has_a_reason_before_it() -> None:
    text = (templates_folder() / "checkov.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)) == {"skip-check"}
    for check in yaml.safe_load(text)["skip-check"]:
        assert re.search(rf"\n(  # [^\n]+\n)+  - {check}\n", text), check
