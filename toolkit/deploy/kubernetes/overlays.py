"""The overlays of a Kubernetes bundle: what each is for, what it needs, and with which it cannot be combined.

One table, and arithmetic on it. This module does not know what the files of an overlay say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from toolkit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A component that changes the base. `needs`: one of these has to be there too, the first where none is named.

    `cluster` says what the cluster must have, in words for the README; empty when any cluster will do.
    """

    name: str
    purpose: str
    cluster: str = ""
    needs: tuple[str, ...] = ()


_GPU = ("gpu", "mig", "time-slicing")
_CLOUDS = ("aws", "gcp", "azure")
_SCALERS = ("hpa", "keda", "kserve")
_SOURCES = ("s3", "gs", "on-prem-pvc")

#: In the order in which they are applied: what a later one patches, an earlier one has brought.
OVERLAYS = (
    Overlay(name="gpu", purpose="one whole GPU for each replica", cluster="NVIDIA's device plugin"),
    Overlay(name="mig", purpose="a slice of a GPU for each replica", cluster="MIG with the strategy mixed"),
    Overlay(
        name="time-slicing", purpose="replicas take turns on a GPU", cluster="the device plugin's time-slicing, renamed"
    ),
    Overlay(name="cpu", purpose="no GPU, and away from the nodes that have one"),
    Overlay(name="aws", purpose="GPU nodes of Amazon EKS", cluster="a node group of g6.xlarge", needs=_GPU),
    Overlay(name="gcp", purpose="GPU nodes of Google GKE", cluster="a node pool with nvidia-l4", needs=_GPU),
    Overlay(name="azure", purpose="GPU nodes of Azure AKS", cluster="a GPU node pool", needs=_GPU),
    Overlay(name="s3", purpose="models from Amazon S3", cluster="a bucket, and a role that may read it"),
    Overlay(name="gs", purpose="models from Google Cloud Storage", cluster="a bucket, and Workload Identity"),
    Overlay(name="on-prem-pvc", purpose="models from a volume of the cluster", cluster="a class with ReadWriteMany"),
    Overlay(name="openshift", purpose="no fixed user or group, still not root", cluster="OpenShift 4"),
    Overlay(name="tls-auth", purpose="TLS and client certificates in front", cluster="a TLS secret with its ca.crt"),
    Overlay(
        name="hpa", purpose="replicas by queue time, by the cluster's own autoscaler", cluster="prometheus-adapter"
    ),
    Overlay(name="keda", purpose="replicas by queue time, by KEDA", cluster="KEDA 2, Prometheus"),
    Overlay(
        name="kserve", purpose="an InferenceService with its runtime", cluster="KServe 0.15", needs=("on-prem-pvc",)
    ),
    Overlay(
        name="prometheus-operator", purpose="scraping, alerts, dashboard", cluster="the Prometheus operator, Grafana"
    ),
)

#: Overlays of which at most one can be there, and why.
_ONE_OF = (
    ((*_GPU, "cpu"), "a replica gets its device in one way"),
    (_CLOUDS, "a node belongs to one cloud"),
    (_SOURCES, "the models come from one place"),
    (_SCALERS, "two autoscalers would fight over the replicas, KEDA refuses a second one, and KServe has its own"),
)

#: Those that cannot be there beside one other, and why.
_NOT_BESIDE = (
    ("cpu", _CLOUDS, "it selects nodes with a GPU"),
    (
        "kserve",
        ("mig", "time-slicing", *_CLOUDS, "cpu", "s3", "gs", "openshift", "tls-auth"),
        "KServe makes the pods, so it would not reach them; change components/kserve/inferenceservice.yaml instead",
    ),
)

#: A component for two overlays together.
_JOINTS = {("gpu", "kserve"): "kserve-gpu"}

_BY_NAME = {overlay.name: overlay for overlay in OVERLAYS}


def overlays_from(names: tuple[str, ...], *, gpu: bool) -> tuple[Overlay, ...]:
    """The overlays of these names with those that they need, in the order of the table.

    gpu: a deployment on a GPU, which asks for one where no name says how. Raises UsageError for an unknown name and for
    names that exclude each other.
    """
    for name in names:
        if name not in _BY_NAME:
            raise UsageError(f"--overlay {name} is not known", mend=f"use one of: {', '.join(_BY_NAME)}")
    chosen = set(names)
    _refuse_exclusive(chosen)
    if gpu and not chosen & {*_GPU, "cpu"}:
        chosen.add("gpu")
    for name in names:
        needs = _BY_NAME[name].needs
        if needs and not chosen & set(needs):
            chosen.add(needs[0])
    _refuse_exclusive(chosen)
    return tuple(overlay for overlay in OVERLAYS if overlay.name in chosen)


def has_gpu(names: tuple[str, ...], *, measured_on_gpu: bool) -> bool:
    """Whether a deployment with these overlays has a GPU. Raises UsageError as `overlays_from` does."""
    return any(overlay.name in _GPU for overlay in overlays_from(names, gpu=measured_on_gpu))


def components_of(overlays: tuple[Overlay, ...]) -> tuple[str, ...]:
    """The folders of `kubernetes/components/` that these overlays are made of, in their order."""
    names = tuple(overlay.name for overlay in overlays)
    return (*names, *(joint for pair, joint in _JOINTS.items() if set(pair) <= set(names)))


def exclusions(name: str) -> dict[str, str]:
    """The overlays that cannot be combined with this one, each with the reason."""
    found = {other: reason for group, reason in _ONE_OF if name in group for other in group if other != name}
    for one, others, reason in _NOT_BESIDE:
        found |= dict.fromkeys(others if name == one else (one,) if name in others else (), reason)
    return found


def _refuse_exclusive(chosen: set[str]) -> None:
    for first, second in combinations([o.name for o in OVERLAYS if o.name in chosen], 2):
        if reason := exclusions(first).get(second):
            raise UsageError(
                f"the overlays {first} and {second} exclude each other: {reason}",
                mend=f"leave out {first} or {second}",
            )
