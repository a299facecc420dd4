"""Several processes that drive one load: what they do together is what one would do, and none outlives the call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_checks import INFER, assert_as_scheduled, assert_in_order, kinds

from toolkit.errors import ServerTrouble, ToolkitError, UsageError
from toolkit.load.engine import drive
from toolkit.load.engine.job import Schedule, jobs_from_load
from toolkit.load.null_server import Behaviour, NullServer, null_server
from toolkit.load.pattern import Concurrency, Load, RequestRate, arrivals_s
from toolkit.load.request_records import read_records
from toolkit.serve.server import Endpoint

NOWHERE = Endpoint(http="127.0.0.1:1")
CLIENTS = Concurrency(clients=3, duration_s=0.5, warmup_s=0.1)
RATE = RequestRate(rate_per_s=200.0, duration_s=0.6, warmup_s=0.1, max_connections=9)


@pytest.fixture(scope="module")
def server() -> Iterator[NullServer]:
    """A null server of 2 ms."""
    with null_server(Behaviour(service_s=0.002, capacity=4)) as server:
        yield server


def worker_pids(parent: int) -> list[int]:
    """The load processes among the children of a process."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
    return [pid for pid in children if b"load.engine.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_clients_are_shared_out_and_records_merged(server: NullServer) -> None:
    seen: list[tuple[float, int]] = []
    records = drive(
        server.endpoint,
        INFER,
        CLIENTS,
        processes=2,
        check=lambda payload, _length, _body: payload != 1,
        progress=lambda share, finished: seen.append((share, finished)),
    )
    assert (records.processes, records.connections, records.ended) == (2, 3, "complete")
    assert set(kinds(records)) == {"HTTP 200", "wrong answer"}
    assert set(records.payload[records.status == -5].tolist()) == {1}
    assert records.checked == len(records.answers) > 3
    assert 0 < records.busiest_cpu_ns < records.client_cpu_ns
    assert records.window_end_ns - records.window_start_ns == 500_000_000
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert 0 < seen[-1][1] <= len(records.status)
    assert_in_order(records)
    assert not worker_pids(os.getpid())


def test_arrivals_are_dealt_and_none_is_lost(server: NullServer) -> None:
    records = drive(server.endpoint, INFER, RATE, processes=2)
    assert_as_scheduled(records, RATE)
    assert kinds(records) == {"HTTP 200": len(arrivals_s(RATE))}
    assert np.ptp(np.bincount(records.payload, minlength=3)) <= 2


@pytest.mark.parametrize(("load", "most"), [(CLIENTS, 3), (RATE, 9)])
def test_jobs_add_up_to_the_load(load: Load, most: int) -> None:
    for processes in range(1, most + 1):
        jobs = jobs_from_load(NOWHERE, INFER, load, protocol="http", processes=processes, timeout_s=1.0)
        assert len(jobs) == processes
        assert sum(job.connections for job in jobs) == most
        assert np.ptp([job.connections for job in jobs]) <= 1
        dealt = [job.part.offsets_ns for job in jobs if isinstance(job.part, Schedule)]
        if dealt:
            assert sorted(ns for part in dealt for ns in part) == np.round(arrivals_s(RATE) * 1e9).tolist()
            assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


@pytest.mark.parametrize(("load", "processes", "name"), [(CLIENTS, 4, "clients"), (RATE, 10, "max"), (RATE, 0, "max")])
def test_more_processes_than_there_is_work_for(load: Load, processes: int, name: str) -> None:
    with pytest.raises(UsageError, match=rf"processes is {processes}; expected 1 to \d, the load's {name}"):
        drive(NOWHERE, INFER, load, processes=processes)


def test_what_a_worker_cannot_do_is_said_here() -> None:
    with pytest.raises(ServerTrouble, match=r"no-such-host\.invalid") as caught:
        drive(Endpoint(http="no-such-host.invalid:80"), INFER, CLIENTS, processes=2)
    assert caught.value.mend


def test_a_worker_that_dies_is_an_error_with_its_last_words(server: NullServer) -> None:
    def kill_one(_share: float, finished: int) -> None:
        if finished > 20 and (pids := worker_pids(os.getpid())):
            os.kill(pids[0], signal.SIGKILL)

    with pytest.raises(ToolkitError, match=r"load process \d of 2 ended with exit code -9"):
        drive(server.endpoint, INFER, Concurrency(clients=2, duration_s=60.0), processes=2, progress=kill_one)
    assert not worker_pids(os.getpid())


SCRIPT = """
import sys
from pathlib import Path
from toolkit.load.engine import drive
from toolkit.load.pattern import Concurrency
from toolkit.load.request_records import write_records
from toolkit.serve.server import Endpoint

request = b"POST /v2/models/null/infer HTTP/1.1\\r\\nHost: null\\r\\nContent-Length: 0\\r\\n\\r\\n"
load = Concurrency(clients=2, duration_s=60.0, warmup_s=0.01)
said = lambda share, finished: print(finished, flush=True)
write_records(Path(sys.argv[2]), drive(Endpoint(http=sys.argv[1]), [request], load, processes=2, progress=said))
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_keeps_the_records_and_nothing_outlives_the_caller(
    server: NullServer, tmp_path: Path, ending: signal.Signals
) -> None:
    """The script has no main guard, as a notebook has none."""
    place = tmp_path / "records.npz"
    command = [sys.executable, "-c", SCRIPT, server.endpoint.http, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 20:
            pass
        workers = worker_pids(process.pid)
        assert len(workers) == 2
        process.send_signal(ending)
        process.communicate(timeout=20)
    wait_until_gone(workers)
    if ending == signal.SIGINT:
        records = read_records(place)
        assert process.returncode == 0 and records.interrupted and records.processes == 2
        assert kinds(records) == {"HTTP 200": len(records.status)} and len(records.status) > 20


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of the processes runs; the test's time-out is the limit."""
    while any(Path(f"/proc/{pid}/stat").exists() and not is_zombie(pid) for pid in pids):
        time.sleep(0.02)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and nobody has asked for its exit code."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
