"""AIPerf's `profile_export_aiperf.json` (summary), and the `profile_export.jsonl` (a request a line) beside it.

AIPerf issues a credit when a request is due, and starts the request when a worker took it: latency counts from the
credit (AIPerf's effective_latency), service from the start (its request_latency, which ends with the last token rather
than with the last byte). Without credits the latency of an open loop stays empty. The load stands in the summary only,
so the lines need it beside them.
Source: ai-dynamo/aiperf, metrics/derived_latency.py; files of schema 1.4 by version 0.13.0.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.load.importers.results import (
    NOTHING,
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
from toolkit.load.outcome import CONNECTION_CLOSED, TIMED_OUT, kind_of
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.request_records import Records

TOOL = "AIPerf"
SUMMARY = "profile_export_aiperf.json"
UNIT_S = {"ms": 1e-3, "sec": 1.0, "us": 1e-6, "ns": 1e-9}


def is_json(text: str) -> bool:
    """Whether text begins as the summary."""
    return text.startswith("{") and '"aiperf_version"' in text[:1000]


def is_jsonl(text: str) -> bool:
    """Whether text begins as a line of the requests."""
    return text.startswith('{"metadata"') and '"request_start_ns"' in text[:2000]


def results_from_json(text: str) -> Results:
    """The one point of the summary, as AIPerf states it."""
    document = json.loads(text)
    load, version = _load(document), str(document["aiperf_version"])
    succeeded = int(document["request_count"]["avg"])
    service = _times(document.get("request_latency"))
    latency = _times(document.get("effective_latency"))
    if latency.count != succeeded:  # AIPerf counts failed requests in it, with the time that their failure took
        latency = service if isinstance(load, Concurrency) else NOTHING
    errors = tuple(ErrorCount(kind=_kind(e["error_details"]), count=int(e["count"])) for e in document["error_summary"])
    measurement = stated_measurement(
        f"{TOOL} {version}",
        load,
        latency=latency,
        service=service,
        throughput_per_s=float(document["request_throughput"]["avg"]),
        requests=succeeded + sum(error.count for error in errors),
        errors=errors,
        window_s=float(document["benchmark_duration"]["avg"]),
    )
    return Results(tool=TOOL, version=version, model=_model(document), points=(ImportedPoint(measurement=measurement),))


def results_from_jsonl(text: str, path: Path) -> Results:
    """The one point of the requests in `path`, with records. Raises ConfigurationError without the summary."""
    summary = path.with_name(SUMMARY)
    if not summary.is_file():
        raise ConfigurationError(
            f"{path} does not say which load was driven, and there is no {SUMMARY} beside it",
            mend=f"keep {SUMMARY} of the same run in the same folder",
        )
    document = json.loads(summary.read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    phases = [row for row in rows if row["metadata"]["benchmark_phase"] == "profiling"]
    version = str(document["aiperf_version"])
    point = measured_point(f"{TOOL} {version}", _load(document), _records(phases))
    return Results(tool=TOOL, version=version, model=_model(document), points=(point,))


def _records(rows: Sequence[dict[str, Any]]) -> Records:
    sent = [int(row["metadata"]["request_start_ns"]) for row in rows]
    intended = [int(row["metadata"].get("credit_issued_ns") or start) for row, start in zip(rows, sent, strict=True)]
    done = [int(row["metadata"]["request_end_ns"]) for row in rows]
    first = [s + _metric_ns(row, "time_to_first_token", end - s) for row, s, end in zip(rows, sent, done, strict=True)]
    gaps = [row["metrics"].get("inter_chunk_latency", {}).get("value", []) for row in rows]
    streamed = any(gaps)
    moments = [
        list(itertools.accumulate((round(gap * 1e6) for gap in between), initial=start)) if between else []
        for start, between in zip(first, gaps, strict=True)
    ]
    return records_of(
        intended_ns=intended,
        sent_ns=sent,
        first_ns=first,
        done_ns=done,
        status=[_status(row.get("error")) for row in rows],
        window_ns=(min(intended), max(done) + 1),
        responses=[len(m) for m in moments] if streamed else (),
        response_ns=[moment for m in moments for moment in m] if streamed else (),
    )


def _metric_ns(row: dict[str, Any], name: str, default: int) -> int:
    value = row["metrics"].get(name)
    return default if value is None else round(float(value["value"]) * UNIT_S[value["unit"]] * 1e9)


def _status(error: dict[str, Any] | None) -> int:
    if error is None:
        return 200
    code = error.get("code")
    if code and 100 <= int(code) < 600:
        return int(code)
    return TIMED_OUT if "timeout" in str(error.get("type", "")).lower() else CONNECTION_CLOSED


def _kind(error: dict[str, Any]) -> str:
    return kind_of(_status(error))


def _times(metric: dict[str, Any] | None) -> Distribution:
    if metric is None:
        return NOTHING
    unit_s = UNIT_S[metric["unit"]]
    return stated_times(
        {q / 100: seconds(metric.get(f"p{q}"), unit_s) for q in (50, 90, 95, 99)},
        mean_s=seconds(metric.get("avg"), unit_s),
        count=metric.get("count"),
        minimum_s=seconds(metric.get("min"), unit_s),
        maximum_s=seconds(metric.get("max"), unit_s),
    )


def _load(document: dict[str, Any]) -> Load:
    """The load of the phase that AIPerf reports on. Raises ConfigurationError for one that we have no word for."""
    phases = [p for p in document["input_config"].get("phases", ()) if p.get("kind", p.get("name")) == "profiling"]
    phase = phases[-1] if phases else {}
    window_s = float(document["benchmark_duration"]["avg"])
    if phase.get("type") == "concurrency":
        return closed_loop(int(phase["concurrency"]), window_s)
    if phase.get("type") in ("poisson", "constant", "gamma"):
        variation = float(phase.get("smoothness") or 1.0) ** -0.5 if phase["type"] == "gamma" else 1.0
        return open_loop(float(phase["rate"]), phase["type"], window_s, variation=variation)
    raise ConfigurationError(
        f"the profiling phase of this AIPerf result is {phase.get('type')!r}; expected concurrency, poisson, constant "
        "or gamma"
    )


def _model(document: dict[str, Any]) -> str:
    return ",".join(str(item["name"]) for item in document["input_config"]["models"]["items"])
