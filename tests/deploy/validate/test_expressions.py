"""PromQL is found wherever a bundle can hold it, and only with metrics that exist."""

from __future__ import annotations

import json
from typing import Any

import pytest

from toolkit.deploy.metrics import METRICS
from toolkit.deploy.validate.documents import Object
from toolkit.deploy.validate.expressions import check_object_metrics, object_expressions

DASHBOARD = json.dumps({"panels": [{"targets": [{"expr": "nv_inference_count"}]}]})
RULES = {"groups": [{"rules": [{"expr": "up == 0"}]}]}


def made(kind: str, **fields: Any) -> Object:
    return Object(file="a.yaml", data={"kind": kind, "metadata": {"name": "a"}, **fields})


@pytest.mark.parametrize(
    ("subject", "expressions"),
    [
        (made("PrometheusRule", spec=RULES), ["up == 0"]),
        (
            made(
                "ScaledObject",
                spec={"triggers": [{"type": "prometheus", "metadata": {"query": "up"}}, {"type": "cpu"}]},
            ),
            ["up"],
        ),
        (made("ConfigMap", data={"d.json": DASHBOARD, "other.json": "{}", "a": "b"}), ["nv_inference_count"]),
        (made("ConfigMap"), []),
        (made("Deployment", spec={}), []),
    ],
)
def test_the_expressions_of_each_kind(subject: Object, expressions: list[str]) -> None:
    assert list(object_expressions(subject)) == expressions
    check_object_metrics(subject, METRICS)


def test_a_metric_that_does_not_exist_is_named() -> None:
    rules = {"groups": [{"rules": [{"expr": "nv_inference_load_ratio_bucket > 1"}]}]}
    with pytest.raises(ValueError, match="nv_inference_load_ratio_bucket is not a metric"):
        check_object_metrics(made("PrometheusRule", spec=rules), METRICS)
