"""The Kubernetes bundle: what we render is what kubectl renders, and what the schemas of Kubernetes accept."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.deploy import DeploymentSpec, write_bundle
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.kubernetes.kustomize import Identity, identity
from toolkit.deploy.kubernetes.overlays import OVERLAYS

RENDERED = ("base", "custom", *(overlay.name for overlay in OVERLAYS))


@pytest.fixture(scope="module", params=[False, True], ids=["cpu-run", "gpu-run"])
def written(
    request: pytest.FixtureRequest,
    make_spec_of: Callable[..., DeploymentSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("kubernetes")
    write_bundle(
        kubernetes_bundle(make_spec_of(folder / "repository", target="kubernetes", gpu=request.param)),
        folder / "bundle",
    )
    return folder / "bundle" / "kubernetes"


def by_identity(text: str) -> dict[Identity, dict[str, Any]]:
    return {identity(item): item for item in yaml.safe_load_all(text)}


def kubectl_version() -> tuple[int, ...]:
    if shutil.which("kubectl") is None:
        return ()
    done = subprocess.run(["kubectl", "version", "--client"], capture_output=True, text=True, check=False)
    found = re.search(r"v(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else ()


@pytest.mark.parametrize("overlay", RENDERED)
def test_kubectl_renders_the_same(written: Path, overlay: str) -> None:
    if kubectl_version() < (1, 27):
        pytest.skip("kubectl 1.27 or newer is not here")
    folder = written / ("base" if overlay == "base" else f"overlays/{overlay}")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = (written / "rendered" / f"{overlay}.yaml").read_text(encoding="utf-8")
    assert by_identity(ours) == by_identity(done.stdout)


def objects(written: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((written / "rendered").iterdir()):
        yield from ((path.stem, item) for item in yaml.safe_load_all(path.read_text(encoding="utf-8")))
