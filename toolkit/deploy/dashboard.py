"""The Grafana dashboard, from one table of panels: title, unit, queries.

In: a title, the measured model, whether the target has a GPU. Out: the dashboard's JSON. No server is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.deploy.burn import SUMMARY_QUANTILES
from toolkit.deploy.metrics import QUEUE_US_PER_REQUEST, promql_text, rate, ratio
from toolkit.records import to_json

#: The uid under which provisioning/datasources/prometheus.yaml gives Prometheus to Grafana.
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}

_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3
_PER_MODEL = "{{model}}"
_SUCCESS = rate("nv_inference_request_success")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A PromQL expression and the legend of its series, in Grafana's `{{label}}` notation."""

    legend: str
    expression: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart. `unit` is Grafana's name for the unit of all its queries."""

    title: str
    unit: str
    queries: tuple[Query, ...]


def panels_for(model: str, *, gpu: bool) -> tuple[Panel, ...]:
    """The panels of a deployment whose measured model is `model`."""
    return (_latency(model), *_MODEL_PANELS, *(_GPU_PANELS if gpu else ()))


def dashboard_json(title: str, uid: str, panels: tuple[Panel, ...], *, tag: str = "triton") -> str:
    """The dashboard as Grafana provisions it; `uid` has at most 40 characters."""
    dashboard = {
        "uid": uid[:40],
        "title": title,
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "tags": [tag],
        "panels": [_panel(panel, number) for number, panel in enumerate(panels)],
    }
    return to_json(dashboard)


def _panel(panel: Panel, number: int) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": f"Q{index}", "datasource": DATASOURCE, "expr": query.expression, "legendFormat": query.legend}
            for index, query in enumerate(panel.queries)
        ],
    }


def _latency(model: str) -> Panel:
    summary = "max (nv_inference_request_summary_us{{model={model},quantile={quantile}}})"
    queries = tuple(
        Query(legend=name, expression=summary.format(model=promql_text(model), quantile=promql_text(quantile)))
        for name, quantile in SUMMARY_QUANTILES.items()
    )
    return Panel(title="Latency of the measured model, inside the server", unit="µs", queries=queries)


def _by_model(title: str, unit: str, expression: str) -> Panel:
    return Panel(title=title, unit=unit, queries=(Query(legend=_PER_MODEL, expression=expression),))


def _per_request(part: str) -> Query:
    return Query(
        legend=f"{_PER_MODEL} {part.replace('_', ' ')}",
        expression=ratio(rate(f"nv_inference_{part}_duration_us"), _SUCCESS),
    )


_MODEL_PANELS = (
    _by_model("Requests answered", "reqps", _SUCCESS),
    _by_model("Requests failed", "reqps", rate("nv_inference_request_failure")),
    _by_model("Queue time per request", "µs", QUEUE_US_PER_REQUEST),
    _by_model("Requests pending", "short", "sum by (model) (nv_inference_pending_request_count)"),
    _by_model("Mean batch size", "short", ratio(rate("nv_inference_count"), rate("nv_inference_exec_count"))),
    Panel(
        title="Compute time per request",
        unit="µs",
        queries=tuple(_per_request(part) for part in ("compute_input", "compute_infer", "compute_output")),
    ),
    Panel(
        title="CPU of the machine",
        unit="percentunit",
        queries=(Query(legend="all cores", expression="nv_cpu_utilization"),),
    ),
    Panel(
        title="Memory of the machine",
        unit="bytes",
        queries=(
            Query(legend="used", expression="nv_cpu_memory_used_bytes"),
            Query(legend="total", expression="nv_cpu_memory_total_bytes"),
        ),
    ),
)

_PER_GPU = "{{gpu_uuid}}"

_GPU_PANELS = (
    Panel(
        title="GPU",
        unit="percentunit",
        queries=(Query(legend=_PER_GPU, expression="nv_gpu_utilization"),),
    ),
    Panel(
        title="GPU memory",
        unit="bytes",
        queries=(
            Query(legend=f"{_PER_GPU} used", expression="nv_gpu_memory_used_bytes"),
            Query(legend=f"{_PER_GPU} total", expression="nv_gpu_memory_total_bytes"),
        ),
    ),
    Panel(title="GPU power", unit="watt", queries=(Query(legend=_PER_GPU, expression="nv_gpu_power_usage"),)),
)
