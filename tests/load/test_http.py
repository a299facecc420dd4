"""The connection's state machine against hand-written answers, split at every place where a network may split them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from toolkit.errors import ServerTrouble, UsageError
from toolkit.load.connection import address_of
from toolkit.load.http import HttpConnection
from toolkit.load.outcome import CONNECTION_CLOSED, MALFORMED_RESPONSE, PENDING
from toolkit.load.socket_connection import Poller
from toolkit.serve.server import Endpoint

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@contextmanager
def answering(*parts: bytes) -> Iterator[HttpConnection]:
    """A connection to a server that answers each request with `parts`, each in a packet of its own, then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer.recv(1 << 16)
            for part in parts:
                peer.sendall(part)
                time.sleep(0.001)

    thread = threading.Thread(target=serve)
    thread.start()
    endpoint = Endpoint(http=f"127.0.0.1:{listener.getsockname()[1]}")
    connection = HttpConnection(address_of(endpoint), Poller(), {})
    try:
        yield connection
    finally:
        connection.close()
        thread.join()
        listener.close()


def exchange(connection: HttpConnection) -> int:
    """Send REQUEST and wait for what comes of it."""
    connection.begin(REQUEST, 0, time.perf_counter_ns())
    outcome = PENDING
    while outcome == PENDING:
        connection._poller.poll()
        outcome = connection.advance()
    return outcome


WHOLE = [
    b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
]


@pytest.mark.parametrize("answer", WHOLE)
def test_an_answer_byte_by_byte(answer: bytes) -> None:
    with answering(*(answer[index : index + 1] for index in range(len(answer)))) as connection:
        assert exchange(connection) == 200
        assert connection.body() == b"hello"
        assert connection.intended_ns <= connection.sent_ns < connection.first_ns < connection.done_ns
        assert connection.is_connected


@pytest.mark.parametrize("answer", WHOLE)
def test_an_answer_at_once(answer: bytes) -> None:
    with answering(answer) as connection:
        assert exchange(connection) == 200
        assert (connection.body(), connection.is_connected) == (b"hello", True)
        assert connection.header_length == (2 if b"Inference" in answer else None)


@pytest.mark.parametrize("answer", WHOLE)
def test_an_answer_cut_short_is_a_closed_connection(answer: bytes) -> None:
    for length in (0, 5, len(answer) - 1):
        with answering(answer[:length]) as connection:
            assert exchange(connection) == CONNECTION_CLOSED
            assert not connection.is_connected


def test_a_body_that_ends_with_the_connection() -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo") as connection:
        assert exchange(connection) == 200
        assert (connection.body(), connection.is_connected) == (b"hello", False)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\nhello",
        b"220 smtp.example ESMTP\r\n\r\n",
        b"x" * 100_000,
    ],
)
def test_what_is_no_answer(answer: bytes) -> None:
    with answering(answer) as connection:
        assert exchange(connection) == MALFORMED_RESPONSE
        assert not connection.is_connected


def test_a_name_of_several_addresses_is_the_one_where_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert address_of(Endpoint(http=f"localhost:{port}")).place[:2] == ("127.0.0.1", port)


def test_addresses_that_are_not_known() -> None:
    with pytest.raises(ServerTrouble, match=r"name\.invalid"):
        address_of(Endpoint(http="name.invalid:8000"))
    with pytest.raises(UsageError, match="only 127") as caught:
        address_of(Endpoint(http="127.0.0.1:8000"), "grpc")
    assert "grpc://" in caught.value.mend
