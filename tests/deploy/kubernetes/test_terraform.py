"""Terraform: parsed by python-hcl2 and formatted; its nodes are those that the overlays select."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolkit.deploy import DeploymentSpec
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.kubernetes.terraform import CLOUDS, terraform_files

hcl2 = pytest.importorskip("hcl2")
Make = Callable[..., DeploymentSpec]

#: Kinds of resources, and where the type of machine or accelerator stands that the overlay selects by.
SELECTED_BY = {"aws": "instance_type", "gcp": "accelerator"}


def parsed(text: str) -> dict[str, Any]:
    return dict(hcl2.loads(text))


def resource(configuration: dict[str, Any]) -> dict[str, Any]:
    ((_, named),) = configuration["resource"][0].items()
    ((_, body),) = named.items()
    return dict(body)


def defaults(configuration: dict[str, Any]) -> dict[str, Any]:
    pairs = (pair for variable in configuration["variable"] for pair in variable.items())
    return {name.strip('"'): body.get("default") for name, body in pairs}


@pytest.fixture
def files(make_spec: Make) -> dict[str, str]:
    return {path: str(text) for path, text in terraform_files(make_spec(gpu=True), 5 * 2**30).items()}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_configuration_pins_its_provider_and_holds_no_credential(files: dict[str, str], cloud: str) -> None:
    text = files[f"terraform/{cloud}/main.tf"]
    configuration = parsed(text)
    (providers,) = configuration["terraform"][0]["required_providers"]
    versions = [p["version"] for p in providers.values() if isinstance(p, dict)]
    assert len(versions) == 1
    assert re.fullmatch(r'"~> \d+\.\d+"', versions[0])
    assert not re.search(r"access_key|secret|password|token|credentials\s*=", text)
    assert len(configuration["resource"]) == 1


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_configuration_is_formatted(files: dict[str, str], cloud: str, tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(files[f"terraform/{cloud}/main.tf"])
    done = subprocess.run(("terraform", "fmt", "-check", "-diff"), cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_nodes_are_those_that_the_overlay_selects_and_tolerates(make_spec: Make, cloud: str) -> None:
    files = kubernetes_bundle(make_spec(target="kubernetes", gpu=True)).files
    overlay = files.get(f"kubernetes/components/{cloud}/deployment.yaml")
    if overlay is None:
        pytest.skip(f"there is no overlay {cloud}")
    pod = yaml.safe_load(overlay)["spec"]["template"]["spec"]
    configuration = parsed(str(files[f"terraform/{cloud}/main.tf"]))
    if cloud in SELECTED_BY:
        assert [f'"{value}"' for value in pod["nodeSelector"].values()] == [defaults(configuration)[SELECTED_BY[cloud]]]
    tolerated = {(t["key"], t["effect"]) for t in pod["tolerations"]}
    assert taints(cloud, resource(configuration)) <= tolerated


def taints(cloud: str, body: dict[str, Any]) -> set[tuple[str, str]]:
    """Keys and effects, in Kubernetes' words. GKE sets its own."""
    if cloud == "aws":
        effects = {"NO_SCHEDULE": "NoSchedule"}
        return {(t["key"].strip('"'), effects[t["effect"].strip('"')]) for t in body["taint"]}
    if cloud == "azure":
        return {(t.strip('"').partition("=")[0], t.strip('"').rpartition(":")[2]) for t in body["node_taints"]}
    return {("nvidia.com/gpu", "NoSchedule")}


def test_only_a_deployment_on_a_gpu_brings_nodes(make_spec: Make) -> None:
    files = kubernetes_bundle(make_spec(target="kubernetes")).files
    assert not any(path.startswith("terraform/") for path in files)


def test_the_disk_grows_with_the_models_and_names_stay_short(make_spec: Make) -> None:
    spec = make_spec(gpu=True, name="x" * 200, run_id="Lauf 7 – Größe")
    small, large = (terraform_files(spec, size)["terraform/gcp/main.tf"] for size in (0, 400 * 2**30))
    disks = [int(defaults(parsed(str(text)))["disk_gib"]) for text in (small, large)]
    assert disks[1] - disks[0] == 1200
    body = resource(parsed(str(small)))
    assert len(body["name"].strip('"')) <= 40  # the limit of GKE
    labels = body["node_config"][0]["resource_labels"].values()
    assert all(re.fullmatch(r'"[a-z0-9_-]{1,63}"', value) for value in labels)
