"""One load point from end to end: drive the load, read the server's statistics around the window, compute the figures.

In: an endpoint, request bytes and a Load. Out: a Measurement and its Records. It does not start servers or judge.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from toolkit.errors import ServerTrouble
from toolkit.load.engine import TIMEOUT_S, Check, Progress, drive
from toolkit.load.measurement import Measurement, ModelSplit, TimeSplit, Warning
from toolkit.load.metrics import measurement_from_records, time_split
from toolkit.load.pattern import Load, load_text
from toolkit.load.request_records import Records
from toolkit.load.telemetry import Snapshot, model_splits, snapshot
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
    timeout_s: float = TIMEOUT_S,
    check: Check | None = None,
    progress: Progress | None = None,
) -> tuple[Measurement, Records]:
    """Measure one load point on `model`; `models` are the ones whose statistics are read besides it.

    Statistics are read by a thread of their own at the start and at the end of the window, while the load goes on:
    stopping it would empty the server's queues. Triton counts a request when it completes, so for the time split the
    client's requests are cut at the same two instants by their completion. Without statistics the figures of the
    client stand alone, and a warning says why. Raises what `drive` raises; `timeout_s` and `check` are as there.
    """
    names = (model, *(name for name in models if name != model))
    over = threading.Event()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="statistics") as thread:
        reading = thread.submit(_snapshots, endpoint, names, load, over)
        try:
            records = drive(endpoint, requests, load, timeout_s=timeout_s, check=check, progress=progress)
        finally:
            over.set()
    splits, split, warned = _server_side(reading, records)
    return measurement_from_records(records, load, models=splits, split=split, warned=warned), records


def _snapshots(
    endpoint: Endpoint, names: Sequence[str], load: Load, over: threading.Event
) -> tuple[Snapshot, Snapshot]:
    """Statistics at the start and the end of the window, the latter at once when the load is over before."""
    over.wait(load.warmup_s)
    before = snapshot(endpoint, names)
    over.wait(load.duration_s)
    return before, snapshot(endpoint, names)


def _server_side(
    reading: Future[tuple[Snapshot, Snapshot]], records: Records
) -> tuple[tuple[ModelSplit, ...], TimeSplit | None, tuple[Warning, ...]]:
    try:
        before, after = reading.result()
        splits = model_splits(before, after)
    except ServerTrouble as err:
        text = f"there is no server-side split: {err.message}; see the server's log"
        return (), None, (Warning(kind="NoServerStatistics", text=text, figure=0.0, threshold=1.0),)
    return splits, time_split(records, splits, before.at_ns, after.at_ns), ()
