"""Core kinds: strict in every release, and closed where the tool itself fails open."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.deploy.validate.documents import Object
from toolkit.deploy.validate.kubernetes import RELEASES, check_core_object, is_core

pytest.importorskip("kubernetes_validate")

POD = {"containers": [{"name": "c", "image": "i:1"}]}


def made(api_version: str, kind: str, **fields: Any) -> Object:
    data = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}
    return Object(file="kubernetes/a.yaml", data=data)


def workload(**pod: Any) -> Object:
    labels = {"app": "a"}
    template = {"metadata": {"labels": labels}, "spec": POD | pod}
    return made("apps/v1", "Deployment", spec={"selector": {"matchLabels": labels}, "template": template})


def test_the_releases_are_those_of_the_issue() -> None:
    assert (RELEASES[0], RELEASES[-1], len(RELEASES)) == ("1.29", "1.37", 9)


@pytest.mark.parametrize(
    "subject",
    [
        workload(),
        made("v1", "Namespace"),
        made("policy/v1", "PodDisruptionBudget", spec={"maxUnavailable": "50%"}),
        made("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}}),
    ],
)
def test_what_kubernetes_knows_passes_in_every_release(subject: Object) -> None:
    assert is_core(subject)
    check_core_object(subject)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (workload(nodeSelektor={}), r"1\.29 to 1\.37: spec\.template\.spec: .*nodeSelektor"),
        (workload(terminationGracePeriodSeconds="60"), r"terminationGracePeriodSeconds: '60' is not of type"),
        (made("apps/v1", "Deployment"), "'spec' is a required property"),
        # What the tool's own command lets pass with a warning.
        (made("v1", "Deployment"), "no kind Deployment in v1"),
        (made("apps/v2", "Deployment"), "no kind Deployment in apps/v2"),
        (made("autoscaling/v2beta2", "HorizontalPodAutoscaler"), "no kind HorizontalPodAutoscaler"),
        (made("v1", "Container"), "no kind Container"),
        (made("apps.k8s.io/v1", "Deployment"), "no kind Deployment"),
        (made("v1", "../Pod"), "no kind"),
    ],
)
def test_what_it_does_not_know_is_an_error(subject: Object, message: str) -> None:
    assert is_core(subject)
    with pytest.raises(ValueError, match=message):
        check_core_object(subject)


def test_a_field_that_came_later_names_the_releases_that_lack_it() -> None:
    behavior = {"scaleDown": {"tolerance": "0.1"}}
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "a"}, "maxReplicas": 2, "behavior": behavior}
    with pytest.raises(ValueError, match=r"Kubernetes 1\.29 to 1\.32: .*tolerance"):
        check_core_object(made("autoscaling/v2", "HorizontalPodAutoscaler", spec=spec))


@pytest.mark.parametrize(
    "group", ["apps.example.com/v1", "keda.sh/v1alpha1", "gateway.networking.k8s.io/v1", "metrics.k8s.io/v1"]
)
def test_groups_of_others_are_not_core(group: str) -> None:
    assert not is_core(made(group, "Deployment"))
