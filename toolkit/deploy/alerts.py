"""The alerts of a deployment, each with the series that must and must not fire it (promtool's rule tests).

In: the measured model and the SLO. Out: a tuple of Alert. This module does not know how Prometheus is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.deploy.metrics import QUEUE_US_PER_REQUEST, promql_text, rate, ratio
from toolkit.load.slo import Criterion, Slo

#: The quantiles that Triton's request summary keeps, by the SLO's word for them.
SUMMARY_QUANTILES = {"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "p99.9": "0.999"}

#: Where the SLO has no latency limit: a queue this long is trouble for any interactive caller. An assumption.
_DEFAULT_QUEUE_US = 100_000

#: Where the SLO does not limit errors: an assumption too.
_DEFAULT_ERROR_SHARE = 0.01

#: The model that an alert is about, in Prometheus' template notation.
_MODEL_LABEL = "{{ $labels.model }}"

#: A model label for the rule tests of alerts that watch every model.
_ANY = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """An input series of a rule test, in promtool's notation `start+step x times`."""

    series: str
    values: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A Prometheus alerting rule. `labels` are those of the series that `breach` makes it fire for.

    `subject` is what the annotations say it is about, as a Prometheus template; `tested_subject` what that expands to.
    """

    name: str
    expression: str
    lasting: str
    severity: str
    subject: str
    tested_subject: str
    message: str
    labels: dict[str, str]
    breach: tuple[Series, ...]
    quiet: tuple[Series, ...]

    @property
    def summary(self) -> str:
        """The annotation as the rule has it."""
        return f"{self.subject}: {self.message}"

    @property
    def tested_summary(self) -> str:
        """The annotation as the rule test expects it."""
        return f"{self.tested_subject}: {self.message}"

    @property
    def tested_labels(self) -> dict[str, str]:
        """The labels that the rule test expects."""
        return {**self.labels, "severity": self.severity}


def alerts_for(model: str, slo: Slo) -> tuple[Alert, ...]:
    """The alerts of a deployment whose measured model is `model`; limits come from the SLO where it has them."""
    alerted = tuple(c for c in slo.criteria if is_alerted(c))
    latencies = tuple(_latency_alert(model, c) for c in alerted if c.metric == "latency")
    error_share = min((c.limit for c in alerted if c.metric == "errors"), default=_DEFAULT_ERROR_SHARE)
    return (_down(), _errors(error_share), _queue(slo), _stalled(), *latencies)


def is_alerted(criterion: Criterion) -> bool:
    """Whether the server itself can tell that a criterion is broken; throughput and client times it cannot know."""
    return criterion.metric == "errors" or (criterion.metric == "latency" and criterion.statistic in SUMMARY_QUANTILES)


def _down() -> Alert:
    up = 'up{job="triton"}'
    return Alert(
        name="TritonDown",
        expression=f"max by (job) ({up}) == 0",
        lasting="1m",
        severity="critical",
        subject="triton",
        tested_subject="triton",
        message="the metrics endpoint has not answered for a minute",
        labels={"job": "triton"},
        breach=(Series(series=up, values="0x40"),),
        quiet=(Series(series=up, values="1x40"),),
    )


def _errors(limit: float) -> Alert:
    failure, success = rate("nv_inference_request_failure"), rate("nv_inference_request_success")
    return _model_alert(
        name="TritonErrors",
        expression=f"{ratio(failure, f'({failure} + {success})')} > {limit:g}",
        lasting="5m",
        severity="critical",
        message=f"more than {100 * limit:g} % of the requests fail",
        breach=_failing((1 + limit) / 2),
        quiet=_failing(limit / 2),
    )


def _queue(slo: Slo) -> Alert:
    limits_s = [c.limit for c in slo.criteria if c.metric == "latency"]
    limit_us = round(min(limits_s) * 1e6 / 2) if limits_s else _DEFAULT_QUEUE_US
    source = "half of the SLO's latency limit" if limits_s else "a default, since the SLO has no latency limit"
    return _model_alert(
        name="TritonQueueGrowing",
        expression=f"{QUEUE_US_PER_REQUEST} > {limit_us}",
        lasting="5m",
        severity="warning",
        message=f"requests wait more than {limit_us} us in the queue ({source}); add replicas or shed load",
        breach=_counters(
            nv_inference_request_success="0+10x40", nv_inference_queue_duration_us=f"0+{limit_us * 20}x40"
        ),
        quiet=_counters(nv_inference_request_success="0+10x40", nv_inference_queue_duration_us=f"0+{limit_us}x40"),
    )


def _stalled() -> Alert:
    pending, success = "sum by (model) (nv_inference_pending_request_count)", rate("nv_inference_request_success")
    return _model_alert(
        name="TritonStalled",
        expression=f"{pending} > 0 and {success} == 0",
        lasting="2m",
        severity="critical",
        message="requests are pending and none is finished",
        breach=_counters(nv_inference_pending_request_count="5x40", nv_inference_request_success="7x40"),
        quiet=_counters(nv_inference_pending_request_count="5x40", nv_inference_request_success="0+1x40"),
    )


def _latency_alert(model: str, criterion: Criterion) -> Alert:
    limit_us = round(criterion.limit * 1e6)
    quantile = SUMMARY_QUANTILES[criterion.statistic]
    series = f'nv_inference_request_summary_us{{model={promql_text(model)},quantile="{quantile}"}}'
    return Alert(
        name="TritonLatency" + criterion.statistic.capitalize().replace(".", ""),
        expression=f"max by (model) ({series}) > {limit_us}",
        lasting="5m",
        severity="critical",
        subject=_MODEL_LABEL,
        tested_subject=model,
        message=f"{criterion.statistic} inside the server exceeds the SLO's {limit_us} us",
        labels={"model": model},
        breach=(Series(series=series, values=f"{limit_us + 1}x40"),),
        quiet=(Series(series=series, values=f"{limit_us}x40"),),
    )


def _model_alert(
    *,
    name: str,
    expression: str,
    lasting: str,
    severity: str,
    message: str,
    breach: tuple[Series, ...],
    quiet: tuple[Series, ...],
) -> Alert:
    """An alert that watches every model on its own."""
    return Alert(
        name=name,
        expression=expression,
        lasting=lasting,
        severity=severity,
        subject=_MODEL_LABEL,
        tested_subject=_ANY,
        message=message,
        labels={"model": _ANY},
        breach=breach,
        quiet=quiet,
    )


def _failing(share: float) -> tuple[Series, ...]:
    """A thousand requests per scrape of which `share` fail."""
    failed = round(1000 * share, 6)
    return _counters(
        nv_inference_request_success=f"0+{1000 - failed:g}x40", nv_inference_request_failure=f"0+{failed:g}x40"
    )


def _counters(**values: str) -> tuple[Series, ...]:
    return tuple(Series(series=f'{metric}{{model="{_ANY}"}}', values=value) for metric, value in values.items())
