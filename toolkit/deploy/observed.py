"""What is watched of a deployment: the alerts and panels that fit what its server tells Prometheus.

In: a DeploymentSpec, or the lock of a written bundle. Out: Alerts, Panels, and the names that may stand in them.
"""

from __future__ import annotations

from collections.abc import Collection

from toolkit.deploy.alert import Alert
from toolkit.deploy.alerts import alerts_for, is_alerted
from toolkit.deploy.dashboard import Panel, panels_for
from toolkit.deploy.llm_alerts import is_watched, llm_alerts
from toolkit.deploy.llm_panels import llm_panels
from toolkit.deploy.llm_series import OF_BACKEND, LlmSeries
from toolkit.deploy.metrics import METRICS
from toolkit.deploy.servers import SERVERS, TRITON
from toolkit.deploy.spec import DeploymentSpec
from toolkit.load.slo import Criterion


def series_of(server: str, backends: Collection[str]) -> LlmSeries | None:
    """What a server tells of generation, itself or by a backend that it is given; None where it generates nothing."""
    own = next((OF_BACKEND[name] for name in backends if name in OF_BACKEND), None)
    return SERVERS[server].series or own


def documented_metrics(server: str, backends: Collection[str]) -> frozenset[str]:
    """The metrics that a server documents; those of Triton for one that is not known here."""
    series = series_of(server if server in SERVERS else TRITON.name, backends)
    return METRICS if series is None else series.documented


def alerts_of(spec: DeploymentSpec) -> tuple[Alert, ...]:
    """The alerts of a deployment."""
    series = series_of(spec.server, spec.backends)
    return (
        alerts_for(spec.model, spec.slo, gpu=spec.gpu)
        if series is None
        else llm_alerts(series, spec.slo, job=spec.server)
    )


def is_watched_in(spec: DeploymentSpec, criterion: Criterion) -> bool:
    """Whether an alert of this deployment watches a criterion of its SLO."""
    series = series_of(spec.server, spec.backends)
    return is_alerted(criterion) if series is None else is_watched(criterion, series)


def panels_of(spec: DeploymentSpec) -> tuple[Panel, ...]:
    """The panels of a deployment's dashboard."""
    series = series_of(spec.server, spec.backends)
    return panels_for(spec.model, gpu=spec.gpu) if series is None else llm_panels(series, gpu=spec.gpu)
