"""What an API server refuses or a cluster never starts, though every field is of the right type.

In: objects. Out: an error that names the rule. Only what can be seen in one object, without a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from toolkit.deploy.validate.documents import Object

#: Source: k8s.io/apimachinery/pkg/util/validation (DNS1123Label, DNS1123Subdomain, IsValidLabelValue, IsQualifiedName).
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUALIFIED = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
#: Source: k8s.io/apimachinery/pkg/util/validation IsConfigMapKey.
_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")

#: Their names become host names, so they are shorter. Source: k8s.io/kubernetes/pkg/apis/core/validation.
_NAMED_BY_LABEL = ("Namespace", "Service", "InferenceService")

_MOST_ANNOTATION_BYTES = 256 * 1024
_MOST_DATA_BYTES = 1024 * 1024

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


def check_object(subject: Object) -> None:
    """Raise ValueError for the first rule that an object breaks."""
    for problem in _problems(subject):
        raise ValueError(problem)


def _problems(subject: Object) -> Iterator[str]:
    yield from _name_problems(subject)
    for metadata in _each(subject.data, "metadata"):
        yield from _metadata_problems(metadata)
    for selector in _each(subject.data, "matchLabels"):
        yield from _label_problems(selector)
    yield from _data_problems(subject)
    yield from _workload_problems(subject)
    for pod in _each_pod(subject.data):
        yield from _pod_problems(pod)


def _name_problems(subject: Object) -> Iterator[str]:
    name = subject.data["metadata"].get("name")
    pattern = _DNS_LABEL if subject.kind in _NAMED_BY_LABEL else _DNS_SUBDOMAIN
    if not isinstance(name, str) or not pattern.fullmatch(name):
        yield f"metadata.name {name!r} is not a name that Kubernetes accepts for a {subject.kind}"


def _metadata_problems(metadata: Mapping[str, Any]) -> Iterator[str]:
    yield from _label_problems(metadata.get("labels") or {})
    annotations = metadata.get("annotations") or {}
    for key, value in annotations.items():
        if not _QUALIFIED.fullmatch(key):
            yield f"annotation {key!r} is not a qualified name"
        if not isinstance(value, str):
            yield f"annotation {key!r} is {value!r}, which is not text"
    if sum(len(k.encode()) + len(str(v).encode()) for k, v in annotations.items()) > _MOST_ANNOTATION_BYTES:
        yield f"the annotations have more than {_MOST_ANNOTATION_BYTES} bytes"


def _label_problems(labels: Mapping[str, Any]) -> Iterator[str]:
    for key, value in labels.items():
        if not _QUALIFIED.fullmatch(key):
            yield f"label {key!r} is not a qualified name"
        if not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            yield f"label {key} has the value {value!r}: 63 letters, digits, '-', '_' and '.' are allowed"


def _data_problems(subject: Object) -> Iterator[str]:
    if subject.kind not in ("ConfigMap", "Secret"):
        return
    data = {**(subject.data.get("data") or {}), **(subject.data.get("binaryData") or {})}
    yield from (f"the key {key!r} is not one that a {subject.kind} may have" for key in data if not _is_data_key(key))
    if sum(len(str(v).encode()) for v in data.values()) > _MOST_DATA_BYTES:
        yield f"the data have more than {_MOST_DATA_BYTES} bytes"
    if subject.kind == "Secret" and (data or subject.data.get("stringData")):
        yield "a Secret with its contents: a bundle only refers to secrets"


def _is_data_key(key: Any) -> bool:
    return isinstance(key, str) and _DATA_KEY.fullmatch(key) is not None and key not in (".", "..")


def _workload_problems(subject: Object) -> Iterator[str]:
    if subject.kind not in _WORKLOADS:
        return
    spec = subject.data["spec"]
    wanted = spec["selector"].get("matchLabels", {})
    labels = spec["template"]["metadata"].get("labels", {})
    if not wanted.items() <= labels.items():
        yield f"the selector {dict(wanted)} does not match the labels of its own pods, {dict(labels)}"


def _pod_problems(pod: Mapping[str, Any]) -> Iterator[str]:
    containers = [*pod.get("initContainers", ()), *pod.get("containers", ())]
    volumes = {volume.get("name") for volume in pod.get("volumes", ())}
    for container in containers:
        if not _DNS_LABEL.fullmatch(str(container.get("name"))):
            yield f"container {container.get('name')!r} is not a DNS label"
        for mount in container.get("volumeMounts", ()):
            if mount["name"] not in volumes:
                yield f"container {container['name']} mounts {mount['name']!r}, which is none of the pod's volumes"
    names = [container.get("name") for container in containers]
    yield from (f"two containers are called {name!r}" for name in set(names) if names.count(name) > 1)


def _each(data: Any, key: str) -> Iterator[Mapping[str, Any]]:
    """Every mapping that stands under `key`, however deep."""
    return (m[key] for m in _mappings(data) if isinstance(m.get(key), Mapping))


def _each_pod(data: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping that has containers, however deep."""
    return (m for m in _mappings(data) if isinstance(m.get("containers"), list))


def _mappings(data: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(data, Mapping):
        yield data
    inner = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ()
    for value in inner:
        yield from _mappings(value)
