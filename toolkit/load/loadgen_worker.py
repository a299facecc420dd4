"""MLPerf LoadGen in a process of its own: it has threads and state of its own, and cannot be stopped from within.

    python -m toolkit.load.loadgen_worker < SPEC

In: on standard input one line of JSON, a WorkerSpec, then the bytes of the requests; the input then stays open, and
its end means that nobody waits any more. Out: LoadGen's logs and RECORDS in the spec's folder, and on standard output
the number of finished requests, a line 20 times a second, until the load is over.
LoadGen runs in a thread; its callbacks hand the ids of samples over to our loop in the main thread. The answers are not
given to LoadGen: in performance mode it only wants to know when they came. It takes every completion for a success.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any, BinaryIO

from toolkit.extras import require
from toolkit.load.connection import WireProtocol
from toolkit.load.engine.job import Clients, Job
from toolkit.load.engine.merge import records_from_shares
from toolkit.load.engine.process import ahead_of_others, at_rest, descriptors_for
from toolkit.load.loadgen_loop import QueryLoop
from toolkit.load.request_records import write_records
from toolkit.records import from_data
from toolkit.serve.server import Endpoint

RECORDS = "records.npz"
FOR_EVER_NS = 1 << 61


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What the worker is to do. `settings` are LoadGen's TestSettings by name; `scenario` by its own name.

    `request_bytes` are the lengths of the requests that follow, one for each sample of LoadGen's library.
    """

    endpoint: Endpoint
    protocol: WireProtocol
    folder: Path
    scenario: str
    settings: dict[str, float]
    connections: int
    by_turn: bool
    timeout_s: float
    request_bytes: tuple[int, ...]


def read_work(stream: BinaryIO) -> tuple[WorkerSpec, tuple[bytes, ...]]:
    """The spec and the requests from the beginning of a stream."""
    spec: WorkerSpec = from_data(WorkerSpec, json.loads(stream.readline()), "the worker's spec")
    return spec, tuple(stream.read(length) for length in spec.request_bytes)


def main() -> None:
    """Run LoadGen until it ends, the server is lost, or nobody waits any more."""
    lg: Any = require("mlperf_loadgen")
    spec, requests = read_work(sys.stdin.buffer)
    loop = QueryLoop(
        job_of(spec, requests),
        lambda sample: lg.QuerySamplesComplete([lg.QuerySampleResponse(sample, 0, 0)]),
        _report,
        by_turn=spec.by_turn,
    )
    threading.excepthook = _end_badly
    load = threading.Thread(target=_load, args=(lg, spec, loop, len(requests)), daemon=True)
    with descriptors_for(spec.connections), at_rest(), ahead_of_others() as is_ahead:
        begin_ns = perf_counter_ns()
        load.start()
        loop.run(begin_ns)
        # Whoever watches the server during the load need not wait for what comes now.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        loop.close()
    write_records(spec.folder / RECORDS, records_from_shares([loop.share(is_ahead=is_ahead)], None))
    # Not an ordinary exit: where the test was cut short, LoadGen's thread waits for answers that will not come.
    os._exit(0)


def job_of(spec: WorkerSpec, requests: tuple[bytes, ...]) -> Job:
    """The engine's job: no end of its own, since LoadGen says when it is over."""
    return Job(
        endpoint=spec.endpoint,
        requests=requests,
        protocol=spec.protocol,
        part=Clients(count=spec.connections),
        warmup_ns=0,
        duration_ns=FOR_EVER_NS,
        timeout_ns=int(spec.timeout_s * 1e9),
        first_payload=0,
    )


def _end_badly(failure: threading.ExceptHookArgs) -> None:
    """Without LoadGen's thread the loop would wait for ever."""
    threading.__excepthook__(failure)
    os._exit(1)


def _report(finished: int) -> bool:
    """Say how many requests are finished; False when nobody listens any more."""
    try:
        os.write(1, f"{finished}\n".encode())
    except BrokenPipeError:
        return False
    return not select.select([0], [], [], 0)[0]


def _load(lg: Any, spec: WorkerSpec, loop: QueryLoop, samples: int) -> None:
    """LoadGen's thread: the whole test, its summary included."""
    settings, logs = lg.TestSettings(), lg.LogSettings()
    settings.scenario = getattr(lg.TestScenario, spec.scenario)
    settings.mode = lg.TestMode.PerformanceOnly
    for name, value in spec.settings.items():
        setattr(settings, name, type(getattr(settings, name))(value))
    logs.enable_trace = False
    logs.log_output.outdir = str(spec.folder)
    system = lg.ConstructFastSUT(loop.issue, lambda: None)
    library = lg.ConstructQSL(samples, samples, lambda _: None, lambda _: None)
    lg.StartTestWithLogSettings(system, library, settings, logs)
    loop.finish()


if __name__ == "__main__":
    main()
