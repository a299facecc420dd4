"""The panels of a server of language models: what a reader feels, what waits, the cache, the tokens, the GPU.

In: the series that the server has. Out: Panels, of which each has data where the server runs. No server is asked.
"""

from __future__ import annotations

from toolkit.deploy.dashboard import Panel, Query
from toolkit.deploy.llm_series import LlmSeries
from toolkit.deploy.metrics import RATE_WINDOW

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_TITLES = {
    "ttft": "Time to first token",
    "tpot": "Time per output token of a request",
    "itl": "Gap between two tokens",
    "latency": "Whole request",
}


def llm_panels(series: LlmSeries, *, gpu: bool) -> tuple[Panel, ...]:
    """The panels of a server; `gpu`: with the memory of its GPUs."""
    times = tuple(_quantiles(series, name) for name in _TITLES if name in series.times)
    found = [_load(series), _requests(series)]
    found += [_tokens(series)] if series.generated else []
    found += [_cache(series)] if series.cache_use else []
    return (*times, *found, *((_gpu_memory(series),) if gpu else ()))


def _quantiles(series: LlmSeries, name: str) -> Panel:
    histogram = series.times[name]
    buckets = f"sum by (le, {series.label}) (rate({histogram.name}_bucket[{RATE_WINDOW}]))"
    return Panel(
        title=_TITLES[name],
        unit="s" if histogram.per_s == 1 else "ms",
        queries=tuple(
            Query(legend=f"{_legend(series)} {word}", expression=f"histogram_quantile({quantile}, {buckets})")
            for word, quantile in _QUANTILES.items()
        ),
    )


def _load(series: LlmSeries) -> Panel:
    gauges = {"waiting": series.waiting, "running": series.running}
    queries = tuple(
        Query(legend=f"{_legend(series)} {word}", expression=f"sum by ({series.label}) ({gauge})")
        for word, gauge in gauges.items()
        if gauge
    )
    return Panel(title="Requests in the server", unit="short", queries=queries)


def _requests(series: LlmSeries) -> Panel:
    ended = {"failed": series.failed} | {
        "ended" if len(series.requests) == 1 else "answered": name for name in series.requests if name != series.failed
    }
    return Panel(
        title="Requests that ended",
        unit="reqps",
        queries=tuple(_rate(series, f"{_legend(series)} {word}", name) for word, name in ended.items()),
    )


def _tokens(series: LlmSeries) -> Panel:
    return Panel(
        title="Tokens written per second", unit="short", queries=(_rate(series, _legend(series), series.generated),)
    )


def _cache(series: LlmSeries) -> Panel:
    expression = f"max by ({series.label}) ({series.cache_use})"
    return Panel(
        title="Key/value cache in use",
        unit="percentunit",
        queries=(Query(legend=_legend(series), expression=expression),),
    )


def _gpu_memory(series: LlmSeries) -> Panel:
    expression = f"max by ({series.gpu_label}) ({series.gpu_used} / {series.gpu_total})"
    return Panel(
        title="GPU memory in use",
        unit="percentunit",
        queries=(Query(legend=f"{{{{{series.gpu_label}}}}}", expression=expression),),
    )


def _rate(series: LlmSeries, legend: str, counter: str) -> Query:
    return Query(legend=legend, expression=f"sum by ({series.label}) (rate({counter}[{RATE_WINDOW}]))")


def _legend(series: LlmSeries) -> str:
    return f"{{{{{series.label}}}}}"
