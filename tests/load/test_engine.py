"""The load engine against the null server: what it measures, what it counts, and that nothing is lost."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_checks import INFER, assert_in_order, kinds, request

from toolkit.errors import ServerTrouble, UsageError
from toolkit.load.engine import drive
from toolkit.load.null_server import ANSWER, Behaviour, NullServer, null_requests, null_server
from toolkit.load.pattern import Concurrency
from toolkit.load.request_records import read_records
from toolkit.load.socket_connection import TICK_S
from toolkit.serve.server import Endpoint

SHORT = Concurrency(clients=4, duration_s=0.5, warmup_s=0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[NullServer]:
    """A null server of 2 ms."""
    with null_server(Behaviour(service_s=0.002)) as server:
        yield server


def test_known_service_time() -> None:
    """Two servers of 20 ms and four clients: 100 requests/s, each of which waits one service time and is served."""
    with null_server(Behaviour(service_s=0.020, capacity=2)) as server:
        records = drive(server.endpoint, INFER, Concurrency(clients=4, duration_s=1.0, warmup_s=0.2))
    latency_s = np.median(records.done_ns - records.intended_ns) / 1e9
    assert 0.040 / 1.5 < latency_s < 0.040 * 1.5
    assert 100 / 1.5 < records.in_window.sum() / 1.0 < 100 * 1.5
    assert records.ended == "complete" and kinds(records) == {"HTTP 200": len(records.status)}
    assert records.window_end_ns - records.window_start_ns == 1_000_000_000
    assert 0 < records.client_cpu_ns < 1_000_000_000
    assert (records.intended_ns < records.window_start_ns).any()
    assert (records.done_ns[records.in_window] > records.window_end_ns).any(), "requests in flight were waited for"
    assert_in_order(records)


def test_payloads_rotate_and_answers_are_sampled(server: NullServer) -> None:
    seen: list[tuple[int, int | None, bytes]] = []
    records = drive(server.endpoint, INFER, SHORT, check=lambda *answer: seen.append(answer) or True)
    assert np.ptp(np.bincount(records.payload)) <= SHORT.clients
    assert {payload for payload, *_ in seen} == {0, 1, 2}
    assert {(header_length, body) for _, header_length, body in seen} == {(len(ANSWER) - 4, ANSWER)}
    assert records.checked == len(seen) == len(records.answers) < len(records.status)


def test_wrong_answers_are_a_class_of_error(server: NullServer) -> None:
    def check(payload: int, header_length: int | None, body: bytes) -> bool:
        if payload == 2:
            raise ServerTrouble("unreadable")
        return payload == 0

    records = drive(server.endpoint, INFER, SHORT, check=check)
    wrong = records.payload[records.status == -5]
    assert set(wrong.tolist()) == {1, 2}
    assert kinds(records)["wrong answer"] == sum(answer.payload != 0 for answer in records.answers)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("close", "connection closed"),
        ("half", "connection closed"),
        ("malformed", "malformed response"),
        ("error", "HTTP 500"),
        ("stall", "timed out"),
    ],
)
def test_faults_are_counted_and_the_rest_goes_on(fault: str, kind: str) -> None:
    behaviour = Behaviour(service_s=0.002, fault=fault, fault_every=10, error_status=500)  # type: ignore[arg-type]
    with null_server(behaviour) as server:
        records = drive(server.endpoint, INFER, SHORT, timeout_s=0.15)
    found = kinds(records)
    assert set(found) == {kind, "HTTP 200"} and records.ended == "complete"
    assert len(records.status) / 10 - 4 <= found[kind] <= len(records.status) / 10 + 4
    assert found[kind] >= 2
    assert_in_order(records)


@pytest.mark.parametrize("framing", ["chunked", "goodbye"])
def test_other_framings_are_no_errors(framing: str) -> None:
    behaviour = Behaviour(service_s=0.002, fault=framing, fault_every=3)  # type: ignore[arg-type]
    with null_server(behaviour) as server:
        records = drive(server.endpoint, INFER, SHORT, check=lambda _payload, _length, body: body == ANSWER)
    assert kinds(records) == {"HTTP 200": len(records.status)}
    assert records.checked > 3


def test_the_time_of_every_response_of_a_stream_is_kept() -> None:
    behaviour = Behaviour(responses=5, ttft_s=0.004, itl_s=0.002, capacity=4)
    with null_server(behaviour) as server:
        records = drive(server.endpoint, null_requests(4, streamed=True), SHORT, protocol="sse")
    count = len(records.status)
    assert kinds(records) == {"HTTP 200": count}
    assert records.responses.tolist() == [5] * count
    response_ns = records.response_ns.reshape(count, 5)
    assert (np.diff(response_ns, axis=1) >= 0).all()
    assert (records.first_ns == response_ns[:, 0]).all()
    assert (records.sent_ns + 4_000_000 <= records.first_ns).all(), "the first comes no earlier than it was made"
    assert (response_ns[:, -1] <= records.done_ns).all()
    assert np.median(response_ns[:, -1] - records.first_ns) > 4 * 2_000_000 / 2, "one after the other, not at the end"
    assert_in_order(records)


def test_large_requests_to_a_slow_reader_arrive_whole() -> None:
    """12 MB do not fit into the sockets' buffers: the request goes out, and its echo comes back, in many parts."""
    bodies = [np.random.default_rng(seed).bytes(12 << 20) for seed in range(2)]
    requests = [request("/echo", body) for body in bodies]
    with null_server(Behaviour(read_pause_s=0.001)) as server:
        records = drive(
            server.endpoint,
            requests,
            Concurrency(clients=2, duration_s=0.3, warmup_s=0.0),
            check=lambda payload, _length, body: body == bodies[payload],
        )
    assert kinds(records) == {"HTTP 200": len(records.status)}
    assert records.checked >= 2
    assert (records.first_ns < records.done_ns).all()


