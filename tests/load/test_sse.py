"""Streams of events over HTTP: the time of every one, however the network cuts them."""

from __future__ import annotations

import json

import pytest

from toolkit.load.connection import Connection, connector
from toolkit.load.outcome import CONNECTION_CLOSED, STREAM_ERROR
from toolkit.load.socket_connection import Poller
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import addressed, generate_request, json_post

from .peer import exchange, saying, talking

REQUEST = generate_request("llm", {"text_input": "hello"}, host="test")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*pieces: bytes) -> list[bytes]:
    return [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b"")]


def sse(address: str) -> Connection:
    return connector(Endpoint(http=address), "sse")(Poller(), {})


def test_every_event_has_a_time_of_its_own() -> None:
    with talking(saying(HEAD, *chunked(b"data: a\n\n", b"data: b\n\n", b"data: [DONE]\n\n"))) as address:
        connection = sse(address)
        assert exchange(connection, REQUEST) == 200
        first, second = connection.response_ns
        assert connection.sent_ns < connection.first_ns < first < second <= connection.done_ns
        assert connection.body() == b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"
        assert connection.is_connected
        connection.close()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 1000])
def test_events_share_and_span_packets_and_chunks(size: int) -> None:
    stream = b"".join((HEAD, *chunked(b"data: a\n\nda", b"ta: b\n", b"\ndata: c\n\n: ping\n\ndata: [DONE]\n\n")))
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    with talking(saying(*pieces)) as address:
        connection = sse(address)
        assert exchange(connection, REQUEST) == 200
        assert len(connection.response_ns) == 3
        assert connection.response_ns == sorted(connection.response_ns)
        connection.close()


def test_an_answer_that_is_not_chunked_and_the_one_after_it() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\ndata: a\n\ndata: b\n\n"
    empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

    def talk(peer):  # type: ignore[no-untyped-def]
        for part in (whole, whole, empty):
            peer.recv(1 << 16)
            peer.sendall(part)

    with talking(talk) as address:
        connection = sse(address)
        assert [(exchange(connection, REQUEST), len(connection.response_ns)) for _ in range(3)] == [
            (200, 2), (200, 2), (200, 0)
        ]  # fmt: skip
        connection.close()


def test_a_stream_that_is_cut_short_keeps_its_times() -> None:
    with talking(saying(HEAD, *chunked(b"data: a\n\n", b"data: b\n\n", b"data: c")[:-1])) as address:
        connection = sse(address)
        assert exchange(connection, REQUEST) == CONNECTION_CLOSED
        assert len(connection.response_ns) == 2
        assert not connection.is_connected


def test_an_error_among_the_events_is_a_failure() -> None:
    with talking(saying(HEAD, *chunked(b"data: a\n\n", b'data: {"error":"no memory"}\n\n'))) as address:
        connection = sse(address)
        assert exchange(connection, REQUEST) == STREAM_ERROR
        assert connection.is_connected
        assert b"no memory" in connection.body()
        connection.close()


def test_a_refusal_is_its_status() -> None:
    body = b'{"error":"no such model"}'
    with talking(saying(b"HTTP/1.1 404 \r\nContent-Length: %d\r\n\r\n" % len(body), body)) as address:
        connection = sse(address)
        assert exchange(connection, REQUEST) == 404
        assert (connection.response_ns, connection.body()) == ([], body)
        connection.close()


def test_requests_are_whole_and_carry_what_the_endpoint_says() -> None:
    head, _, body = REQUEST.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/llm/generate_stream HTTP/1.1\r\nHost: test\r\n")
    assert json.loads(body) == {"text_input": "hello"}
    endpoint = Endpoint(http="gpu-box:443", authorization="Bearer abc")
    sent = addressed(json_post("/v1/chat/completions", {"stream": True}, host="test"), endpoint)
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/chat/completions HTTP/1.1"
    assert [line for line in lines if line.lower().startswith(b"host")] == [b"Host: gpu-box:443"]
    assert b"Authorization: Bearer abc" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert addressed(sent, endpoint) == sent
    assert "abc" not in repr(endpoint)
