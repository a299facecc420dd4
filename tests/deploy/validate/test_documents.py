"""Reading: a key that stands twice is refused, and patches of kustomize are not taken for objects."""

from __future__ import annotations

import pytest

from toolkit.deploy.validate.documents import kubernetes_objects, yaml_documents

DEPLOYMENT = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"


@pytest.mark.parametrize(
    ("text", "documents"),
    [("", ()), ("---\n---\na: 1\n", ({"a": 1},)), ("a: &x {b: 1}\nc: {<<: *x}\n", ({"a": {"b": 1}, "c": {"b": 1}},))],
)
def test_documents_that_are_empty_are_left_out(text: str, documents: tuple[object, ...]) -> None:
    assert yaml_documents(text) == documents


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2\n", "x: {b: 1, b: 1}", "- {a: [{c: 1, c: 2}]}", "a: [", "a: !!python/x 1"]
)
def test_a_key_that_stands_twice_and_broken_yaml_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"stands twice|expected|constructor"):
        yaml_documents(text)


def test_every_document_but_kustomizations_and_their_patches_is_an_object() -> None:
    texts = {
        "kubernetes/base/all.yaml": DEPLOYMENT + "---\n" + DEPLOYMENT.replace("Deployment", "Service"),
        "kubernetes/overlays/x/kustomization.yaml": (
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches: [{path: patch.yaml}]\n"
        ),
        "kubernetes/overlays/x/patch.yaml": DEPLOYMENT,
        "kubernetes/broken.yaml": "a: [",
        "compose/docker-compose.yaml": "services: {}",
    }
    assert [o.name for o in kubernetes_objects(texts)] == ["Deployment/a", "Service/a"]
