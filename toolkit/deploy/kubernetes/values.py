"""What the Kubernetes templates print: the values of a DeploymentSpec in the words and units of Kubernetes.

In: a DeploymentSpec and the files of its model repository. Out: one value, `pod`. This module does
not know what a template looks like.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from toolkit.deploy.command import CHECKED_COMMAND, MODELS_PLACE
from toolkit.deploy.contents import figures_mark
from toolkit.deploy.kubernetes.jobs import CONFIG_MAP_BYTES, Jobs, jobs_of
from toolkit.deploy.kubernetes.watch import Watch, watch_of
from toolkit.deploy.sizing import Settings, settings_of
from toolkit.deploy.spec import MIB, DeploymentSpec
from toolkit.errors import ConfigurationError

#: How long proxies may go on sending to a pod that leaves, what Triton gives its last requests, and a reserve.
_DRAIN_S, _TRITON_EXIT_S, _RESERVE_S = 15, 30, 15
_PERIOD_S = 5

#: Only the proxy of the pod calls Triton; the metrics are scraped from outside.
_LOOPBACK = ("--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=0.0.0.0")
#: Source: kserve config/runtimes/kserve-tritonserver.yaml; kserve pkg/constants, DefaultModelLocalMountPath.
_KSERVE_MODELS, _KSERVE_PORTS = "/mnt/models", ("--http-port=8080", "--grpc-port=9000")

_TMP_BYTES = 1024 * MIB
#: KServe makes <name>-predictor-<namespace> the first label of a host name, which has 63 characters at most.
_NAME_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PodValues:
    """The values of the base and of every component, as text in Kubernetes' own units."""

    name: str
    namespace: str
    run_id: str
    model: str
    mark: str
    labels: dict[str, str]
    selector: dict[str, str]
    annotations: dict[str, str]
    image: str
    pinned_by: str
    models_image: str
    command: tuple[str, ...]
    loopback_command: tuple[str, ...]
    kserve_command: tuple[str, ...]
    settings: Settings
    cpu: str
    memory: str
    shared_memory: str
    storage: str
    models_size: str
    tmp_size: str
    startup_failures: int
    startup_period_s: int
    drain_s: int
    grace_s: int
    lock: str
    start: str
    start_name: str
    watch: Watch
    jobs: Jobs


def pod_values(spec: DeploymentSpec, lock: str, start: str, model_bytes: int, *, kserve: bool) -> PodValues:
    """The values of a deployment. `lock` and `start` are the texts of bundle.lock.json and start.py.

    kserve: the chosen overlays leave the serving to KServe. Raises ConfigurationError for a repository of so
    many files that their digests do not fit into a ConfigMap.
    """
    name, settings = object_name(spec.slug), settings_of(spec)
    tag, namespace, selector = tag_of(spec.run_id), namespace_of(name), selector_of(spec, name)
    version = hashlib.sha256((lock + start).encode()).hexdigest()
    return PodValues(
        name=name,
        namespace=namespace,
        run_id=spec.run_id,
        model=spec.model,
        mark=figures_mark(spec),
        labels=selector | labels_beside(spec, name),
        selector=selector,
        annotations={"poc-toolkit/run": spec.run_id},
        image=server_image(spec),
        pinned_by="digest" if "@sha256:" in server_image(spec) else "tag",
        models_image=f"{spec.registry}/{name}-models:{tag}",
        command=CHECKED_COMMAND,
        loopback_command=(*CHECKED_COMMAND, *_LOOPBACK),
        kserve_command=tuple(a.replace(MODELS_PLACE, _KSERVE_MODELS) for a in CHECKED_COMMAND) + _KSERVE_PORTS,
        settings=settings,
        cpu=f"{spec.cpus:g}",
        memory=_mib(settings.memory_bytes.value),
        shared_memory=_mib(settings.shm_bytes.value),
        storage=_mib(2 * model_bytes + _TMP_BYTES + 512 * MIB),
        models_size=_mib(2 * model_bytes),
        tmp_size=_mib(_TMP_BYTES),
        startup_failures=math.ceil(settings.startup_s.value / _PERIOD_S),
        startup_period_s=_PERIOD_S,
        drain_s=_DRAIN_S,
        grace_s=_DRAIN_S + _TRITON_EXIT_S + _RESERVE_S,
        lock=_in_config_map(lock),
        start=start,
        start_name=f"{name}-start-{version[:8]}",
        watch=watch_of(spec, namespace),
        jobs=jobs_of(spec, name, tag, kserve=kserve),
    )


def object_name(slug: str) -> str:
    """A slug as the name of every kind of object: a letter first, 24 characters at most; a digest keeps cuts apart."""
    name = slug if slug[0].isalpha() else f"m-{slug}"
    if len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(slug.encode()).hexdigest()[:7]
    return f"{name[: _NAME_LENGTH - 8].rstrip('-')}-{digest}"


def namespace_of(name: str) -> str:
    """The namespace of the objects of this name."""
    return f"poc-{name}"


def selector_of(spec: DeploymentSpec, name: str) -> dict[str, str]:
    """The labels by which the pods of a deployment are found; they never change."""
    return {"app.kubernetes.io/name": spec.server, "app.kubernetes.io/instance": name}


def labels_beside(spec: DeploymentSpec, name: str) -> dict[str, str]:
    """The other labels of every object, as kubernetes.io/docs/concepts/overview/working-with-objects/common-labels."""
    return {
        "app.kubernetes.io/component": "model-server",
        "app.kubernetes.io/part-of": name,
        "app.kubernetes.io/version": tag_of(spec.run_id),
        "app.kubernetes.io/managed-by": "kustomize",
    }


def tag_of(run_id: str) -> str:
    """A run id as an image tag and a label's value: letters, digits and '-', 60 characters at most."""
    return re.sub(r"[^A-Za-z0-9]+", "-", run_id).strip("-")[:60].rstrip("-") or "latest"


def server_image(spec: DeploymentSpec) -> str:
    """The image that serves: the pinned one, or the customer's build of the recipe where there is one."""
    if not spec.has_recipe:
        return spec.image
    return f"{spec.registry}/{object_name(spec.slug)}-triton:{tag_of(spec.run_id)}"


def _in_config_map(text: str) -> str:
    if len(text.encode()) > CONFIG_MAP_BYTES:
        raise ConfigurationError(
            "the digests of the model files do not fit into a ConfigMap",
            mend="deploy fewer entries, or pack the files of a step into one",
        )
    return text


def _mib(size: int) -> str:
    return f"{max(-(-size // MIB), 64)}Mi"
