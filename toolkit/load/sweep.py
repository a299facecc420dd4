"""One load point from end to end: drive the load, look at the server around the window, compute the figures.

In: an endpoint, request bytes and a Load. Out: a Measurement and its Records. It does not start servers or judge.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from toolkit.errors import ServerTrouble
from toolkit.load import warnings
from toolkit.load.connection import WireProtocol
from toolkit.load.engine import TIMEOUT_S, Check, Progress, drive
from toolkit.load.measurement import Certificate, Measurement, ModelSplit, TimeSplit, Warning
from toolkit.load.metrics import measurement_from_records, time_split
from toolkit.load.pattern import Load, load_text
from toolkit.load.process_tree import process_use
from toolkit.load.request_records import Records
from toolkit.load.server_metrics import server_metrics
from toolkit.load.telemetry import model_splits
from toolkit.load.window import Observed, observing
from toolkit.serve.server import Endpoint


def describe(load: Load) -> str:
    """A load in words: "8 clients for 5 s after 1 s of warm-up"."""
    return f"{load_text(load)} for {load.duration_s:g} s after {load.warmup_s:g} s of warm-up"


def measure_point(
    endpoint: Endpoint,
    model: str,
    models: Sequence[str],
    requests: Sequence[bytes],
    load: Load,
    *,
    protocol: WireProtocol = "http",
    processes: int = 1,
    timeout_s: float = TIMEOUT_S,
    check: Check | None = None,
    progress: Progress | None = None,
    certificate: Certificate | None = None,
) -> tuple[Measurement, Records]:
    """Measure one load point on `model`; `models` are the ones whose statistics are read besides it.

    The server is looked at by a thread of its own at the start and at the end of the window, while the load goes on.
    Triton counts a request when it completes, so for the time split the client's requests are cut at the same two
    instants by their completion. Without statistics the figures of the client stand alone, and a warning says why.
    certificate: what is known of the engine on this machine, kept with the figures. Raises what `drive` raises; the
    other arguments are as there.
    """
    names = names_of(model, models)
    with observing(endpoint, names, endpoint.pid) as window:
        records = drive(
            endpoint,
            requests,
            load,
            protocol=protocol,
            processes=processes,
            timeout_s=timeout_s,
            check=check,
            progress=window.follow(load, progress),
        )
    measurement = measurement_of(records, load, window.observed(), names)
    return dataclasses.replace(measurement, certificate=certificate), records


def names_of(model: str, models: Sequence[str]) -> tuple[str, ...]:
    """The measured model first, then the others, each once."""
    return tuple(dict.fromkeys((model, *models)))


def measurement_of(records: Records, load: Load, observed: Observed, models: tuple[str, ...]) -> Measurement:
    """The figures of a window from the client's records and from what the server was seen to do meanwhile. Pure."""
    before, after = observed.before, observed.after
    splits, split, warned = _server_side(observed, records)
    throttled_s = after.cpu_throttled_s - before.cpu_throttled_s
    throttled = warnings.throttled(throttled_s, (records.window_end_ns - records.window_start_ns) / 1e9, observed.gpus)
    found = (*warned, throttled) if throttled else warned
    return dataclasses.replace(
        measurement_from_records(records, load, models=splits, split=split, warned=found),
        server=process_use(before.processes, after.processes),
        gpus=observed.gpus,
        server_metrics=server_metrics(before.metrics, after.metrics, models),
        cpu_throttled_s=throttled_s,
        statistics_ns=_span_ns(observed) if splits else None,
    )


def _span_ns(observed: Observed) -> tuple[int, int] | None:
    """When the server's statistics were taken, at both edges."""
    before, after = observed.before.statistics, observed.after.statistics
    return (before.at_ns, after.at_ns) if before and after else None


def _server_side(
    observed: Observed, records: Records
) -> tuple[tuple[ModelSplit, ...], TimeSplit | None, tuple[Warning, ...]]:
    before, after = observed.before, observed.after
    if before.statistics is None or after.statistics is None:
        return (), None, (_no_statistics(before.trouble or after.trouble),)
    try:
        splits = model_splits(before.statistics, after.statistics)
    except ServerTrouble as err:
        return (), None, (_no_statistics(err.message),)
    return splits, time_split(records, splits, before.statistics.at_ns, after.statistics.at_ns), ()


def _no_statistics(why: str) -> Warning:
    text = f"there is no server-side split: {why}; see the server's log"
    return Warning(kind="NoServerStatistics", text=text, figure=0.0, threshold=1.0)
