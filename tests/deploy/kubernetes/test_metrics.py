"""What a cluster scales, alerts and draws by exists: every metric, and the name that the HPA asks the adapter for.

tests/deploy/test_smoke.py compares the same list, METRICS, with what a live embedded Triton exports.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import yaml

from toolkit.deploy import DeploymentSpec
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.metrics import METRICS, metric_names
from toolkit.deploy.validate.documents import kubernetes_objects
from toolkit.deploy.validate.expressions import object_expressions

Files = dict[str, str]
ADAPTER = "cluster/prometheus-adapter-values.yaml"


@pytest.fixture(scope="module")
def files(make_spec_of: Callable[..., DeploymentSpec], tmp_path_factory: pytest.TempPathFactory) -> Files:
    spec = make_spec_of(tmp_path_factory.mktemp("repository"), target="kubernetes", gpu=True)
    return {path: text for path, text in kubernetes_bundle(spec).files.items() if isinstance(text, str)}


@pytest.mark.parametrize("kind", ["PrometheusRule", "ScaledObject", "ConfigMap"])
def test_every_metric_of_a_kind_is_one_that_the_server_has(files: Files, kind: str) -> None:
    subjects = [s for s in kubernetes_objects(files) if s.kind == kind and "/rendered/" in s.file]
    names = set().union(*(metric_names(e) for s in subjects for e in object_expressions(s)))
    assert names
    assert names <= METRICS


def test_the_adapter_reads_metrics_that_exist_and_names_what_the_autoscaler_asks_for(files: Files) -> None:
    rules = yaml.safe_load(files[ADAPTER])["rules"]["custom"]
    for rule in rules:
        # <<.GroupBy>> and its like are the adapter's own templates.
        query = re.sub(r"<<[^>]*>>", "", rule["metricsQuery"])
        names = metric_names(rule["seriesQuery"]) | metric_names(query)
        assert names
        assert names <= METRICS
    autoscalers = [s for s in kubernetes_objects(files) if s.kind == "HorizontalPodAutoscaler" and "hpa" in s.file]
    asked = {m["pods"]["metric"]["name"] for s in autoscalers for m in s.data["spec"]["metrics"]}
    assert asked
    assert asked <= {rule["name"]["as"] for rule in rules}
