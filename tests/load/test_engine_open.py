"""The open loop against the null server: its schedule, its connections, and what it makes of faults."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from engine_checks import INFER, assert_as_scheduled, assert_in_order, kinds

from toolkit.load.engine import drive
from toolkit.load.null_server import Behaviour, NullServer, null_requests, null_server, paired, read_log
from toolkit.load.pattern import Concurrency, OpenLoad, Ramp, RequestRate, Trace, arrivals_s
from toolkit.serve.server import Endpoint

RATE = RequestRate(rate_per_s=150.0, duration_s=0.6, warmup_s=0.1)


@pytest.fixture(scope="module")
def quick() -> Iterator[NullServer]:
    """A null server that answers at once."""
    with null_server(Behaviour()) as server:
        yield server


@pytest.mark.parametrize(
    "load",
    [
        RATE,
        RequestRate(rate_per_s=200.0, arrival="constant", duration_s=0.3, warmup_s=0.0),
        RequestRate(rate_per_s=200.0, arrival="gamma", variation=4.0, duration_s=0.4, warmup_s=0.1),
        Ramp(from_per_s=20.0, to_per_s=400.0, duration_s=0.4, warmup_s=0.1),
        Trace(timestamps_s=(0.0, 0.0, 0.1, 0.1, 0.1, 0.35)),
        Trace(timestamps_s=(0.2,), warmup_s=0.3),
    ],
    ids=lambda load: load.name,
)
def test_every_arrival_is_sent_at_its_time_and_recorded(quick: NullServer, load: OpenLoad) -> None:
    records = drive(quick.endpoint, INFER, load)
    assert_as_scheduled(records, load)
    assert kinds(records) == {"HTTP 200": len(arrivals_s(load))}
    assert records.ended == "complete" and records.connection_waits == 0
    assert records.window_end_ns - records.window_start_ns == int(load.duration_s * 1e9)
    assert np.ptp(np.bincount(records.payload, minlength=3)) <= 1
    assert 1 <= records.connections <= len(records.status)


def test_the_schedule_does_not_slip_while_the_server_stalls() -> None:
    """An open loop goes on sending into the stall and sees it in its tail; a closed loop stops, and hardly sees it."""
    stall = Behaviour(stall_at_s=0.4, stall_s=0.6)
    load = RequestRate(rate_per_s=100.0, arrival="constant", duration_s=1.4, warmup_s=0.0)
    with null_server(stall) as server:
        opened = drive(server.endpoint, null_requests(140), load)
        log = read_log(server)
    with null_server(stall) as server:
        closed = drive(server.endpoint, INFER, Concurrency(clients=2, duration_s=1.4, warmup_s=0.0))
    assert_as_scheduled(opened, load)
    begin_ns, end_ns = (int(log.arrived_ns[0] + at_s * 1e9) for at_s in (0.4, 1.0))
    in_stall = (opened.intended_ns >= begin_ns) & (opened.intended_ns < end_ns)
    sent_in_stall = (opened.sent_ns >= begin_ns) & (opened.sent_ns < end_ns)
    assert abs(int(in_stall.sum()) - 60) <= 1
    assert abs(int(sent_in_stall.sum()) - 60) <= 5, "requests were really sent while the server stalled"
    assert opened.connections > 40, "each waiting request has a connection of its own"
    latency_s = (opened.done_ns - opened.intended_ns) / 1e9
    assert np.quantile(latency_s, 0.99) > 0.4
    match = paired(log, opened)
    server_s = (log.done_ns[match.rows] - log.arrived_ns[match.rows]) / 1e9
    assert len(match.rows) == len(opened.status)
    assert np.quantile(latency_s, 0.99) == pytest.approx(np.quantile(server_s, 0.99), rel=0.1)
    assert ((closed.done_ns - closed.intended_ns) / 1e9 > 0.4).sum() <= 2
    assert np.quantile((closed.done_ns - closed.intended_ns) / 1e9, 0.99) < 0.1


def test_beyond_the_limit_of_connections_arrivals_wait_their_turn() -> None:
    """100 requests/s for a server of 20 ms: two connections carry them all, but half of the time is spent waiting."""
    load = RequestRate(rate_per_s=100.0, arrival="constant", duration_s=0.5, warmup_s=0.0, max_connections=2)
    with null_server(Behaviour(service_s=0.020)) as server:
        records = drive(server.endpoint, INFER, load)
    assert_as_scheduled(records, load)
    assert kinds(records) == {"HTTP 200": 50}
    assert records.connections == 2
    assert 30 <= records.connection_waits <= 48
    assert (np.diff(records.sent_ns) > 0).all(), "in the order of their arrival"
    latency_s = (records.done_ns - records.intended_ns) / 1e9
    service_s = (records.done_ns - records.sent_ns) / 1e9
    assert latency_s[-1] > 0.4 > 0.2 > np.median(service_s)


def test_arrivals_that_wait_too_long_are_timed_out_and_the_end_is_bounded() -> None:
    load = RequestRate(rate_per_s=100.0, arrival="constant", duration_s=0.6, warmup_s=0.0, max_connections=3)
    with null_server(Behaviour(fault="stall")) as server:
        records = drive(server.endpoint, INFER, load, timeout_s=0.3)
    assert_as_scheduled(records, load)
    assert kinds(records) == {"timed out": 60}
    assert records.connection_waits == 57
    assert records.done_ns.max() < records.window_end_ns + 2_000_000_000
    assert (records.done_ns - records.intended_ns >= 300_000_000).all()


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        (Behaviour(fault="close", fault_every=7), "connection closed"),
        (Behaviour(fault="malformed", fault_every=7), "malformed response"),
        (Behaviour(fault="stall", fault_every=7), "timed out"),
        *((Behaviour(fault="error", fault_every=7, error_status=s), f"HTTP {s}") for s in (404, 503)),
    ],
    ids=lambda value: value if isinstance(value, str) else value.fault,
)
def test_faults_are_counted_once_and_the_schedule_goes_on(behaviour: Behaviour, kind: str) -> None:
    with null_server(behaviour) as server:
        records = drive(server.endpoint, INFER, RATE, timeout_s=0.3)
    assert_as_scheduled(records, RATE)
    count = len(records.status)
    assert kinds(records) == {kind: count // 7, "HTTP 200": count - count // 7}


def test_connections_that_the_server_closes_with_an_answer_are_opened_again() -> None:
    with null_server(Behaviour(fault="goodbye")) as server:
        records = drive(server.endpoint, INFER, RATE)
    assert_as_scheduled(records, RATE)
    assert kinds(records) == {"HTTP 200": len(records.status)}


@contextmanager
def impatient_server(patience_s: float) -> Iterator[Endpoint]:
    """A server that closes a connection that has been idle for so long."""

    def serve(connection: socket.socket) -> None:
        connection.settimeout(patience_s)
        with connection:
            try:
                while connection.recv(4096):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            except TimeoutError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield Endpoint(http=f"127.0.0.1:{listener.getsockname()[1]}")
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_an_idle_connection_that_the_server_closes_is_no_error() -> None:
    load = Trace(timestamps_s=(0.0, 0.001, 0.002, 0.5, 1.0))
    with impatient_server(0.1) as endpoint:
        records = drive(endpoint, INFER, load)
    assert_as_scheduled(records, load)
    assert kinds(records) == {"HTTP 200": 5}


def test_a_server_that_dies_ends_the_point_and_the_records_are_kept() -> None:
    load = RequestRate(rate_per_s=200.0, duration_s=60.0, warmup_s=0.0)
    with null_server(Behaviour(service_s=0.002)) as server:
        records = drive(
            server.endpoint,
            INFER,
            load,
            progress=lambda _share, finished: os.kill(server.pid, signal.SIGKILL) if finished > 50 else None,
        )
    found = kinds(records)
    assert records.ended == "server lost"
    assert found["HTTP 200"] > 50
    assert set(found) <= {"HTTP 200", "connection closed", "connection refused"}
    assert found["connection refused"] > 100, "one refusal for each arrival of a second, and none is sent again"
    schedule_ns = np.round(arrivals_s(load) * 1e9).astype(np.int64)[: len(records.status)]
    assert np.array_equal(records.intended_ns - records.window_start_ns, schedule_ns)
    assert records.window_end_ns < records.window_start_ns + 50_000_000_000
    assert_in_order(records)


def test_a_server_that_was_never_there() -> None:
    load = RequestRate(rate_per_s=50.0, duration_s=30.0, warmup_s=10.0)
    records = drive(Endpoint(http="127.0.0.1:1"), INFER, load)
    assert records.ended == "server lost"
    assert set(kinds(records)) == {"connection refused"}
    assert records.window_start_ns == records.window_end_ns


def test_ctrl_c_ends_the_point_and_keeps_it(quick: NullServer) -> None:
    def interrupt(_share: float, finished: int) -> None:
        if finished > 20:
            os.kill(os.getpid(), signal.SIGINT)

    load = RequestRate(rate_per_s=200.0, duration_s=60.0, warmup_s=0.01)
    records = drive(quick.endpoint, INFER, load, progress=interrupt)
    assert records.interrupted
    assert kinds(records) == {"HTTP 200": len(records.status)} and len(records.status) > 20
    assert records.window_end_ns - records.window_start_ns < 30_000_000_000
    assert_in_order(records)
