"""What the Kubernetes templates print: the values of a DeploymentSpec in the words and units of Kubernetes.

In: a DeploymentSpec and the files of its model repository. Out: one value, `pod`. Each number that was not measured on
the target says so, with the command that measures it there. This module does not know what a template looks like.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass

from toolkit.deploy.contents import CHECKED_COMMAND, figures_mark
from toolkit.deploy.spec import MIB, NOT_MEASURED, DeploymentSpec
from toolkit.errors import ConfigurationError

#: How long proxies may go on sending to a pod that leaves, what Triton gives its last requests, and a reserve.
_DRAIN_S, _TRITON_EXIT_S, _RESERVE_S = 15, 30, 15

#: Replicas where no plan says how many: one may go away.
_DEFAULT_REPLICAS = 2
#: Start-up where nobody measured it: an image of many GB has been pulled by then, but engines may be built.
_DEFAULT_STARTUP_S = 600
#: What is allowed of a measured start-up: another disk, a busy node, a cold page cache.
_STARTUP_MARGIN = 5
_PERIOD_S = 5

#: A ConfigMap holds 1 MiB. Source: kubernetes.io/docs/concepts/configuration/configmap
_CONFIG_MAP_BYTES = 1_000_000

_TMP_BYTES = 1024 * MIB
#: KServe makes <name>-predictor-<namespace> the first label of a host name, which has 63 characters at most.
_NAME_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What the comment beside each setting says: where it comes from, and how to measure it on the target."""

    replicas: str
    memory: str
    cpu: str
    shared_memory: str
    startup: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """How long a pod may take to become ready: so many failures, one each period."""

    period_s: int
    failures: int


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
    replicas: int
    cpu: str
    memory: str
    shared_memory: str
    storage: str
    models_size: str
    tmp_size: str
    startup: Startup
    drain_s: int
    grace_s: int
    lock: str
    start: str
    notes: Notes


def pod_values(spec: DeploymentSpec, lock: str, start: str, model_bytes: int) -> PodValues:
    """The values of a deployment. `lock` and `start` are the texts of bundle.lock.json and start.py.

    Raises ConfigurationError for a repository of so many files that their digests do not fit into a ConfigMap.
    """
    name = object_name(spec.slug)
    selector = {"app.kubernetes.io/name": "triton", "app.kubernetes.io/instance": name}
    tag = tag_of(spec.run_id)
    models = _mib(2 * model_bytes)
    return PodValues(
        name=name,
        namespace=f"poc-{name}",
        run_id=spec.run_id,
        model=spec.model,
        mark=figures_mark(spec),
        labels=selector
        | {
            "app.kubernetes.io/component": "model-server",
            "app.kubernetes.io/part-of": name,
            "app.kubernetes.io/version": tag,
            "app.kubernetes.io/managed-by": "kustomize",
        },
        selector=selector,
        # Pods are replaced when the lock is.
        annotations={"poc-toolkit/run": spec.run_id, "poc-toolkit/lock": hashlib.sha256(lock.encode()).hexdigest()},
        image=server_image(spec),
        pinned_by="digest" if "@sha256:" in server_image(spec) else "tag",
        models_image=f"{spec.registry}/{name}-models:{tag}",
        command=CHECKED_COMMAND,
        replicas=_DEFAULT_REPLICAS,
        cpu=f"{spec.cpus:g}",
        memory=_mib(spec.memory_bytes),
        shared_memory=_mib(spec.shm_bytes),
        storage=_mib(2 * model_bytes + _TMP_BYTES + 512 * MIB),
        models_size=models,
        tmp_size=_mib(_TMP_BYTES),
        startup=_startup(spec),
        drain_s=_DRAIN_S,
        grace_s=_DRAIN_S + _TRITON_EXIT_S + _RESERVE_S,
        lock=_in_config_map(lock),
        start=start,
        notes=_notes(spec),
    )


def object_name(slug: str) -> str:
    """A slug as the name of every kind of object: a letter first, 24 characters at most; a digest keeps cuts apart."""
    name = slug if slug[0].isalpha() else f"m-{slug}"
    if len(name) <= _NAME_LENGTH:
        return name
    digest = hashlib.sha256(slug.encode()).hexdigest()[:7]
    return f"{name[: _NAME_LENGTH - 8].rstrip('-')}-{digest}"


def tag_of(run_id: str) -> str:
    """A run id as an image tag and a label's value: letters, digits and '-', 60 characters at most."""
    return re.sub(r"[^A-Za-z0-9]+", "-", run_id).strip("-")[:60].rstrip("-") or "latest"


def server_image(spec: DeploymentSpec) -> str:
    """The image that serves: the pinned one, or the customer's build of the recipe where there is one."""
    if not spec.has_recipe:
        return spec.image
    return f"{spec.registry}/{object_name(spec.slug)}-triton:{tag_of(spec.run_id)}"


def _in_config_map(text: str) -> str:
    if len(text.encode()) > _CONFIG_MAP_BYTES:
        raise ConfigurationError(
            "the digests of the model files do not fit into a ConfigMap",
            mend="deploy fewer entries, or pack the files of a step into one",
        )
    return text


def _mib(size: int) -> str:
    return f"{max(-(-size // MIB), 64)}Mi"


def _startup(spec: DeploymentSpec) -> Startup:
    allowed_s = _DEFAULT_STARTUP_S
    return Startup(period_s=_PERIOD_S, failures=math.ceil(allowed_s / _PERIOD_S))


def _notes(spec: DeploymentSpec) -> Notes:
    default = f"a conservative default, {NOT_MEASURED}"
    return Notes(
        replicas=f"{default}; toolkit size RUN --rate R plans it from a run on the target",
        memory=f"{default}; kubectl top pod --containers shows what a load takes",
        cpu=f"the cores of the machine that was measured, {figures_mark(spec)}",
        shared_memory=default,
        startup=f"Ready within {_DEFAULT_STARTUP_S} s: {default}; kubectl get events shows what a start took",
    )
