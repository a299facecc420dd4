"""The null server itself: it behaves as it says, its log is true, and it does not outlive whoever started it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import ServerTrouble
from toolkit.load.ask import ask
from toolkit.load.null_server import (
    ANSWER,
    MODEL,
    Behaviour,
    NullServer,
    ServerLog,
    answers_request,
    null_requests,
    null_server,
    paired,
    read_log,
)
from toolkit.load.null_server.log import Log, log_from_bytes
from toolkit.load.null_server.messages import parse_request
from toolkit.load.queue_model import finish_times_s
from toolkit.serve.client import is_ready, model_config, model_signature, server_metadata, statistics

INFER = b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"


def spans(server: NullServer) -> Any:
    return statistics(server.endpoint, MODEL)["inference_stats"]


def test_statistics_of_a_known_queue() -> None:
    with null_server(Behaviour(service_s=0.010, capacity=1)) as server:
        assert is_ready(server.endpoint)
        ask(server.endpoint, [INFER] * 20, clients=2)
        found = spans(server)
    assert found["success"]["count"] == 20
    assert found["compute_infer"]["ns"] == 200_000_000
    assert found["success"]["ns"] == found["queue"]["ns"] + found["compute_infer"]["ns"]
    assert 0.05e9 < found["queue"]["ns"] < 0.25e9


def test_batches_are_counted_as_triton_counts_them() -> None:
    """Four at once in a batch of four: one execution, in which each request spent its whole time."""
    with null_server(Behaviour(service_s=0.010, max_batch_size=4, batch_delay_s=0.5)) as server:
        ask(server.endpoint, [INFER] * 4, clients=4)
        found = statistics(server.endpoint, MODEL)
    assert (found["inference_count"], found["execution_count"]) == (4, 1)
    assert found["batch_stats"] == [{"batch_size": 4, "compute_infer": {"count": 1, "ns": 10_000_000}}]
    assert found["inference_stats"]["compute_infer"] == {"count": 4, "ns": 40_000_000}


def test_it_can_be_swept_like_any_server() -> None:
    with null_server(Behaviour(max_batch_size=4)) as server:
        assert is_ready(server.endpoint, MODEL)
        assert server_metadata(server.endpoint)["name"] == "null"
        assert model_config(server.endpoint, MODEL)["max_batch_size"] == 4
        (x,) = model_signature(server.endpoint, MODEL).inputs
        assert (x.name, x.dtype, x.shape) == ("x", "FP32", ("batch", 1))
        (answer,) = ask(server.endpoint, [b"GET /nothing HTTP/1.1\r\n\r\n"], clients=1)
    assert (answer.status, answer.body) == (404, b'{"error":"the null server has no \'nothing\'"}')


@pytest.mark.parametrize("law", ["constant", "exponential", "bimodal"])
def test_the_log_follows_the_queue_model(law: Any) -> None:
    """What was due is what the model says of the arrivals, on a simulated clock; nothing was sent before it was due."""
    behaviour = Behaviour(service_s=0.0005, law=law, seed=7)
    with null_server(behaviour) as server:
        ask(server.endpoint, null_requests(500), clients=4)
        log = read_log(server)
    began_ns = log.arrived_ns[0]
    due_s = finish_times_s(behaviour, (log.arrived_ns - began_ns) / 1e9)
    np.testing.assert_allclose((log.due_ns - began_ns) / 1e9, due_s, rtol=0, atol=1e-6)
    assert sorted(log.identity) == list(range(500))
    assert (log.lateness_ns >= 0).all() and len(log.lateness_ns) == 500
    assert np.median(log.lateness_ns) < 5_000_000


def test_answers_repeat_the_id() -> None:
    with null_server(Behaviour()) as server:
        named, plain = ask(server.endpoint, [null_requests(1000)[42], INFER], clients=1)
    header = json.loads(named.body[: named.header_length])
    assert (header["id"], header["model_name"]) == ("42", MODEL)
    assert plain.body == ANSWER
    assert answers_request(42, named.header_length, named.body)
    assert not answers_request(41, named.header_length, named.body)


def test_distinct_requests_of_one_length() -> None:
    for requests in (null_requests(100), null_requests(100, streamed=True)):
        assert len({len(r) for r in requests}) == 1
        parsed = [parse_request(r) for r in requests]
        assert [p if isinstance(p, int) else p.identity for p in parsed] == list(range(100))


def test_a_queue_limit_refuses() -> None:
    with null_server(Behaviour(service_s=0.4, max_queue_size=2)) as server:
        answers = ask(server.endpoint, null_requests(8), clients=8)
    assert sorted(a.status for a in answers) == [200] * 3 + [503] * 5
    assert {a.body for a in answers if a.status == 503} == {b'{"error":"Exceeds maximum queue size"}'}


def test_a_planted_stall_is_met_once() -> None:
    with null_server(Behaviour(service_s=0.001, stall_at_s=0.1, stall_s=0.5)) as server:
        ask(server.endpoint, null_requests(300), clients=1)
        log = read_log(server)
    due_s = (log.due_ns - log.arrived_ns[0]) / 1e9
    assert due_s[due_s > 0.1].min() == pytest.approx(0.6, abs=0.0011), (
        "nothing is done in the stall, one right after it"
    )
    assert (log.done_ns - log.arrived_ns).max() > 0.3e9


def test_a_stream_keeps_its_times() -> None:
    behaviour = Behaviour(responses=5, ttft_s=0.05, itl_s=0.01)
    with null_server(behaviour) as server:
        connection = http.client.HTTPConnection(server.endpoint.http)
        connection.request("POST", "/v2/models/null/generate_stream", b'{"id": "3", "text_input": ""}')
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = re.findall(rb"data: (.*)\n\n", answer.read())
        log = read_log(server)
    assert [json.loads(e)["text_output"] for e in events] == ["0 ", "1 ", "2 ", "3 ", "4 "]
    assert log.identity.tolist() == [3] and log.response_row.tolist() == [0] * 5
    np.testing.assert_array_equal(np.diff(log.response_due_ns), 10_000_000)
    assert (log.response_ns >= log.response_due_ns).all()
    assert log.response_due_ns[0] - log.arrived_ns[0] == pytest.approx(50_000_000, abs=10_000)
    assert log.done_ns[0] == log.response_ns[-1]


def test_requests_in_pieces_and_several_at_once() -> None:
    first, second, third = null_requests(3)
    with null_server(Behaviour()) as server:
        host, _, port = server.endpoint.http.partition(":")
        with socket.create_connection((host, int(port))) as peer:
            peer.sendall(first + second[:50])
            time.sleep(0.05)
            peer.sendall(second[50:])
            peer.sendall(third)
            peer.settimeout(5)
            received = b""
            while received.count(b"HTTP/1.1 200") < 3 or not received.endswith(ANSWER[-4:]):
                received += peer.recv(1 << 16)
        assert read_log(server).identity.tolist() == [0, 1, 2]


def log_of(identities: list[int], arrived: list[int]) -> ServerLog:
    log = Log()
    for identity, arrived_ns in zip(identities, arrived, strict=True):
        log.finish(log.arrive(identity, arrived_ns), arrived_ns, arrived_ns + 1)
    return log_from_bytes(log.content())


def test_both_sides_are_paired_by_id_and_occurrence(records_of: Any) -> None:
    log = log_of([9, 0, 1, 0, 1, 9], [0, 105, 215, 305, 415, 10_000])
    records = records_of([100e-9] * 4, payload=np.array([0, 1, 0, 1], np.int32))
    records = replace(records, sent_ns=records.intended_ns + 100, done_ns=records.intended_ns + 150)
    found = paired(log, records)
    assert found.records.tolist() == [0, 1, 2, 3] and found.unpaired == 0
    assert log.arrived_ns[found.rows].tolist() == [105, 215, 305, 415]


def test_an_id_seen_more_often_on_one_side_is_left_out(records_of: Any) -> None:
    log = log_of([0, 1, 1], [10, 110, 310])
    found = paired(log, records_of([100e-9] * 4, payload=np.array([0, 1, 0, 1], np.int32)))
    assert found.records.tolist() == [1, 3] and found.unpaired == 2
    assert log.identity[found.rows].tolist() == [1, 1]


def test_people_can_start_it_and_get_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toolkit.load.null_server"]
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(f"--{f.name.replace('_', '-')}" in text for f in fields(Behaviour))
    process = subprocess.Popen(
        [*command, "--log", str(tmp_path / "log.npz")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    host, _, port = process.stdout.readline().strip().partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("POST", "/v2/models/null/infer", b'{"id": "5"}')
    assert connection.getresponse().status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    process.stdout.close()
    assert log_from_bytes((tmp_path / "log.npz").read_bytes()).identity.tolist() == [5]


def test_it_ends_with_its_parent() -> None:
    script = (
        "import os; from toolkit.load.null_server import *\n"
        "with null_server(Behaviour()) as server: print(server.pid, flush=True); os._exit(0)"
    )
    pid = int(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"the null server {pid} is still alive")


def test_a_behaviour_that_is_not_one() -> None:
    with (
        pytest.raises(ServerTrouble, match="exit code"),
        null_server(Behaviour(law="uniform")),  # type: ignore[arg-type]
    ):
        pass
