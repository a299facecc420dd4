"""Given requests, each once, answers in order."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.ask import ask
from toolkit.load.null_server import Behaviour, null_server
from toolkit.serve.server import Endpoint

INFER = b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"


def echo(body: bytes) -> bytes:
    return b"POST /echo HTTP/1.1\r\nHost: null\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("clients", [1, 3, 500])
def test_each_once_and_in_order(clients: int) -> None:
    bodies = [f"body {index}".encode() * (1 + 1000 * (index % 3)) for index in range(200)]
    with null_server(Behaviour()) as server:
        answers = ask(server.endpoint, [echo(body) for body in bodies], clients=clients)
    assert [answer.body for answer in answers] == bodies
    assert {(answer.status, answer.error) for answer in answers} == {(200, "")}


def test_failures_stay_in_their_place() -> None:
    with null_server(Behaviour(fault="close", fault_every=3)) as server:
        answers = ask(server.endpoint, [INFER] * 7, clients=1)
    assert [answer.error for answer in answers] == ["", "", "connection closed", "", "", "connection closed", ""]
    assert [answer.status for answer in answers] == [200, 200, 0, 200, 200, 0, 200]


def test_an_http_error_keeps_its_message() -> None:
    with null_server(Behaviour(fault="error", error_status=400)) as server:
        (answer,) = ask(server.endpoint, [INFER], clients=1)
    assert (answer.status, answer.error, answer.body) == (400, "HTTP 400", b'{"error":"planted"}')


def test_a_request_without_an_answer_times_out() -> None:
    with null_server(Behaviour(fault="stall", fault_every=2)) as server:
        answers = ask(server.endpoint, [INFER] * 3, clients=1, timeout_s=0.2)
    assert [answer.error for answer in answers] == ["", "timed out", ""]


def test_no_server_and_no_request() -> None:
    answers = ask(Endpoint(http="127.0.0.1:1"), [INFER] * 5, clients=2)
    assert [answer.error for answer in answers] == ["connection refused"] * 5
    assert ask(Endpoint(http="127.0.0.1:1"), [], clients=2) == ()


def test_no_client() -> None:
    with pytest.raises(UsageError, match="clients is 0"):
        ask(Endpoint(http="127.0.0.1:1"), [INFER], clients=0)
