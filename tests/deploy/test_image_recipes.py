"""The recipes of images that the toolkit builds, as checkov judges them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from toolkit.deploy.rendering import templates_folder

#: The base image is an argument: whoever builds names it, with its tag.
JUSTIFIED = {"CKV_DOCKER_7"}


@pytest.mark.parametrize("recipe", ["cpu-image", "prometheus-image"])
def test_checkov_finds_nothing_that_is_not_justified(recipe: str) -> None:
    program = shutil.which(os.environ.get("TOOLKIT_CHECKOV", "checkov"))
    if program is None:
        pytest.skip("checkov is not installed: pipx install checkov, or name it by TOOLKIT_CHECKOV")
    options = ("--framework", "dockerfile", "--skip-download", "--compact", "--quiet", "--output", "json")
    command = (program, "--directory", str(templates_folder() / recipe), *options)
    report = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert report["summary"]["passed"] > 20
    assert {check["check_id"] for check in report["results"]["failed_checks"]} == JUSTIFIED
