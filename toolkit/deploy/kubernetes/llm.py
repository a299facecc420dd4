"""The Kubernetes target for GPU servers of language models: a base of core kinds, and an overlay that watches it.

In: a DeploymentSpec with `llm`. Out: a Bundle. Weights come from a volume that the customer fills; a GPU is asked for
in the base, since none of these servers runs without. This module knows no server by name.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.deploy.bundle import Bundle, CopiedFile
from toolkit.deploy.command import LOCK_PLACE, MODELS_PLACE
from toolkit.deploy.contents import (
    MODEL_REPOSITORY,
    figures_mark,
    kept_folders,
    lock_json,
    model_files,
    observability_files,
    smoke_test_files,
    start_files,
)
from toolkit.deploy.kubernetes.layout import overlay_path, overlay_text, rendered_files
from toolkit.deploy.kubernetes.values import labels_beside, namespace_of, object_name, selector_of
from toolkit.deploy.kubernetes.watch import Watch, watch_of
from toolkit.deploy.observed import is_watched_in
from toolkit.deploy.readme import figure_rows, llm_values
from toolkit.deploy.rendering import render, templates_below
from toolkit.deploy.server import Llm, Port, Server
from toolkit.deploy.servers import SERVERS
from toolkit.deploy.spec import MIB, DeploymentSpec
from toolkit.deploy.validate import refuse_unsound, validate_bundle
from toolkit.errors import UsageError
from toolkit.load.slo import criterion_text
from toolkit.tune.words import target_text

#: The one overlay of these servers.
WATCHED = "prometheus-operator"
#: Templates of Triton's base that hold for any server, and of the overlay.
_SHARED = (
    "kubernetes/base/namespace.yaml.j2",
    "kubernetes/base/serviceaccount.yaml.j2",
    "kubernetes/base/poddisruptionbudget.yaml.j2",
    "kubernetes/loader/kustomization.yaml",
    "kubernetes/loader/pod.yaml.j2",
    "kubernetes/components/prometheus-operator/kustomization.yaml",
    "kubernetes/components/prometheus-operator/prometheusrule.yaml.j2",
    "kubernetes/components/prometheus-operator/dashboard.yaml.j2",
)
_OWN, _README = "kubernetes-llm/", "kubernetes-llm/README.md.j2"
_PERIOD_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedFile:
    """A text of the ConfigMap, by its key there and its path in the volume."""

    key: str
    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A file or folder of that volume, and where the server sees it."""

    path: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmPod:
    """What the templates print, as text in Kubernetes' own units; `metrics_port` is a port's name."""

    name: str
    namespace: str
    run_id: str
    mark: str
    labels: dict[str, str]
    selector: dict[str, str]
    annotations: dict[str, str]
    image: str
    pulls_with_secret: bool
    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: dict[str, str]
    secrets: tuple[str, ...]
    ports: tuple[Port, ...]
    metrics_port: str
    metrics_path: str
    live: str
    ready: str
    start_s: int
    startup_failures: int
    has_read_only_root: bool
    gpus: int
    memory: str
    shared_memory: str
    models_size: str
    place: str
    cache: str
    files_name: str
    files: tuple[MountedFile, ...]
    mounts: tuple[Mount, ...]
    watch: Watch


def llm_bundle(spec: DeploymentSpec, llm: Llm) -> Bundle:
    """The bundle that `kubectl apply -k kubernetes/base` applies, for a server of language models.

    Raises UsageError for an overlay that such a server does not have.
    """
    if unknown := set(spec.overlays) - {WATCHED}:
        raise UsageError(
            f"--overlay {min(unknown)} is not there for --server {spec.server}", mend=f"use {WATCHED} or none"
        )
    copies = model_files(spec)
    lock, start = lock_json(spec, copies), start_files() if spec.entries else {}
    pod = _pod(spec, llm, _files(SERVERS[spec.server], copies, lock, start))
    filled = _filled(pod)
    files: dict[str, str | bytes] = {
        "README.md": _readme(spec, llm, pod),
        "bundle.lock.json": lock,
        **kept_folders(spec),
        **start,
        **filled,
        **rendered_files(filled, (WATCHED,)),
        **observability_files(spec),
        **smoke_test_files(spec),
        ".checkov.yaml": render("checkov.yaml"),
    }
    bundle = Bundle(files=files, copies=copies)
    refuse_unsound(validate_bundle(bundle))
    return bundle


