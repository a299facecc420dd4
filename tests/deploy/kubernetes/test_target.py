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


def pods(written: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for overlay, item in objects(written):
        if item["kind"] == "Deployment":
            yield overlay, item["spec"]["template"]["spec"]
        elif item["kind"] == "ServingRuntime":
            yield overlay, item["spec"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def test_every_container_is_hardened(written: Path) -> None:
    for overlay, pod in pods(written):
        for container in containers(pod):
            where = f"{overlay}: {container['name']}"
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, where
            assert security["readOnlyRootFilesystem"] is True, where
            assert security["capabilities"] == {"drop": ["ALL"]}, where
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            assert limits["memory"] == requests["memory"], where
            assert {k: v for k, v in limits.items() if "nvidia" in k} == {
                k: v for k, v in requests.items() if "nvidia" in k
            }, where
            assert not container["image"].endswith(":latest"), where


def test_every_pod_is_not_root_and_has_no_token(written: Path) -> None:
    for overlay, item in objects(written):
        if item["kind"] not in ("Deployment", "InferenceService"):
            continue
        pod = item["spec"]["template"]["spec"] if item["kind"] == "Deployment" else item["spec"]["predictor"]
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert ("runAsUser" in security) == (overlay != "openshift")
        assert pod["automountServiceAccountToken"] is False
        # preStop, then the 30 s that Triton gives its last requests.
        assert pod["terminationGracePeriodSeconds"] >= 15 + 30


def test_every_reference_is_there_or_is_a_secret_of_the_cluster(written: Path) -> None:
    for path in sorted((written / "rendered").iterdir()):
        items = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        named = {(item["kind"], item["metadata"]["name"]) for item in items}
        for item in items:
            if item["kind"] != "Deployment":
                continue
            pod = item["spec"]["template"]["spec"]
            wanted = {("ServiceAccount", pod["serviceAccountName"])}
            for volume in pod["volumes"]:
                if "configMap" in volume:
                    wanted.add(("ConfigMap", volume["configMap"]["name"]))
                if "persistentVolumeClaim" in volume:
                    wanted.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
            for container in containers(pod):
                wanted |= {("ConfigMap", e["configMapRef"]["name"]) for e in container.get("envFrom", ())}
                mounted = {m["name"] for m in container["volumeMounts"]}
                assert mounted <= {v["name"] for v in pod["volumes"]}, path.stem
            assert wanted <= named, path.stem


def test_services_and_policies_name_ports_that_a_container_has(written: Path) -> None:
    for path in sorted((written / "rendered").iterdir()):
        items = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        specs = [
            item["spec"]["template"]["spec"] if item["kind"] == "Deployment" else item["spec"]
            for item in items
            if item["kind"] in ("Deployment", "ServingRuntime")
        ]
        ports = {key for c in specs[0]["containers"] for p in c["ports"] for key in (p["name"], p["containerPort"])}
        for item in items:
            if item["kind"] == "Service":
                assert {p["targetPort"] for p in item["spec"]["ports"]} <= ports, path.stem
            if item["kind"] == "NetworkPolicy":
                assert {p["port"] for rule in item["spec"]["ingress"] for p in rule["ports"]} <= ports, path.stem


def test_no_secret_is_written(written: Path) -> None:
    assert all(item["kind"] != "Secret" for _, item in objects(written))


def test_only_a_gpu_overlay_asks_for_a_gpu(written: Path) -> None:
    asked = {
        overlay: {key for c in containers(pod) for key in c["resources"]["limits"] if "nvidia" in key}
        for overlay, pod in pods(written)
    }
    assert not asked["base"] and not asked["cpu"]
    assert asked["gpu"] == asked["aws"] == asked["gcp"] == asked["azure"] == {"nvidia.com/gpu"}
    assert asked["mig"] == {"nvidia.com/mig-1g.10gb"}
    assert asked["time-slicing"] == {"nvidia.com/gpu.shared"}


def test_kserve_asks_for_a_gpu_where_the_run_had_one(make_spec: Callable[..., DeploymentSpec]) -> None:
    for gpu in (False, True):
        files = kubernetes_bundle(make_spec(target="kserve", gpu=gpu)).files
        items = by_identity(str(files["kubernetes/rendered/custom.yaml"]))
        (service,) = (item for key, item in items.items() if key[1] == "InferenceService")
        assert ("nvidia.com/gpu" in service["spec"]["predictor"]["model"]["resources"]["limits"]) is gpu
        assert not any(kind == "Deployment" for _, kind, _, _ in items)


def test_an_autoscaler_owns_the_replicas(written: Path) -> None:
    for overlay, item in objects(written):
        if item["kind"] == "Deployment":
            assert ("replicas" in item["spec"]) is (overlay not in ("hpa", "keda")), overlay


def test_overlays_that_may_be_combined_can_be(make_spec: Callable[..., DeploymentSpec]) -> None:
    spec = make_spec(target="kubernetes", overlays=("azure", "mig", "s3", "openshift", "tls-auth", "keda"))
    items = by_identity(str(kubernetes_bundle(spec).files["kubernetes/rendered/custom.yaml"]))
    (pod,) = (item["spec"]["template"]["spec"] for key, item in items.items() if key[1] == "Deployment")
    assert pod["nodeSelector"] == {"kubernetes.azure.com/accelerator": "nvidia"}
    assert {t["key"] for t in pod["tolerations"]} == {"nvidia.com/gpu", "sku"}
    assert [c["name"] for c in pod["containers"]] == ["triton", "proxy"]
    assert "runAsUser" not in pod["securityContext"]
    assert pod["initContainers"][0]["image"].startswith("docker.io/amazon/aws-cli:")
    assert any(key[1] == "ScaledObject" for key in items)
