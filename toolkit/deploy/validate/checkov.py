"""What checkov says about the objects of a written bundle: root, capabilities, writable roots, limits.

In: a bundle. Out: one finding for each check that does not hold, or one that all do. The checks that the bundle does
not want to pass stand in its `.checkov.yaml` with their reasons, and are shown as skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from toolkit.deploy.validate.finding import Finding
from toolkit.deploy.validate.tools import run

_TOOL, _FOLDER, _ACCEPTED = "checkov", "kubernetes/rendered", ".checkov.yaml"


def run_checkov(bundle: Path) -> Iterator[Finding]:
    """The findings about kubernetes/rendered. checkov lives in an environment of its own: TOOLKIT_CHECKOV names it."""
    if not (bundle / _FOLDER).is_dir():
        return
    program = shutil.which(os.environ.get("TOOLKIT_CHECKOV", "checkov"))
    if program is None:
        absent = "checkov is not installed: pipx install checkov, or name it by TOOLKIT_CHECKOV"
        yield Finding(tool=_TOOL, file=_FOLDER, outcome="skipped", reason=absent)
        return
    try:
        yield from _findings(_report(program, bundle))
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as err:
        yield Finding(tool=_TOOL, file=_FOLDER, outcome="failed", reason=f"it gave no report: {err}")
    if accepted := _accepted(bundle):
        reason = f"{', '.join(accepted)} by {_ACCEPTED}, where the reasons are"
        yield Finding(tool=_TOOL, file=_FOLDER, outcome="skipped", reason=reason)


def _report(program: str, bundle: Path) -> Any:
    options = ("--framework", "kubernetes", "--skip-download", "--compact", "--quiet", "--output", "json")
    accepted = ("--config-file", str(bundle / _ACCEPTED)) if (bundle / _ACCEPTED).is_file() else ()
    done = run((program, "--directory", _FOLDER, *options, *accepted), bundle)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise ValueError(done.stderr.strip() or f"exit code {done.returncode}")
    return json.loads(done.stdout)


def _findings(report: Any) -> Iterator[Finding]:
    failed = report.get("results", {}).get("failed_checks", ())
    for check in failed:
        yield Finding(
            tool=_TOOL,
            file=f"{_FOLDER}{check['file_path']}",
            document=check["resource"],
            outcome="failed",
            reason=f"{check['check_id']}: {check['check_name']}",
        )
    if not failed:
        yield Finding(tool=_TOOL, file=_FOLDER, outcome="ok")


def _accepted(bundle: Path) -> tuple[str, ...]:
    file = bundle / _ACCEPTED
    return tuple(yaml.safe_load(file.read_text(encoding="utf-8"))["skip-check"]) if file.is_file() else ()
