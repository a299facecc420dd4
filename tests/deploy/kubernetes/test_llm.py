"""Servers of language models on Kubernetes: each rendered, judged by every validator, and no name breaks out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_names import HOSTILE, markup, shape

from toolkit.deploy import DeploymentSpec, validate_folder, write_bundle
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.servers import SERVERS
from toolkit.errors import UsageError

Make = Callable[..., DeploymentSpec]
LLM_SERVERS = tuple(name for name, server in SERVERS.items() if server.series is not None)


@pytest.fixture
def make(make_llm: Make) -> Make:
    return lambda server, **fields: make_llm(server, target="kubernetes", **fields)


def objects(spec: DeploymentSpec, overlay: str = "base") -> dict[str, Any]:
    """The rendered objects by kind; of several of one kind, by kind and name."""
    found: dict[str, Any] = {}
    for item in yaml.safe_load_all(str(kubernetes_bundle(spec).files[f"kubernetes/rendered/{overlay}.yaml"])):
        found[item["kind"]] = item
        found[f"{item['kind']}/{item['metadata']['name']}"] = item
    return found


def pod_of(spec: DeploymentSpec) -> dict[str, Any]:
    return dict(objects(spec)["Deployment"]["spec"]["template"]["spec"])


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_every_server_passes_every_validator_that_is_here(make: Make, server: str, tmp_path: Path) -> None:
    write_bundle(kubernetes_bundle(make(server)), tmp_path / "bundle")
    findings = validate_folder(tmp_path / "bundle")
    assert [f for f in findings if f.outcome == "failed"] == []
    assert any(f.tool.startswith("Kubernetes 1.") for f in findings)


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_the_pod_is_hardened_has_its_gpus_and_gets_its_weights_read_only(make: Make, server: str) -> None:
    spec = make(server)
    pod = pod_of(spec)
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    # Its variables, as VLLM_PORT, would be read by an engine of that name.
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is SERVERS[server].has_read_only_root
    for side in ("requests", "limits"):
        assert container["resources"][side]["nvidia.com/gpu"] == "2"
    assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts["/opt/models/acme"]["readOnly"] is True and SERVERS[server].cache in mounts
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    claims = {
        item["metadata"]["name"] for key, item in objects(spec).items() if key.startswith("PersistentVolumeClaim/")
    }
    assert {v["persistentVolumeClaim"]["claimName"] for v in volumes.values() if "persistentVolumeClaim" in v} == claims
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= SERVERS[server].start_s
    assert start["httpGet"] == {"path": SERVERS[server].ready, "port": "http"}
    assert container["livenessProbe"]["httpGet"]["path"] == SERVERS[server].live


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_secrets_are_referred_to_and_nothing_else(make: Make, server: str) -> None:
    (container,) = pod_of(make(server))["containers"]
    assert [variable["name"] for variable in container["env"]] == list(SERVERS[server].secrets)
    for variable in container["env"]:
        assert variable["valueFrom"]["secretKeyRef"]["optional"] is True and "value" not in variable
    assert "Secret" not in objects(make(server))
    assert ("imagePullSecrets" in pod_of(make(server))) is (server == "nim")


@pytest.mark.parametrize("server", ["triton-vllm", "triton-trtllm"])
def test_triton_finds_every_file_of_its_entry_and_the_lock_where_its_command_looks(make: Make, server: str) -> None:
    spec = make(server)
    bundle, found = kubernetes_bundle(spec), objects(spec)
    volume = next(v for v in pod_of(spec)["volumes"] if v["name"] == "files")["configMap"]
    texts = found[f"ConfigMap/{volume['name']}"]["data"]
    held = {item["path"]: texts[item["key"]] for item in volume["items"]}
    for path, copied in bundle.copies.items():
        assert held[path.replace("model_repository/", "repository/")] == copied.source.read_text()
    assert json.loads(held["bundle/bundle.lock.json"]) == json.loads(bundle.files["bundle.lock.json"])
    (container,) = pod_of(spec)["containers"]
    places = {m["mountPath"]: m["subPath"] for m in container["volumeMounts"] if m["name"] == "files"}
    assert places == {"/models": "repository", "/bundle": "bundle"}
    assert container["args"][1:4] == ["/bundle/start/start.py", "/bundle/bundle.lock.json", "/models"]


def test_the_engines_config_is_mounted_where_its_command_looks(make: Make) -> None:
    (container,) = pod_of(make("trtllm-serve"))["containers"]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "files")
    assert f"--config={mount['mountPath']}" in container["args"]


def test_what_watches_scrapes_where_the_server_has_its_metrics(make: Make) -> None:
    for server in LLM_SERVERS:
        found = objects(make(server), "prometheus-operator")
        (endpoint,) = found["PodMonitor"]["spec"]["podMetricsEndpoints"]
        assert endpoint["path"] == SERVERS[server].metrics_path
        ports = {port["name"] for port in found["Deployment"]["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert endpoint["port"] in ports
        names = {rule["alert"] for group in found["PrometheusRule"]["spec"]["groups"] for rule in group["rules"]}
        assert {"LlmServerDown", "LlmQueueGrowing", "LlmTtftBurnFast"} <= names
        labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == server  # the job that the alerts name


def test_an_overlay_of_tritons_is_refused(make: Make) -> None:
    with pytest.raises(UsageError, match="--overlay keda is not there for --server vllm"):
        kubernetes_bundle(make("vllm", overlays=("keda",)))
    assert kubernetes_bundle(make("vllm", overlays=("prometheus-operator",))).files


@pytest.mark.parametrize("server", ["vllm", "triton-trtllm"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_changes_values_but_never_the_structure(make: Make, server: str, text: str) -> None:
    plain = kubernetes_bundle(make(server))
    hostile = kubernetes_bundle(make(server, name=text, title=text, run_id=text, model=text))
    assert set(plain.files) == set(hostile.files)
    for path, content in plain.files.items():
        if path.endswith(".yaml") and path.startswith("kubernetes/"):
            before, after = (list(yaml.safe_load_all(str(c))) for c in (content, hostile.files[path]))
            assert shape(before) == shape(after), path
        elif path.endswith(".md"):
            assert markup(str(content)) == markup(str(hostile.files[path]))
