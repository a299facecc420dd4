"""perf_analyzer's two result files: the CSV of `-f`, and the JSON of `--profile-export-file`.

perf_analyzer starts its clock when it really sends. In a closed loop that is also the intended send. Of an open loop
(`--request-rate-range`) its times are therefore *service* times, and the latency from the intended send, which it does
not tell, stays empty (triton-inference-server/server#3113).
The CSV gives percentiles and the mean of each part of a request; count, errors, minimum and maximum are not in it. The
JSON gives every request of every window, those that it found unstable too; figures are of its last three windows, on
which perf_analyzer itself reports.
Source: triton-inference-server/perf_analyzer, src/report_writer.cc and src/profile_data_exporter.cc.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np

from toolkit.load.importers.results import (
    NOTHING,
    ImportedPoint,
    Results,
    closed_loop,
    measured_point,
    open_loop,
    records_of,
    stated_measurement,
    stated_times,
)
from toolkit.load.pattern import Concurrency, Load

TOOL = "perf_analyzer"
RATE = "Inferences/Second"
#: The parts of a request whose means add up to that of the whole.
PARTS = (
    "Client Send",
    "Network+Server Send/Recv",
    "Server Queue",
    "Server Compute Input",
    "Server Compute Infer",
    "Server Compute Output",
    "Client Recv",
)
REPORTED_WINDOWS = 3


def is_csv(text: str) -> bool:
    """Whether text begins as the CSV of `-f`."""
    return text.startswith(("Concurrency,", "Request Rate,")) and RATE in text.partition("\n")[0]


def is_json(text: str) -> bool:
    """Whether text begins as the JSON of `--profile-export-file`."""
    return text.startswith("{") and '"experiments"' in text[:200]


def results_from_csv(text: str) -> Results:
    """Every row of the CSV. It does not name its version or model."""
    points = tuple(_csv_point(row) for row in csv.DictReader(io.StringIO(text)))
    return Results(tool=TOOL, version="", model="", points=points)


def _csv_point(row: dict[str, str]) -> ImportedPoint:
    name = "Concurrency" if "Concurrency" in row else "Request Rate"
    load = _load("concurrency" if name == "Concurrency" else "request_rate", float(row[name]), None)
    quantiles = {
        float(column[1:-8]) / 100: float(value) * 1e-6
        for column, value in row.items()
        if column.startswith("p") and column.endswith(" latency")
    }
    # The mean of the whole stands in the file with --verbose-csv only; else its parts, each rounded to 1 us, make it.
    mean_us = float(row["Avg latency"]) if "Avg latency" in row else _sum_of_parts(row)
    times = stated_times(quantiles, mean_s=None if mean_us is None else mean_us * 1e-6)
    return ImportedPoint(
        measurement=stated_measurement(
            TOOL,
            load,
            latency=times if isinstance(load, Concurrency) else NOTHING,
            service=times,
            throughput_per_s=float(row[RATE]),
        )
    )


def _sum_of_parts(row: dict[str, str]) -> float | None:
    return sum(float(row[part]) for part in PARTS) if all(row.get(part) for part in PARTS) else None


def results_from_json(text: str) -> Results:
    """Every experiment of the JSON, with records where latencies can be told from them."""
    document = json.loads(text)
    version = str(document.get("version", ""))
    engine = f"{TOOL} {version}".strip()
    points = tuple(_json_point(engine, experiment) for experiment in document["experiments"])
    return Results(tool=TOOL, version=version, model="", points=points)


def _json_point(engine: str, experiment: dict[str, Any]) -> ImportedPoint:
    edges = [int(edge) for edge in experiment["window_boundaries"]][-REPORTED_WINDOWS - 1 :]
    answered = [r for r in experiment["requests"] if r["response_timestamps"]]
    sent = [int(request["timestamp"]) for request in answered]
    times = [[int(t) for t in request["response_timestamps"]] for request in answered]
    streamed = any(len(t) > 1 for t in times)
    # perf_analyzer counts what completes in a window, we what is sent in it; the last window ends with what completed.
    records = records_of(
        intended_ns=sent,
        sent_ns=sent,
        first_ns=[t[0] for t in times],
        done_ns=[t[-1] for t in times],
        status=[200] * len(sent),
        window_ns=(edges[0], edges[-1]),
        responses=[len(t) for t in times] if streamed else (),
        response_ns=np.concatenate(times).tolist() if streamed else (),
    )
    asked, window_s = experiment["experiment"], (edges[-1] - edges[0]) / 1e9
    point = measured_point(engine, _load(asked["mode"], asked["value"], window_s), records)
    if isinstance(point.measurement.load, Concurrency):
        return point
    return ImportedPoint(measurement=dataclasses.replace(point.measurement, latency=NOTHING, offered_per_s=None))


def _load(mode: str, value: float, window_s: float | None) -> Load:
    """Closed loop or open; the CSV and the JSON do not tell how an open one spaces its requests: by default evenly."""
    if mode == "concurrency":
        return closed_loop(int(value), window_s)
    return open_loop(float(value), "constant", window_s)
