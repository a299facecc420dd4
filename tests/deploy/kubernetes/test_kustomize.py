"""The part of kustomize that is known here, and that everything else of it is refused."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from toolkit.deploy.kubernetes.kustomize import manifest, rendered
from toolkit.deploy.kubernetes.merge import merged
from toolkit.errors import ConfigurationError

KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"


def pod(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"hostname": "x"}, {"hostname": "y"}, {"hostname": "y"}),
        ({"hostname": "x", "nodeName": "n"}, {"hostname": None}, {"nodeName": "n"}),
        ({"hostname": "x"}, {"nodeSelector": {"a": "b", "c": None}}, {"hostname": "x", "nodeSelector": {"a": "b"}}),
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "b", "image": "2"}, {"name": "c"}]},
            {"containers": [{"name": "b", "image": "2"}, {"name": "c"}, {"name": "a", "image": "1"}]},
        ),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
        ),
        (
            {"containers": [{"name": "a", "command": ["x", "y"], "env": [{"name": "A", "value": "1"}]}]},
            {"containers": [{"name": "a", "command": ["z"], "env": [{"name": "B", "value": "2"}]}]},
            {
                "containers": [
                    {
                        "name": "a",
                        "command": ["z"],
                        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
                    }
                ]
            },
        ),
        ({"tolerations": [{"key": "a"}]}, {"tolerations": [{"key": "b"}]}, {"tolerations": [{"key": "b"}]}),
    ],
)
def test_strategic_merge(target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]) -> None:
    assert merged(pod(**target), pod(**patch)) == pod(**result)


def test_a_list_of_a_custom_kind_is_replaced() -> None:
    target = {"apiVersion": "a.b/v1", "kind": "K", "spec": {"containers": [{"name": "a"}]}}
    assert merged(target, {"spec": {"containers": [{"name": "b"}]}}) == {
        **target,
        "spec": {"containers": [{"name": "b"}]},
    }


def test_an_object_is_deleted() -> None:
    assert merged(pod(), {**pod(), "$patch": "delete"}) is None


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"$patch": "replace"}, "replace is not known"),
        ({"$retainKeys": "x"}, r"\$retainKeys is not known"),
        ({"readinessGates": [{"conditionType": "b"}]}, "readinessGates is not known"),
    ],
)
def test_what_is_not_known_of_patches_is_refused(patch: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        merged(
            {"apiVersion": "v1", "spec": {"readinessGates": [{"conditionType": "a"}]}}, {"spec": patch} | _top(patch)
        )


def _top(patch: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in patch.items() if key == "$patch"}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "k/kustomization.yaml is named"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "namePrefix: x\n"}, "namePrefix is not known"),
        ({"k/kustomization.yaml": "kind: Component\n"}, "do not belong together"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "resources: [absent.yaml]\n"}, "absent.yaml is named"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "resources: [../../a.yaml]\n"}, "leaves the bundle"),
        (
            {"k/kustomization.yaml": KUSTOMIZATION + "resources: [a.yaml, a.yaml]\n", "k/a.yaml": MAP},
            "is there already",
        ),
        ({"k/kustomization.yaml": KUSTOMIZATION + "patches: [{path: a.yaml}]\n", "k/a.yaml": MAP}, "is not there"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "patches: [{patch: x}]\n"}, "has a path and nothing else"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "resources: [a.yaml]\n", "k/a.yaml": "a: b"}, "metadata.name"),
        ({"k/kustomization.yaml": KUSTOMIZATION + "resources: [a.yaml]\n", "k/a.yaml": "{"}, "k/a.yaml"),
    ],
)
def test_what_is_not_known_of_kustomizations_is_refused(files: dict[str, str | bytes], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        rendered(files, "k")


def test_a_manifest_holds_what_went_in_without_anchors() -> None:
    shared = {"a": "two\nlines\n", "b": "on", "c": "#", "é": "\u2028"}
    text = manifest(({"x": shared, "y": shared}, {"z": 1}))
    assert list(yaml.safe_load_all(text)) == [{"x": shared, "y": shared}, {"z": 1}]
    assert "&" not in text
