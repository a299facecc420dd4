"""Programs: run where they are, skipped with a reason where they are not, and heard when they are not content."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.deploy import DeploymentSpec, compose_bundle, validate_folder, write_bundle
from toolkit.deploy.validate.tools import answers, run_tools


@pytest.fixture
def bundle(make_spec: Callable[..., DeploymentSpec], tmp_path: Path) -> Path:
    write_bundle(compose_bundle(make_spec()), tmp_path / "bundle")
    return tmp_path / "bundle"


def outcomes(bundle: Path) -> dict[str, str]:
    return {f.tool: f.outcome for f in run_tools(bundle)}


def test_nothing_fails_and_what_is_absent_says_why(bundle: Path) -> None:
    findings = list(run_tools(bundle))
    assert [f for f in findings if f.outcome == "failed"] == []
    assert all(f.reason for f in findings if f.outcome == "skipped")
    assert {f.tool for f in findings} == {
        "compose schema",
        "docker compose config",
        "docker-compose config",
        "promtool check config",
        "promtool check rules",
        "promtool test rules",
    }


def test_a_program_that_is_not_content_is_heard(bundle: Path) -> None:
    damages = (
        ("compose/docker-compose.yaml", "services:", "service:"),
        ("observability/prometheus/prometheus.yml", "job_name", "job"),
        ("observability/prometheus/rules.yml", "expr:", "exp:"),
        ("observability/prometheus/rules_test.yml", "eval_time", "eval"),
    )
    for file, old, new in damages:
        text = (bundle / file).read_text()
        assert old in text
        (bundle / file).write_text(text.replace(old, new))
    assert set(outcomes(bundle).values()) <= {"failed", "skipped"}
    assert outcomes(bundle)["compose schema"] == "failed"


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_terraform_that_is_not_formatted_fails(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text("locals {\na   =  1\n}\n")
    assert outcomes(tmp_path) == {"terraform fmt": "failed"}


def test_a_program_that_is_absent_does_not_answer() -> None:
    assert not answers(("no-such-program-of-ours", "version"))
    assert not answers(("false",))


def test_a_file_that_is_no_text_is_found(bundle: Path) -> None:
    (bundle / "README.md").write_bytes(b"\xff\xfe")
    assert ("UTF-8", "README.md") in {(f.tool, f.file) for f in validate_folder(bundle) if f.outcome == "failed"}
