"""What watches a deployment in a cluster: alerts, dashboard, and the metric that autoscalers compare with their target.

In: a DeploymentSpec and its namespace. Out: what the templates of these overlays print.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.deploy.alert import Alert
from toolkit.deploy.dashboard import dashboard_json
from toolkit.deploy.metrics import QUEUE, promql_text, queue_per_request
from toolkit.deploy.observed import alerts_of, panels_of
from toolkit.deploy.spec import DeploymentSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """`adapter_series` and `adapter_query` are in prometheus-adapter's notation, `keda_query` is plain PromQL."""

    alerts: tuple[Alert, ...]
    dashboard: str
    adapter_series: str
    adapter_query: str
    keda_query: str


def watch_of(spec: DeploymentSpec, namespace: str) -> Watch:
    """What watches a deployment in `namespace`."""
    return Watch(
        alerts=alerts_of(spec),
        dashboard=dashboard_json(spec.title, spec.slug, panels_of(spec)),
        adapter_series=f'{QUEUE}{{namespace!="",pod!=""}}',
        adapter_query=queue_per_request(spec.model, "<<.LabelMatchers>>", " by (<<.GroupBy>>)"),
        keda_query=queue_per_request(spec.model, f"namespace={promql_text(namespace)}"),
    )
