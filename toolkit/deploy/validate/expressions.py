"""The PromQL that a bundle holds: in dashboards, rules, and what scales on a metric.

In: parsed files. Out: expressions. Which metrics exist is the server's to document.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from toolkit.deploy.metrics import metric_names
from toolkit.deploy.observed import documented_metrics
from toolkit.deploy.validate.documents import Object, yaml_documents


def check_dashboard(text: str, documented: frozenset[str]) -> None:
    """Raise ValueError for a Grafana dashboard that asks for a metric that the server does not document."""
    check_metrics(dashboard_expressions(text), documented)


def check_rules(text: str, documented: frozenset[str]) -> None:
    """Raise ValueError for a Prometheus rule file that asks for a metric that the server does not document."""
    for document in yaml_documents(text):
        check_metrics(rule_expressions(document), documented)


def check_object_metrics(subject: Object, documented: frozenset[str]) -> None:
    """Raise ValueError for an object that scales, alerts or draws by a metric that the server does not document."""
    check_metrics(object_expressions(subject), documented)


def check_metrics(expressions: Iterator[str], documented: frozenset[str]) -> None:
    """Raise ValueError for an expression with a metric that is not documented."""
    for expression in expressions:
        if unknown := metric_names(expression) - documented:
            raise ValueError(f"{min(unknown)} is not a metric that the server has; in: {expression}")


def metrics_of_lock(lock: str) -> frozenset[str]:
    """The metrics that the server of a bundle documents, by the text of its bundle.lock.json; Triton's without one."""
    try:
        said = json.loads(lock)
        return documented_metrics(str(said.get("server", "")), [str(name) for name in said.get("backends", ())])
    except (ValueError, AttributeError, TypeError):  # that it is no lock is another check's to say
        return documented_metrics("", ())


def dashboard_expressions(text: str) -> Iterator[str]:
    """The queries of a Grafana dashboard."""
    return (target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"])


def rule_expressions(rules: Mapping[str, Any]) -> Iterator[str]:
    """The expressions of a Prometheus rule file, or of the spec of a PrometheusRule."""
    return (rule["expr"] for group in rules["groups"] for rule in group["rules"])


def object_expressions(subject: Object) -> Iterator[str]:
    """The queries of a PrometheusRule, a ScaledObject, or a ConfigMap with dashboards or rules."""
    return _OF_KIND.get(subject.kind, _none)(subject.data)


def _none(_data: Mapping[str, Any]) -> Iterator[str]:
    return iter(())


def _rule_object(data: Mapping[str, Any]) -> Iterator[str]:
    return rule_expressions(data["spec"])


def _scaled_object(data: Mapping[str, Any]) -> Iterator[str]:
    return (t["metadata"]["query"] for t in data["spec"]["triggers"] if t["type"] == "prometheus")


def _config_map(data: Mapping[str, Any]) -> Iterator[str]:
    for name, text in (data.get("data") or {}).items():
        if name.endswith(".json") and "panels" in json.loads(text):
            yield from dashboard_expressions(text)


_OF_KIND: dict[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    "PrometheusRule": _rule_object,
    "ScaledObject": _scaled_object,
    "ConfigMap": _config_map,
}