def test_a_server_that_dies_ends_the_point_and_the_records_are_kept() -> None:
    with null_server(Behaviour(service_s=0.002)) as server:
        records = drive(
            server.endpoint,
            INFER,
            Concurrency(clients=4, duration_s=60.0, warmup_s=0.0),
            progress=lambda _share, finished: os.kill(server.pid, signal.SIGKILL) if finished > 50 else None,
        )
    found = kinds(records)
    assert records.ended == "server lost"
    assert found["HTTP 200"] > 50
    assert 1 <= found["connection closed"] <= 4
    assert 0 < found["connection refused"] <= 4 * (1.0 / TICK_S + 3)
    assert records.window_start_ns < records.window_end_ns < records.window_start_ns + 50_000_000_000


def test_a_server_that_was_never_there() -> None:
    records = drive(Endpoint(http="127.0.0.1:1"), INFER, Concurrency(clients=2, duration_s=30.0, warmup_s=10.0))
    assert records.ended == "server lost"
    assert set(kinds(records)) == {"connection refused"}
    assert records.window_start_ns == records.window_end_ns


SCRIPT = """
import sys
from collections.abc import Iterator
from pathlib import Path
from toolkit.load.engine import drive
from toolkit.load.pattern import Concurrency
from toolkit.load.request_records import write_records
from toolkit.serve.server import Endpoint

def progress(share, finished):
    if finished > 20:
        print("driving", flush=True)

request = b"POST /v2/models/null/infer HTTP/1.1\\r\\nHost: null\\r\\nContent-Length: 0\\r\\n\\r\\n"
load = Concurrency(clients=2, duration_s=60.0, warmup_s=0.01)
write_records(Path(sys.argv[2]), drive(Endpoint(http=sys.argv[1]), [request], load, progress=progress))
"""


def test_ctrl_c_ends_the_point_and_keeps_it(server: NullServer, tmp_path: Path) -> None:
    place = tmp_path / "records.npz"
    command = [sys.executable, "-c", SCRIPT, server.endpoint.http, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "driving\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    records = read_records(place)
    assert records.interrupted
    assert kinds(records) == {"HTTP 200": len(records.status)} and len(records.status) > 20
    assert records.window_end_ns - records.window_start_ns < 30_000_000_000


def test_the_collector_is_left_as_it_was(server: NullServer) -> None:
    drive(server.endpoint, INFER, Concurrency(clients=1, duration_s=0.1, warmup_s=0.0))
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_progress_reaches_the_end(server: NullServer) -> None:
    seen: list[tuple[float, int]] = []
    load = Concurrency(clients=2, duration_s=0.3, warmup_s=0.1)
    records = drive(server.endpoint, INFER, load, progress=lambda *now: seen.append(now))
    assert [share for share, _ in seen] == sorted(share for share, _ in seen)
    assert seen[0][1] == 0 and seen[-1][0] == 1.0
    assert 0 < seen[-1][1] <= len(records.status)


def test_nothing_to_send() -> None:
    with pytest.raises(UsageError, match="no request"):
        drive(Endpoint(http="127.0.0.1:1"), [], SHORT)


@pytest.mark.parametrize("address", ["no-such-host.invalid:8000", "127.0.0.1", "127.0.0.1:http"])
def test_unknown_addresses(address: str) -> None:
    with pytest.raises(ServerTrouble, match=address):
        drive(Endpoint(http=address), INFER, SHORT)
