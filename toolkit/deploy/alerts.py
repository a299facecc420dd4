"""The alerts of a deployment, each with the series that must and must not fire it (promtool's rule tests).

In: the measured model and the SLO. Out: a tuple of Alert. This module does not know how Prometheus is deployed.
"""

from __future__ import annotations

from toolkit.deploy.alert import (
    ANY,
    DEFAULT_ERROR_SHARE,
    MODEL_LABEL,
    Alert,
    Series,
    counters,
    down,
    failing,
    model_alert,
)
from toolkit.deploy.burn import SUMMARY_QUANTILES, error_burns, latency_burn, latency_name, summary_series
from toolkit.deploy.metrics import QUEUE_US_PER_REQUEST, rate, ratio
from toolkit.load.slo import Criterion, Slo

#: Where the SLO has no latency limit: a queue this long is trouble for any interactive caller. An assumption.
_DEFAULT_QUEUE_US = 100_000

#: Triton's own models and arenas take what they need when they load; beyond this, the next allocation may fail.
_FULL_GPU = 0.95


def alerts_for(model: str, slo: Slo, *, gpu: bool = False) -> tuple[Alert, ...]:
    """The alerts of a deployment whose measured model is `model`; limits come from the SLO where it has them."""
    alerted = tuple(c for c in slo.criteria if is_alerted(c))
    latencies = tuple(a(model, c) for c in alerted if c.metric == "latency" for a in (_latency_alert, latency_burn))
    error_share = min((c.limit for c in alerted if c.metric == "errors"), default=DEFAULT_ERROR_SHARE)
    return (
        down("TritonDown", "triton"),
        _errors(error_share),
        *error_burns(error_share),
        _queue(slo),
        _stalled(),
        *((_gpu_memory(),) if gpu else ()),
        *latencies,
    )


def is_alerted(criterion: Criterion) -> bool:
    """Whether the server itself can tell that a criterion is broken; throughput and client times it cannot know."""
    return criterion.metric == "errors" or (criterion.metric == "latency" and criterion.statistic in SUMMARY_QUANTILES)


def _errors(limit: float) -> Alert:
    failure, success = rate("nv_inference_request_failure"), rate("nv_inference_request_success")
    return model_alert(
        name="TritonErrors",
        expression=f"{ratio(failure, f'({failure} + {success})')} > {limit:g}",
        lasting="5m",
        severity="critical",
        message=f"more than {100 * limit:g} % of the requests fail",
        breach=failing((1 + limit) / 2),
        quiet=failing(limit / 2),
    )


def _gpu_memory() -> Alert:
    used, total = "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"

    def seen(share: float) -> tuple[Series, ...]:
        values = {used: f"{share * 100:g}x40", total: "100x40"}
        return tuple(Series(series=f'{name}{{gpu_uuid="{ANY}"}}', values=value) for name, value in values.items())

    return Alert(
        name="TritonGpuMemoryFull",
        expression=f"max by (gpu_uuid) ({used} / {total}) > {_FULL_GPU}",
        lasting="5m",
        severity="warning",
        subject="{{ $labels.gpu_uuid }}",
        tested_subject=ANY,
        message=f"more than {100 * _FULL_GPU:g} % of the GPU's memory is taken; fewer instances, or a larger GPU",
        labels={"gpu_uuid": ANY},
        breach=seen((1 + _FULL_GPU) / 2),
        quiet=seen(_FULL_GPU - 0.01),
    )


def _queue(slo: Slo) -> Alert:
    limits_s = [c.limit for c in slo.criteria if c.metric == "latency"]
    limit_us = round(min(limits_s) * 1e6 / 2) if limits_s else _DEFAULT_QUEUE_US
    source = "half of the SLO's latency limit" if limits_s else "a default, since the SLO has no latency limit"
    return model_alert(
        name="TritonQueueGrowing",
        expression=f"{QUEUE_US_PER_REQUEST} > {limit_us}",
        lasting="5m",
        severity="warning",
        message=f"requests wait more than {limit_us} us in the queue ({source}); add replicas or shed load",
        breach=counters(nv_inference_request_success="0+10x40", nv_inference_queue_duration_us=f"0+{limit_us * 20}x40"),
        quiet=counters(nv_inference_request_success="0+10x40", nv_inference_queue_duration_us=f"0+{limit_us}x40"),
    )


def _stalled() -> Alert:
    pending, success = "sum by (model) (nv_inference_pending_request_count)", rate("nv_inference_request_success")
    return model_alert(
        name="TritonStalled",
        expression=f"{pending} > 0 and {success} == 0",
        lasting="2m",
        severity="critical",
        message="requests are pending and none is finished",
        breach=counters(nv_inference_pending_request_count="5x40", nv_inference_request_success="7x40"),
        quiet=counters(nv_inference_pending_request_count="5x40", nv_inference_request_success="0+1x40"),
    )


def _latency_alert(model: str, criterion: Criterion) -> Alert:
    limit_us, series = round(criterion.limit * 1e6), summary_series(model, criterion)
    return Alert(
        name=latency_name(criterion),
        expression=f"max by (model) ({series}) > {limit_us}",
        lasting="5m",
        severity="critical",
        subject=MODEL_LABEL,
        tested_subject=model,
        message=f"{criterion.statistic} inside the server exceeds the SLO's {limit_us} us",
        labels={"model": model},
        breach=(Series(series=series, values=f"{limit_us + 1}x40"),),
        quiet=(Series(series=series, values=f"{limit_us}x40"),),
    )
