"""start.py of a bundle, run as a container runs it, with a program that prints its arguments in place of Triton."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.deploy import DeploymentSpec, compose_bundle, write_bundle

PRINTING = (sys.executable, "-c", "import sys; print(*sys.argv[1:], sep='\\n')", "--strict-readiness=true")


@pytest.fixture
def bundle(make_spec: Callable[..., DeploymentSpec], tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    write_bundle(compose_bundle(make_spec()), folder)
    return folder


def start(bundle: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script, lock = bundle / "start" / "start.py", bundle / "bundle.lock.json"
    command = (sys.executable, script, lock, bundle / "model_repository", *PRINTING)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_it_becomes_the_server_with_the_changing_apis_closed_by_a_key_of_its_own(bundle: Path) -> None:
    once, again = start(bundle).stdout.splitlines(), start(bundle).stdout.splitlines()
    assert once[0] == "--strict-readiness=true"
    flags = [argument.partition("=")[0] for argument in once[1:]]
    assert flags == ["--http-restricted-api", "--grpc-restricted-protocol"]
    for argument in once[1:]:
        apis, _, key = argument.partition("=")[2].partition(":poc-admin-key=")
        assert set(apis.split(",")) == {"shared-memory", "model-repository", "trace", "logging"}
        assert len(key) == 64
    assert once[1:] != again[1:]


def test_a_given_key_opens_them(bundle: Path) -> None:
    assert start(bundle, TRITON_ADMIN_KEY="k").stdout.splitlines()[1].endswith(":poc-admin-key=k")


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("digits/1/model.onnx", "other weights", "is not the file that was measured"),
        ("digits/1/model.onnx", None, "is missing"),
        ("digits/1/model.py", "import os", "was not there"),
        ("stranger/config.pbtxt", "", "was not there"),
        ("digits/2/.keep", "", ""),
        (".snapshot/kept", "", ""),
    ],
)
def test_only_the_measured_files_are_served(bundle: Path, path: str, text: str | None, complaint: str) -> None:
    file = bundle / "model_repository" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink() if text is None else file.write_text(text, encoding="utf-8")
    done = start(bundle)
    assert (done.returncode, bool(done.stdout)) == ((1, False) if complaint else (0, True))
    assert complaint in done.stderr
    if complaint:
        assert path in done.stderr
