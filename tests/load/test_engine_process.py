"""What the engine does to its own process, and what it needs of the machine: file descriptors, exact waiting."""

from __future__ import annotations

import gc
import os
import resource
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from time import perf_counter_ns
from typing import Any

import numpy as np
import pytest

from toolkit.load.engine.process import ahead_of_others, at_rest
from toolkit.load.engine.timer import Spin, TimerFd, Waiter
from toolkit.load.null_server import Behaviour, NullServer, null_server
from toolkit.load.socket_connection import Poller


@pytest.fixture(scope="module")
def server() -> Iterator[NullServer]:
    """A null server that answers at once."""
    with null_server(Behaviour(service_s=0.005, capacity=64)) as server:
        yield server


def lateness_ns(wait: Callable[[int], Any], gap_ns: int = 700_000, count: int = 150) -> float:
    """The median time between the moments of a schedule and the returns from waiting for them."""
    begin_ns, late = perf_counter_ns() + gap_ns, []
    for index in range(count):
        moment_ns = begin_ns + index * gap_ns
        while perf_counter_ns() < moment_ns:
            wait(moment_ns)
        late.append(perf_counter_ns() - moment_ns)
    return float(np.median(late))


@pytest.mark.parametrize("kind", [TimerFd, Spin])
def test_waiting_is_finer_than_the_pollers_own_time_out(kind: Callable[[select.epoll], Waiter]) -> None:
    """Side by side: half a millisecond of rounding up is the poller's, tens of microseconds are a wake-up's."""
    poller, other = Poller(), Poller()
    waiter = kind(poller)
    try:
        exact_ns = lateness_ns(waiter.wait)
        coarse_ns = lateness_ns(lambda until_ns: other.poll(max(until_ns - perf_counter_ns(), 0) / 1e9))
    finally:
        waiter.close()
        poller.close()
        other.close()
    assert exact_ns < coarse_ns / 2


@pytest.mark.parametrize("kind", [TimerFd, Spin])
def test_waiting_ends_with_an_event_and_is_never_too_short(kind: Callable[[select.epoll], Waiter]) -> None:
    poller, (ours, theirs) = Poller(), socket.socketpair()
    poller.register(ours.fileno(), select.POLLIN)
    waiter = kind(poller)
    with ours, theirs:
        for _ in range(20):
            until_ns = perf_counter_ns() + 300_000
            waiter.wait(until_ns)
            assert perf_counter_ns() >= until_ns
        assert ours.fileno() not in dict(waiter.wait(perf_counter_ns() - 1))
        threading.Timer(0.02, theirs.send, (b"x",)).start()
        begin_ns = perf_counter_ns()
        assert ours.fileno() in dict(waiter.wait(begin_ns + 30_000_000_000))
        assert perf_counter_ns() < begin_ns + 20_000_000_000
    waiter.close()
    poller.close()


def test_the_process_is_left_as_it_was() -> None:
    before = sys.getswitchinterval()
    with pytest.raises(ZeroDivisionError), at_rest():
        assert not gc.isenabled() and gc.get_freeze_count() > 0 and sys.getswitchinterval() < before
        1 / 0  # noqa: B018
    assert gc.isenabled() and gc.get_freeze_count() == 0 and sys.getswitchinterval() == before


def scheduling() -> tuple[int, int]:
    return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority


def test_the_thread_goes_before_others_only_meanwhile_and_alone() -> None:
    before, others = scheduling(), []
    with pytest.raises(ZeroDivisionError), ahead_of_others() as is_ahead:
        inside = scheduling()
        (thread := threading.Thread(target=lambda: others.append(scheduling()))).start()
        thread.join()
        child = subprocess.run(
            [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"],
            capture_output=True,
            text=True,
            check=True,
        )
        1 / 0  # noqa: B018
    assert scheduling() == before and others == [before] and int(child.stdout) == os.SCHED_OTHER
    assert (inside != before) == is_ahead


def test_where_it_is_not_allowed_or_there_is_one_core_the_priority_stays() -> None:
    script = """
from toolkit.load.engine.process import ahead_of_others
os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
with ahead_of_others() as is_ahead:
    print(is_ahead, os.sched_getscheduler(0) == os.SCHED_OTHER)
"""
    assert printed(script, "") == ["False True"]


HEAD = """
import os, resource, sys
from toolkit.errors import EnvironmentProblem
from toolkit.load.engine import drive
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.serve.server import Endpoint

request = b"POST /v2/models/null/infer HTTP/1.1\\r\\nHost: null\\r\\nContent-Length: 0\\r\\n\\r\\n"
endpoint = Endpoint(http=sys.argv[1])
"""


def printed(script: str, address: str) -> list[str]:
    """What a script printed, in a process of its own, since limits are a process's."""
    command = [sys.executable, "-c", HEAD + script, address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()


def test_the_soft_limit_of_descriptors_is_raised_and_put_back(server: NullServer) -> None:
    script = """
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (40, hard))
records = drive(endpoint, [request], Concurrency(clients=100, duration_s=0.3, warmup_s=0))
print(records.connections, set(records.status.tolist()), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 200:
        pytest.skip("the hard limit of file descriptors is below 200")
    assert printed(script, server.endpoint.http) == ["100 {200} 40"]


def test_a_hard_limit_of_descriptors_is_said_beforehand(server: NullServer) -> None:
    script = """
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
for load in Concurrency(clients=60), RequestRate(rate_per_s=10):
    for processes in 1, 2:
        try:
            drive(endpoint, [request], load, processes=processes)
        except EnvironmentProblem as err:
            print(err.message)
"""
    said = printed(script, server.endpoint.http)
    assert [line.split()[0] for line in said] == ["60", "30", "512", "256"]
    assert all("this process may open 64" in line for line in said)


def test_descriptors_that_others_take_in_the_run_lower_the_limit_and_lose_nothing(server: NullServer) -> None:
    script = """
taken = []

def take_all(share, finished):
    while finished > 10 and not taken or taken and taken[-1]:
        try:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            taken.append(0)

resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
load = RequestRate(rate_per_s=400, arrival="constant", duration_s=0.6, warmup_s=0, max_connections=60)
records = drive(endpoint, [request], load, progress=take_all)
print(len(records.status), set(records.status.tolist()), records.ended, len(taken) > 20)
"""
    assert printed(script, server.endpoint.http) == ["240 {200} complete True"]
