"""Every metric of a load point, declared once: name, unit, direction, formula, function. Tables iterate over METRICS.

In: a Measurement. Out: a number in the metric's unit (seconds are shown in another unit only when shown), or None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from toolkit.load.measurement import Distribution, Measurement, TimeSplit
from toolkit.load.metrics import QUANTILES, RARE_QUANTILES
from toolkit.load.request_metrics import ITL, request_metric

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A declared metric. `better` is empty where neither direction is."""

    name: str
    unit: str
    better: Better
    formula: str
    value: Callable[[Measurement], float | None]


def metric_named(name: str) -> Metric:
    """The metric `name`. Raises KeyError for one that is not declared."""
    return {metric.name: metric for metric in METRICS}[name]


def _streamed(name: str) -> Callable[[Measurement], Distribution]:
    """One distribution of the streams; an empty one where nothing was streamed."""

    def times(measurement: Measurement) -> Distribution:
        nothing = Distribution(count=0, mean_s=None, minimum_s=None, maximum_s=None, quantiles=())
        return nothing if measurement.streams is None else getattr(measurement.streams, name)

    return times


def _times(name: str, formula: str, times: Callable[[Measurement], Distribution]) -> tuple[Metric, ...]:
    def quantile_metric(q: float) -> Metric:
        def value(measurement: Measurement) -> float | None:
            return next((found.value_s for found in times(measurement).quantiles if abs(found.q - q) < 1e-9), None)

        text = f"order statistic of rank ceil({q:g} n) of {formula}, successful requests of the window"
        return Metric(name=f"{name}.p{100 * q:g}", unit="s", better="lower", formula=text, value=value)

    def mean(measurement: Measurement) -> float | None:
        return None if times(measurement).is_empty else times(measurement).mean_s

    text = f"mean of {formula}, successful requests of the window"
    return (
        Metric(name=f"{name}.mean", unit="s", better="lower", formula=text, value=mean),
        *(quantile_metric(q) for q in (*QUANTILES, *RARE_QUANTILES)),
    )


def _part(name: str, formula: str, part: Callable[[TimeSplit], float]) -> Metric:
    def value(measurement: Measurement) -> float | None:
        return None if measurement.split is None else part(measurement.split)

    return Metric(name=f"split.{name}", unit="s", better="lower", formula=formula, value=value)


def _error_rate(measurement: Measurement) -> float | None:
    return measurement.failed_requests / measurement.requests if measurement.requests else None


def _batch_size(measurement: Measurement) -> float | None:
    batches = measurement.models[0].batches if measurement.models else ()
    executions = sum(batch.executions for batch in batches)
    return sum(batch.size * batch.executions for batch in batches) / executions if executions else None


METRICS: tuple[Metric, ...] = (
    *_times("latency", request_metric("latency").formula, lambda m: m.latency),
    *_times("service", request_metric("service").formula, lambda m: m.service),
    *_times("ttft", request_metric("ttft").formula, _streamed("ttft")),
    *_times("tpot", request_metric("tpot").formula, _streamed("tpot")),
    *_times("itl", ITL.formula, _streamed("itl")),
    Metric(
        name="tokens.mean",
        unit="tokens/s",
        better="higher",
        formula="responses of successful streamed requests that came within the window / window; a response is a token",
        value=lambda m: None if m.streams is None else m.streams.tokens_per_s,
    ),
    Metric(
        name="tokens.per_request",
        unit="tokens",
        better="",
        formula="mean number of responses of a successful streamed request of the window",
        value=lambda m: None if m.streams is None else m.streams.tokens,
    ),
    Metric(
        name="goodput.mean",
        unit="requests/s",
        better="higher",
        formula="successes of the window that kept every time limit of the SLO / window",
        value=lambda m: None if m.goodput is None else m.goodput.per_s,
    ),
    Metric(
        name="goodput.share",
        unit="ratio",
        better="higher",
        formula="successes of the window that kept every time limit of the SLO / requests of the window",
        value=lambda m: None if m.goodput is None else m.goodput.share,
    ),
    Metric(
        name="throughput.mean",
        unit="requests/s",
        better="higher",
        formula="successes done within the window / window",
        value=lambda m: m.throughput_per_s,
    ),
    Metric(
        name="throughput.offered",
        unit="requests/s",
        better="",
        formula="intended sends of an open loop within the window / window",
        value=lambda m: m.offered_per_s,
    ),
    Metric(
        name="errors.rate",
        unit="ratio",
        better="lower",
        formula="failed requests / all requests of the window; a time-out and a wrong answer are failures",
        value=_error_rate,
    ),
    _part("queue", "Triton's queue time, of an ensemble with that of its steps / requests", lambda s: s.queue_s),
    _part("input", "Triton's compute_input time / requests", lambda s: s.input_s),
    _part("infer", "Triton's compute_infer time / requests", lambda s: s.infer_s),
    _part("output", "Triton's compute_output time / requests", lambda s: s.output_s),
    _part("network", "mean(done - real send) - Triton's success time / requests, at least 0", lambda s: s.network_s),
    _part("client", "mean(real send - intended send)", lambda s: s.client_s),
    _part("remainder", "mean latency - all other parts", lambda s: s.remainder_s),
    Metric(
        name="batch_size.mean",
        unit="rows",
        better="",
        formula="sum(size * executions) / sum(executions) of the model that was called",
        value=_batch_size,
    ),
    Metric(
        name="client.cpu_share",
        unit="cores",
        better="lower",
        formula="CPU time of the load generator's busiest process in the window / window",
        value=lambda m: None if m.client is None else m.client.cpu_share,
    ),
    Metric(
        name="client.cpu_per_request",
        unit="s",
        better="lower",
        formula="CPU time of the load generator in the window / requests finished in it",
        value=lambda m: None if m.client is None else m.client.cpu_per_request_s,
    ),
    Metric(
        name="client.send_lag_p99",
        unit="s",
        better="lower",
        formula="order statistic of rank ceil(0.99 n) of real send - intended send, of an open loop",
        value=lambda m: None if m.client is None else m.client.send_lag_p99_s,
    ),
)
