"""The alerts of a server of language models: the SLO's error budget burning, a queue, a full cache, errors, GPU memory.

In: the series that the server has, and the SLO. Out: Alerts with what must and must not fire them. Of a time the SLO
allows a share of requests beyond a limit; an alert fires when that share is used up many times too fast, over a short
and a long window (Google, The Site Reliability Workbook, chapter 5).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toolkit.deploy.alert import ANY, DEFAULT_ERROR_SHARE, Alert, Series, down, model_alert
from toolkit.deploy.burn import BURNS, Burn
from toolkit.deploy.llm_series import Histogram, LlmSeries
from toolkit.load.slo import Criterion, Slo
from toolkit.tune.words import time_text

#: More than this of a key/value cache in use, and the next sequences push others out. An assumption.
_FULL_CACHE = 0.95
#: Engines take nine tenths of a GPU at once; beyond this, something else is on it. An assumption.
_FULL_GPU = 0.98
#: How long a pace has to last.
_LASTING = {"Fast": "2m", "Slow": "5m"}
_WORDS = {"ttft": "to the first token", "tpot": "for each token", "itl": "between two tokens", "latency": "in all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limit:
    """A time that all but a share `budget` of requests keep, and the bucket at or above it."""

    metric: str
    limit_s: float
    budget: float
    histogram: Histogram
    bound: float


def llm_alerts(series: LlmSeries, slo: Slo, *, job: str) -> tuple[Alert, ...]:
    """The alerts of a server that Prometheus scrapes as `job`."""
    shares = [c.limit for c in slo.criteria if c.metric == "errors"]
    found = [down("LlmServerDown", job), _errors(series, min(shares, default=DEFAULT_ERROR_SHARE)), _queue(series)]
    found += [_cache(series)] if series.cache_use else []
    found += [_stalled(series)] if series.running and series.generated else []
    burns = [_burn(series, limit, burn) for limit in _limits(series, slo) for burn in BURNS]
    return (*found, _gpu_memory(series), *burns)


def is_watched(criterion: Criterion, series: LlmSeries) -> bool:
    """Whether an alert watches a criterion: the server has a histogram of all that it limits."""
    if criterion.metric == "errors":
        return True
    wanted = len(criterion.within) or 1
    return len(list(_limits(series, Slo(criteria=(criterion,))))) == wanted


def _limits(series: LlmSeries, slo: Slo) -> Iterator[_Limit]:
    """Every limit of the SLO that a histogram of the server can tell of."""
    for criterion in slo.criteria:
        pairs = [(bound.metric, bound.limit_s, 1 - criterion.limit) for bound in criterion.within]
        if criterion.quantile is not None:
            pairs = [(criterion.metric, criterion.limit, 1 - criterion.quantile)]
        for metric, limit_s, budget in pairs:
            histogram = series.times.get(metric)
            bounds = () if histogram is None else tuple(b for b in histogram.bounds if b >= limit_s * histogram.per_s)
            if histogram is not None and bounds:
                yield _Limit(metric=metric, limit_s=limit_s, budget=budget, histogram=histogram, bound=min(bounds))


def _burn(series: LlmSeries, limit: _Limit, burn: Burn) -> Alert:
    threshold = burn.share(limit.budget)
    shares = " and ".join(f"{_beyond(series, limit, window)} > {threshold:.4g}" for window in (burn.short, burn.long))
    bucket, count = f"{limit.histogram.name}_bucket", f"{limit.histogram.name}_count"
    label = f'{series.label}="{ANY}"'
    within = f'{bucket}{{{label},le="{limit.bound:g}"}}'
    return model_alert(
        label=series.label,
        name=f"Llm{limit.metric.capitalize()}Burn{burn.name}",
        expression=shares,
        lasting=_LASTING[burn.name],
        severity=burn.severity,
        message=(
            f"more than {100 * threshold:.3g} % take longer than "
            f"{time_text(limit.bound / limit.histogram.per_s)} {_WORDS[limit.metric]}, over {burn.short} and "
            f"{burn.long} (the SLO allows {100 * limit.budget:.3g} % beyond {time_text(limit.limit_s)})"
        ),
        breach=(Series(series=within, values="0x40"), Series(series=f"{count}{{{label}}}", values="0+10x40")),
        quiet=(Series(series=within, values="0+10x40"), Series(series=f"{count}{{{label}}}", values="0+10x40")),
    )


def _beyond(series: LlmSeries, limit: _Limit, window: str) -> str:
    """The share of requests beyond the bucket; 0 where nothing is asked. Buckets are written `1` and `1.0`."""
    number = f"{limit.bound:g}".replace(".", "[.]")
    le = number if "." in f"{limit.bound:g}" else f"{number}([.]0)?"
    within = f'sum by ({series.label}) (rate({limit.histogram.name}_bucket{{le=~"{le}"}}[{window}]))'
    every = f"sum by ({series.label}) (rate({limit.histogram.name}_count[{window}]))"
    return f"({every} - {within}) / clamp_min({every}, 0.001)"


def _errors(series: LlmSeries, limit: float) -> Alert:
    failed = _rate(series, series.failed)
    # A counter that counts both is the sum; two that count one each are added where either has ended a request.
    every = " + ".join(_rate(series, name) for name in series.requests)
    return model_alert(
        label=series.label,
        name="LlmErrors",
        expression=f"{failed} / clamp_min({every}, 0.001) > {limit:g}",
        lasting="5m",
        severity="critical",
        message=f"more than {100 * limit:g} % of the requests fail",
        breach=_ended(series, failing=True),
        quiet=_ended(series, failing=False),
    )


def _ended(series: LlmSeries, *, failing: bool) -> tuple[Series, ...]:
    """Ten requests at each scrape, of which all or none fail."""
    succeeding = tuple(
        Series(series=_labelled(series, name, 'finished_reason="stop"' if len(series.requests) == 1 else ""), values=v)
        for name, v in ((name, "0+10x40" if not failing else "0x40") for name in series.requests)
        if name != series.failed
    )
    failed = Series(series=_labelled(series, series.failed), values="0+10x40" if failing else "0x40")
    return (*succeeding, failed)


def _queue(series: LlmSeries) -> Alert:
    return model_alert(
        label=series.label,
        name="LlmQueueGrowing",
        expression=f"min_over_time((sum by ({series.label}) ({series.waiting}))[5m:15s]) > 0",
        lasting="2m",
        severity="warning",
        message="requests have been waiting without a break for 5 min; add replicas or shed load",
        breach=(Series(series=_labelled(series, series.waiting), values="3x40"),),
        quiet=(Series(series=_labelled(series, series.waiting), values="0 3 0 3 0 3 0 3 0 3 0 3 0x40"),),
    )


def _cache(series: LlmSeries) -> Alert:
    return model_alert(
        label=series.label,
        name="LlmCacheFull",
        expression=f"max by ({series.label}) ({series.cache_use}) > {_FULL_CACHE}",
        lasting="5m",
        severity="warning",
        message=f"more than {100 * _FULL_CACHE:g} % of the key/value cache is in use: sequences push each other out",
        breach=(Series(series=_labelled(series, series.cache_use), values="0.99x40"),),
        quiet=(Series(series=_labelled(series, series.cache_use), values="0.9x40"),),
    )


def _stalled(series: LlmSeries) -> Alert:
    running, generated = f"sum by ({series.label}) ({series.running})", _rate(series, series.generated)
    return model_alert(
        label=series.label,
        name="LlmStalled",
        expression=f"{running} > 0 and {generated} == 0",
        lasting="2m",
        severity="critical",
        message="requests are running and no token comes",
        breach=(
            Series(series=_labelled(series, series.running), values="2x40"),
            Series(series=_labelled(series, series.generated), values="7x40"),
        ),
        quiet=(
            Series(series=_labelled(series, series.running), values="2x40"),
            Series(series=_labelled(series, series.generated), values="0+9x40"),
        ),
    )


def _gpu_memory(series: LlmSeries) -> Alert:
    label, used = series.gpu_label, series.gpu_used
    return Alert(
        name="GpuMemoryFull",
        expression=f"max by ({label}) ({used} / {series.gpu_total}) > {_FULL_GPU}",
        lasting="5m",
        severity="warning",
        subject=f"{{{{ $labels.{label} }}}}",
        tested_subject="gpu",
        message=f"more than {100 * _FULL_GPU:g} % of the GPU's memory is in use",
        labels={label: "gpu"},
        breach=_memory(series, used=99),
        quiet=_memory(series, used=90),
    )


def _memory(series: LlmSeries, *, used: int) -> tuple[Series, ...]:
    other = {"DCGM_FI_DEV_FB_USED": ("DCGM_FI_DEV_FB_FREE", 100 - used)}.get(series.gpu_used, (series.gpu_total, 100))
    pairs = ((series.gpu_used, used), other)
    return tuple(Series(series=f'{name}{{{series.gpu_label}="gpu"}}', values=f"{value}x40") for name, value in pairs)


def _rate(series: LlmSeries, counter: str) -> str:
    return f"sum by ({series.label}) (rate({counter}[2m]))"


def _labelled(series: LlmSeries, name: str, more: str = "") -> str:
    """A series of the tests: the metric, with the labels that its selector names."""
    metric, _, named = name.partition("{")
    labels = [f'{series.label}="{ANY}"', *filter(None, (named.rstrip("}"), more))]
    return f"{metric}{{{','.join(labels)}}}"
