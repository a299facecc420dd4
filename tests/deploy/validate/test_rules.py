"""What every schema lets pass and a cluster refuses."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.deploy.validate.documents import Object
from toolkit.deploy.validate.rules import check_object

LABELS = {"app.kubernetes.io/name": "triton"}


def made(kind: str, name: str = "a", labels: Any = None, **fields: Any) -> Object:
    return Object(file="a.yaml", data={"kind": kind, "metadata": {"name": name, "labels": labels}, **fields})


def workload(labels: Any = LABELS, **pod: Any) -> Object:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]} | pod}
    return made("Deployment", spec={"selector": {"matchLabels": LABELS}, "template": template})


GOOD_CONTAINER = {"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}


@pytest.mark.parametrize(
    "subject",
    [
        made("ConfigMap", "a.b-c", data={"a.json": "{}"}),
        made("Service", "a" * 63, {"a/b": "x" * 63, "c": ""}),
        workload(containers=[GOOD_CONTAINER], volumes=[{"name": "v"}]),
        made("Secret"),
    ],
)
def test_what_a_cluster_takes_passes(subject: Object) -> None:
    check_object(subject)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (made("Service", "a.b"), "not a name"),
        (made("ConfigMap", "A"), "not a name"),
        (made("ConfigMap", "a" * 254), "not a name"),
        (made("ConfigMap", "a\n"), "not a name"),
        (made("ConfigMap", labels={"run": "2026 01"}), "label run has the value"),
        (made("ConfigMap", labels={"run": "x" * 64}), "label run has the value"),
        (made("ConfigMap", labels={"run": 1}), "label run has the value"),
        (made("ConfigMap", labels={"a b": "c"}), "not a qualified name"),
        (made("ConfigMap", data={"a/b": ""}), "not one that a ConfigMap may have"),
        (made("ConfigMap", data={"a": "x" * 1024 * 1025}), "more than 1048576 bytes"),
        (made("Secret", stringData={"token": "x"}), "only refers to secrets"),
        (workload(labels={"app": "other"}), "does not match the labels"),
        (workload(containers=[GOOD_CONTAINER]), "none of the pod's volumes"),
        (workload(containers=[{"name": "c"}, {"name": "c"}]), "two containers are called 'c'"),
        (workload(containers=[{"name": "C_1"}]), "not a DNS label"),
    ],
)
def test_what_a_cluster_refuses_is_an_error(subject: Object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_object(subject)


def test_an_annotation_is_text_and_all_of_them_together_are_bounded() -> None:
    for held, message in (
        ({"a": 1}, "not text"),
        ({"a": "x" * 300_000}, "262144 bytes"),
        ({"é": ""}, "qualified"),
    ):
        data = {"kind": "ConfigMap", "metadata": {"name": "a", "annotations": held}}
        with pytest.raises(ValueError, match=message):
            check_object(Object(file="a.yaml", data=data))
