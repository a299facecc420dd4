"""GuideLLM's JSON report: every benchmark in it, with records where every request is in the file.

GuideLLM plans when each request is due (`targeted_start`): latency counts from there, service from `request_start`.
Figures that it states itself (request_scheduled_latency, request_latency) are taken only where the file holds a sample
of the requests. Requests that were cut off at the end are neither successes nor failures. Times of single tokens are
not in the file, so records tell the first one only.
Source: vllm-project/guidellm, schemas of report version 2 by version 0.8.1.
"""

from __future__ import annotations

import json
import re
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.load.importers.results import (
    ImportedPoint,
    Results,
    closed_loop,
    measured_point,
    open_loop,
    records_of,
    seconds,
    stated_measurement,
    stated_times,
)
from toolkit.load.measurement import Distribution, ErrorCount
from toolkit.load.outcome import CONNECTION_CLOSED, TIMED_OUT
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.request_records import Records

TOOL = "GuideLLM"


def is_json(text: str) -> bool:
    """Whether text begins as a report."""
    return text.startswith("{") and '"guidellm_version"' in text[:2000]


def results_from_json(text: str) -> Results:
    """Every benchmark of the report."""
    document = json.loads(text)
    version = str(document["metadata"]["guidellm_version"])
    benchmarks = document["benchmarks"]
    models = {str(b["config"].get("backend", {}).get("model") or "") for b in benchmarks}
    points = tuple(_point(f"{TOOL} {version}", benchmark) for benchmark in benchmarks)
    return Results(tool=TOOL, version=version, model=",".join(sorted(models - {""})), points=points)


def _point(engine: str, benchmark: dict[str, Any]) -> ImportedPoint:
    load = _load(benchmark)
    made, kept = benchmark["scheduler_metrics"]["requests_made"], benchmark["requests"]
    whole = all(len(kept.get(kind) or ()) == made[kind] for kind in ("successful", "errored"))
    return measured_point(engine, load, _records(benchmark)) if whole else _stated(engine, load, benchmark)


def _records(benchmark: dict[str, Any]) -> Records:
    metrics = benchmark["scheduler_metrics"]
    rows = [*benchmark["requests"]["successful"], *benchmark["requests"]["errored"]]
    times = [row["info"]["timings"] for row in rows]
    done = [_ns(t["request_end"] or t["resolve_end"]) for t in times]
    return records_of(
        intended_ns=[_ns(t["targeted_start"]) for t in times],
        sent_ns=[_ns(t["request_start"] or t["resolve_start"]) for t in times],
        first_ns=[
            _ns(t["first_token_iteration"]) if t["first_token_iteration"] else end
            for t, end in zip(times, done, strict=True)
        ],
        done_ns=done,
        status=[_status(row["info"].get("error")) for row in rows],
        # The edges as GuideLLM has them; its last request may end a little after the last edge, on which it is counted.
        window_ns=(_ns(metrics["start_time"]), max(_ns(metrics["measure_end_time"]), max(done, default=0)) + 1),
    )


def _ns(unix_s: float) -> int:
    return round(unix_s * 1e9)


def _status(error: str | None) -> int:
    """The HTTP status in GuideLLM's words, else a time-out or a lost connection; 200 without an error."""
    if error is None:
        return 200
    status = re.search(r"error '(\d{3}) ", error)
    if status:
        return int(status[1])
    return TIMED_OUT if "timeout" in error.lower() else CONNECTION_CLOSED


def _stated(engine: str, load: Load, benchmark: dict[str, Any]) -> ImportedPoint:
    metrics, made = benchmark["metrics"], benchmark["scheduler_metrics"]["requests_made"]
    failed = int(made["errored"])
    latency, service = _times(metrics.get("request_scheduled_latency")), _times(metrics["request_latency"])
    if latency.is_empty and isinstance(load, Concurrency):  # GuideLLM states it of open loops only
        latency = service
    return ImportedPoint(
        measurement=stated_measurement(
            engine,
            load,
            latency=latency,
            service=service,
            throughput_per_s=float(metrics["requests_per_second"]["successful"]["mean"]),
            requests=int(made["successful"]) + failed,
            errors=(ErrorCount(kind="failed", count=failed),) if failed else (),
            window_s=float(benchmark["duration"]),
        )
    )


def _times(metric: dict[str, Any] | None) -> Distribution:
    times = (metric or {}).get("successful") or {}
    percentiles = times.get("percentiles") or {}
    return stated_times(
        {q / 100: seconds(percentiles.get(f"p{q}"), 1.0) for q in (50, 90, 95, 99)},
        mean_s=seconds(times.get("mean"), 1.0),
        count=times.get("count"),
        minimum_s=seconds(times.get("min"), 1.0),
        maximum_s=seconds(times.get("max"), 1.0),
    )


def _load(benchmark: dict[str, Any]) -> Load:
    """The strategy that was driven. Raises ConfigurationError for one that we have no word for."""
    strategy = benchmark["config"]["strategy"]
    if strategy["type_"] in ("synchronous", "concurrent"):
        return closed_loop(int(strategy.get("streams", 1)), float(benchmark["duration"]))
    if strategy["type_"] in ("constant", "poisson"):
        return open_loop(float(strategy["rate"]), strategy["type_"], float(benchmark["duration"]))
    raise ConfigurationError(
        f"a benchmark of this GuideLLM report is {strategy['type_']!r}; expected synchronous, concurrent, constant or "
        "poisson"
    )
