"""LoadGen's logs: `mlperf_log_detail.txt`, or the figures of `mlperf_log_summary.txt`. It is not an MLPerf result.

Server counts latency from the scheduled arrival, as we do. SingleStream and MultiStream send their next query when the
last one is answered: one client in a closed loop, a request being a query, so of several samples in MultiStream, whose
throughput is the queries over the time between `power_begin` and `power_end` in the detail. Offline sends everything at
once: a trace of one moment, its throughput in samples; its latency is that of the whole. LoadGen's verdict is kept as a
warning value with LoadGen's own reason.
Source: mlcommons/inference, loadgen/results.cc; logs of version 6.0.17.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.load.importers.results import (
    NOTHING,
    ImportedPoint,
    Results,
    closed_loop,
    open_loop,
    stated_measurement,
    stated_times,
)
from toolkit.load.measurement import ErrorCount, Warning
from toolkit.load.pattern import Concurrency, Load, Trace

TOOL = "LoadGen"
LABEL = "not an MLPerf result"
LOG_LINE = ":::MLLOG "
TIME = "%m-%d-%Y %H:%M:%S.%f"

#: Keys of the summary -> those of the detail.
SUMMARY_KEYS = {
    "Scenario": "effective_scenario",
    "Result is": "result_validity",
    "QPS w/ loadgen overhead": "result_qps_with_loadgen_overhead",
    "Completed samples per second": "result_completed_samples_per_sec",
    "Samples per second": "result_samples_per_second",
    "Scheduled samples per second": "result_scheduled_samples_per_sec",
    "Min latency (ns)": "result_min_latency_ns",
    "Max latency (ns)": "result_max_latency_ns",
    "Mean latency (ns)": "result_mean_latency_ns",
    "samples_per_query": "effective_samples_per_query",
    "target_qps": "effective_target_qps",
}
THROUGHPUT = {
    "SingleStream": "result_qps_with_loadgen_overhead",
    "Server": "result_completed_samples_per_sec",
    "Offline": "result_samples_per_second",
}


def is_detail(text: str) -> bool:
    """Whether text begins as mlperf_log_detail.txt."""
    return text.startswith(LOG_LINE)


def is_summary(text: str) -> bool:
    """Whether text begins as mlperf_log_summary.txt."""
    return "MLPerf Results Summary" in text[:200]


def results_from_detail(text: str) -> Results:
    """The one point of a detail log."""
    log = log_from_detail(text)
    return _results(log, str(log.get("loadgen_version", "")).partition(" ")[0])


def log_from_detail(text: str) -> dict[str, Any]:
    """What a detail log says, by key; of a key that it names more than once, the last."""
    lines = [line[len(LOG_LINE) :] for line in text.splitlines() if line.startswith(LOG_LINE)]
    return {entry["key"]: entry["value"] for entry in map(json.loads, lines)}


def results_from_summary(text: str) -> Results:
    """The one point of a summary, which does not name LoadGen's version."""
    log: dict[str, Any] = {}
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        percentile = re.fullmatch(r"([\d.]+) percentile latency \(ns\)", key)
        if percentile:
            log[f"result_{percentile[1]}_percentile_latency_ns"] = int(value)
        elif colon and key in SUMMARY_KEYS:
            log[SUMMARY_KEYS[key]] = _number(value)
    return _results(log, "")


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _results(log: Mapping[str, Any], version: str) -> Results:
    log, scenario = _of_queries(log), str(log.get("effective_scenario", ""))
    queries = log.get("result_query_count")
    quantiles = (0.5, 0.9, 0.95, 0.99)
    stated = {q: log.get(f"result_{100 * q:.2f}_percentile_latency_ns") for q in quantiles}
    times = stated_times(
        {q: None if value is None else value / 1e9 for q, value in stated.items()},
        mean_s=log["result_mean_latency_ns"] / 1e9,
        count=queries,
        minimum_s=log["result_min_latency_ns"] / 1e9,
        maximum_s=log["result_max_latency_ns"] / 1e9,
    )
    failed = int(log.get("num_errors", 0))
    load = _load(scenario, log)
    engine = f"{TOOL} {version}".strip() + f", {scenario} ({LABEL})"
    measurement = stated_measurement(
        engine,
        load,
        latency=times,
        service=times if isinstance(load, Concurrency) else NOTHING,
        throughput_per_s=_throughput_per_s(scenario, log),
        offered_per_s=log.get("result_scheduled_samples_per_sec"),
        requests=queries,
        errors=(ErrorCount(kind="LoadGen error", count=failed),) if failed else (),
        window_s=_window_s(log),
        warnings=_verdict(log),
    )
    return Results(tool=TOOL, version=version, model="", points=(ImportedPoint(measurement=measurement),))


def _of_queries(log: Mapping[str, Any]) -> Mapping[str, Any]:
    """The log with the times of queries in place of those of samples; MultiStream's detail holds both."""
    of_queries = {key: value for key, value in log.items() if key.endswith("_query_latency_ns")}
    return {**log, **{re.sub("(_per)?_query_latency_ns", "_latency_ns", key): v for key, v in of_queries.items()}}


def _load(scenario: str, log: Mapping[str, Any]) -> Load:
    if scenario in ("SingleStream", "MultiStream"):
        return closed_loop(1, _window_s(log))
    if scenario == "Server":
        return open_loop(float(log["effective_target_qps"]), "poisson", _window_s(log))
    if scenario == "Offline":
        return Trace(timestamps_s=(0.0,) * int(log["effective_samples_per_query"]))
    raise ConfigurationError(
        f"the scenario of this LoadGen log is {scenario!r}; expected SingleStream, MultiStream, Server or Offline"
    )


def _window_s(log: Mapping[str, Any]) -> float | None:
    """The time of the performance run, to the millisecond; None in a summary."""
    if "power_begin" not in log:
        return None
    begin, end = (datetime.strptime(log[key], TIME) for key in ("power_begin", "power_end"))
    return (end - begin).total_seconds()


def _throughput_per_s(scenario: str, log: Mapping[str, Any]) -> float:
    if scenario in THROUGHPUT:
        return float(log[THROUGHPUT[scenario]])
    window_s = _window_s(log)
    if not window_s:
        raise ConfigurationError(
            "the summary of LoadGen's MultiStream states no throughput", mend="import mlperf_log_detail.txt instead"
        )
    return float(log["result_query_count"]) / window_s


def _verdict(log: Mapping[str, Any]) -> tuple[Warning, ...]:
    validity = str(log.get("result_validity", ""))
    if validity == "VALID":
        return ()
    reason = re.sub(
        r"\s+", " ", str(log.get("result_invalid_reason") or log.get("early_stopping_result") or "")
    ).strip()
    text = f"LoadGen calls its run {validity}{': ' + reason if reason else ''}; run it for longer, or lower the rate"
    return (Warning(kind="LoadGenInvalid", text=text, figure=0.0, threshold=1.0),)
