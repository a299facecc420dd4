"""MLPerf's scenarios through the real LoadGen, against any served model, over our own connections.

In: a scenario, an endpoint and request bytes. Out: a ScenarioResult, LoadGen's own verdict and figures, and beside it
our Measurement and Records of the very same requests. LoadGen runs in a process of its own (loadgen_worker.py); its
logs stay in the folder given. Nothing of this is an MLPerf result, and every value of it says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from toolkit.errors import ServerTrouble, UsageError
from toolkit.extras import require
from toolkit.load.connection import WireProtocol, prepared
from toolkit.load.engine import TIMEOUT_S, Progress, drive
from toolkit.load.importers.loadgen import LABEL
from toolkit.load.loadgen_account import DETAIL_FILE, LoadgenAccount, read_account
from toolkit.load.loadgen_process import work
from toolkit.load.loadgen_scenario import Offline, Scenario, loadgen_settings
from toolkit.load.loadgen_worker import WorkerSpec
from toolkit.load.measurement import Certificate, Measurement, Warning
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import Concurrency
from toolkit.load.request_records import Records
from toolkit.load.sweep import measurement_of, names_of
from toolkit.load.window import Window, observing
from toolkit.serve.server import Endpoint

MAX_WARMUP_CLIENTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioResult:
    """What LoadGen made of a scenario. `loadgen` is None where the run was cut short: then it says nothing.

    LoadGen has no notion of a failure: `failed` requests count as answered in its figures, and its verdict holds only
    where there are none.
    """

    scenario: Scenario
    loadgen: LoadgenAccount | None
    failed: int
    label: str = LABEL

    @property
    def is_valid(self) -> bool:
        """Whether LoadGen found the run valid and nothing failed that it could not see."""
        return self.loadgen is not None and self.loadgen.verdict == "VALID" and not self.failed


def run_scenario(
    endpoint: Endpoint,
    model: str,
    models: Sequence[str],
    requests: Sequence[bytes],
    scenario: Scenario,
    folder: Path,
    *,
    protocol: WireProtocol = "http",
    timeout_s: float = TIMEOUT_S,
    progress: Progress | None = None,
    certificate: Certificate | None = None,
) -> tuple[ScenarioResult, Measurement, Records]:
    """Run one of MLPerf's scenarios with LoadGen against `model`, LoadGen's logs and the records kept in `folder`.

    LoadGen knows no warm-up, so some of our own load goes before, and tells how many queries LoadGen should prepare.
    Then LoadGen decides what is sent when; the samples of its library are `requests`. The measurement is of all the
    requests that LoadGen judged, and no others. Ctrl-C, and a server that is gone for a second, end it: then LoadGen
    gives no account, and `Records.ended` says why. Arguments that are not named here are as in `measure_point`.
    Raises MissingDependency without mlcommons-loadgen, UsageError for a streaming protocol or without requests,
    ServerTrouble when no request of the warm-up succeeds or the worker fails.
    """
    require("mlperf_loadgen")
    if protocol in ("sse", "grpc-stream"):
        raise UsageError(
            f"LoadGen scenarios are not driven over {protocol}", mend="use --protocol http or grpc, or --concurrency"
        )
    names, load, ready = names_of(model, models), scenario.load, prepared(requests, endpoint, protocol)
    latency_s, rate_per_s = _warm_up(endpoint, requests, scenario, protocol, timeout_s)
    spec = WorkerSpec(
        endpoint=endpoint,
        protocol=protocol,
        folder=folder,
        scenario=type(scenario).__name__,
        settings=loadgen_settings(scenario, latency_s=latency_s, rate_per_s=rate_per_s),
        connections=scenario.connections,
        by_turn=isinstance(scenario, Offline),
        timeout_s=timeout_s,
        request_bytes=tuple(map(len, ready)),
    )
    with observing(endpoint, names, endpoint.pid) as window:
        records = work(spec, ready, _follower(window, scenario, progress), window.close)
    measurement = measurement_of(records, load, window.observed(), names)
    account = read_account(folder / DETAIL_FILE) if records.ended == "complete" else None
    failed = int((~records.succeeded).sum())
    warned = (*measurement.warnings, _blind(failed, len(records.status))) if failed else measurement.warnings
    measurement = dataclasses.replace(measurement, engine="LoadGen", certificate=certificate, warnings=warned)
    return ScenarioResult(scenario=scenario, loadgen=account, failed=failed), measurement, records


def _follower(window: Window, scenario: Scenario, progress: Progress | None) -> Callable[[int], None]:
    """Opens the window at the worker's first word, and passes on what it tells."""
    began_s = perf_counter()

    def follow(finished: int) -> None:
        window.open()
        if progress is not None:
            progress(min(1.0, (perf_counter() - began_s) / scenario.min_duration_s), finished)

    return follow


def _warm_up(
    endpoint: Endpoint, requests: Sequence[bytes], scenario: Scenario, protocol: WireProtocol, timeout_s: float
) -> tuple[float, float]:
    """The median latency in seconds and the requests per second of a short closed loop."""
    load = Concurrency(
        clients=min(scenario.connections, MAX_WARMUP_CLIENTS), duration_s=scenario.warmup_s, warmup_s=0.0
    )
    records = drive(endpoint, requests, load, protocol=protocol, timeout_s=timeout_s)
    if records.interrupted:
        raise KeyboardInterrupt
    warmup = measurement_from_records(records, load)
    if not warmup.latency.count:
        words = ", ".join(f"{error.count} {error.kind}" for error in warmup.errors) or "no answer"
        raise ServerTrouble(
            f"none of the {warmup.requests} requests of the warm-up succeeded: {words}",
            mend="send one with toolkit infer and read its error",
        )
    return warmup.latency.at(0.5).value_s, warmup.throughput_per_s


def _blind(failed: int, requests: int) -> Warning:
    text = (
        f"{failed} of {requests} requests failed; LoadGen takes every completion for an answer, so its figures and its "
        "verdict do not hold; those beside them count the failures as misses"
    )
    return Warning(kind="LoadGenBlind", text=text, figure=failed / requests, threshold=0.0)