def _filled(pod: LlmPod) -> dict[str, str | bytes]:
    names = (*_SHARED, *(name for name in templates_below(_OWN) if name != _README))
    made: dict[str, str | bytes] = {
        name.replace(_OWN, "kubernetes/").removesuffix(".j2"): render(
            name, {"pod": pod} if name.endswith(".j2") else None
        )
        for name in names
    }
    return made | {overlay_path(WATCHED): overlay_text("scraping, alerts and the dashboard", (WATCHED,))}


def _files(
    server: Server, copies: Mapping[str, CopiedFile], lock: str, start: Mapping[str, str | bytes]
) -> dict[str, str]:
    """What the server reads beside the weights, by its path in the volume: all of it is small text."""
    repository = {
        path.replace(f"{MODEL_REPOSITORY}/", "repository/", 1): copy.source.read_text(encoding="utf-8")
        for path, copy in copies.items()
    }
    bundle = {"bundle/bundle.lock.json": lock, **{f"bundle/{p}": str(t) for p, t in start.items()}} if start else {}
    own = {f"server/{place.rpartition('/')[2]}": text for place, text in server.files.items()}
    return repository | bundle | own


def _mounts(server: Server) -> tuple[Mount, ...]:
    own = tuple(Mount(path=f"server/{place.rpartition('/')[2]}", place=place) for place in server.files)
    if not server.has_repository:
        return own
    return (
        Mount(path="repository", place=MODELS_PLACE),
        Mount(path="bundle", place=LOCK_PLACE.rpartition("/")[0]),
        *own,
    )


def _pod(spec: DeploymentSpec, llm: Llm, files: Mapping[str, str]) -> LlmPod:
    server, name = SERVERS[spec.server], object_name(spec.slug)
    namespace, selector = namespace_of(name), selector_of(spec, name)
    names = {port.name for port in server.ports}
    return LlmPod(
        name=name,
        namespace=namespace,
        run_id=spec.run_id,
        mark=figures_mark(spec),
        labels=selector | labels_beside(spec, name),
        selector=selector,
        annotations={"poc-toolkit/run": spec.run_id},
        image=spec.image,
        pulls_with_secret="NGC_API_KEY" in server.secrets,
        entrypoint=server.entrypoint,
        arguments=server.arguments(llm),
        environment={**server.environment, **server.model_environment(llm)},
        secrets=server.secrets,
        ports=server.ports,
        metrics_port="metrics" if "metrics" in names else "http",
        metrics_path=server.metrics_path,
        live=server.live,
        ready=server.ready,
        start_s=server.start_s,
        startup_failures=math.ceil(server.start_s / _PERIOD_S),
        has_read_only_root=server.has_read_only_root,
        gpus=llm.limits.devices,
        memory=f"{-(-spec.memory_bytes // MIB)}Mi",
        shared_memory=f"{-(-spec.shm_bytes // MIB)}Mi",
        models_size=f"{max(-(-2 * llm.weight_bytes // MIB), 1024)}Mi",
        place=llm.place,
        cache=server.cache,
        files_name=f"{name}-files-{hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:8]}",
        files=tuple(
            MountedFile(key=f"file-{number}", path=path, text=text) for number, (path, text) in enumerate(files.items())
        ),
        mounts=_mounts(server),
        watch=watch_of(spec, namespace),
    )


def _readme(spec: DeploymentSpec, llm: Llm, pod: LlmPod) -> str:
    said = llm_values(spec, llm)
    wanted = (
        "server",
        "source",
        "model",
        "model_source",
        "source_sha256",
        "secrets",
        "limits",
        "is_dcgm",
        "has_repository",
    )
    values: dict[str, Any] = {name: said[name] for name in wanted} | {
        "title": spec.title,
        "name": spec.name,
        "toolkit_version": spec.toolkit_version,
        "mark": figures_mark(spec),
        "figures": () if spec.figures is None else figure_rows(spec.figures),
        "slo": ",".join(map(criterion_text, spec.slo.criteria)),
        "not_alerted": tuple(target_text(c) for c in spec.slo.criteria if not is_watched_in(spec, c)),
        "pod": pod,
    }
    return render(_README, values)
