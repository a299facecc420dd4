"""The same connections over TLS, and what comes of a handshake that fails."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from certificates import certificate, server_context

from toolkit.load.connection import WireProtocol, connector
from toolkit.load.outcome import CONNECTION_CLOSED, CONNECTION_REFUSED, PENDING, TLS_FAILED
from toolkit.load.socket_connection import Poller
from toolkit.serve.server import Endpoint
from toolkit.serve.tls import Tls
from toolkit.serve.wire_grpc import prefixed

from .peer import exchange, saying, talking
from .test_grpc import SETTINGS, Peer, answer

POST = b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"))


def connection_to(address: str, tls: Tls, protocol: WireProtocol = "http"):  # type: ignore[no-untyped-def]
    return connector(Endpoint(http=address, grpc=address, tls=tls), protocol)(Poller(), {})


def read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += peer.recv(1 << 16)
    return data


def test_large_messages_both_ways_call_after_call(pem: Path) -> None:
    request = POST % 700_000 + bytes(range(250)) * 2800
    body = bytes(range(256)) * 4000
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    received: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        for _ in range(3):
            received.append(read(peer, len(request)))
            peer.sendall(reply)

    with talking(talk, context=server_context(pem)) as address:
        connection = connection_to(address, Tls(ca=pem))
        for _ in range(3):
            assert exchange(connection, request) == 200
            assert connection.body() == body
            assert connection.sent_ns < connection.first_ns < connection.done_ns
        connection.close()
    assert received == [request] * 3


def test_a_handshake_does_not_keep_the_poller_busy(pem: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = connection_to(f"127.0.0.1:{silent.getsockname()[1]}", Tls(ca=pem))
        connection.begin(POST % 0, 0, time.perf_counter_ns())
        events = 0
        while connection._poller.poll(0.2):
            events += 1
            assert connection.advance() == PENDING
            assert events < 10
        connection.close()


def test_events_and_calls_over_tls(pem: Path) -> None:
    context = server_context(pem)
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"
    with talking(saying(stream, b"0\r\n\r\n"), context=context) as address:
        connection = connection_to(address, Tls(ca=pem), "sse")
        assert (exchange(connection, POST % 0), len(connection.response_ns)) == (200, 1)
        connection.close()
    agreed: list[str | None] = []

    def talk(peer: socket.socket) -> None:
        agreed.append(peer.selected_alpn_protocol())  # type: ignore[attr-defined]
        Peer(peer).calls(20, lambda stream: (SETTINGS if stream == 1 else b"") + answer(stream))

    with talking(talk, context=context) as address:
        connection = connection_to(address, Tls(ca=pem), "grpc")
        for _ in range(20):
            assert (exchange(connection, prefixed(b"question")), connection.body()) == (200, b"answer")
        connection.close()
    assert agreed == ["h2"]


@pytest.mark.parametrize("protocol", ["http", "sse", "grpc", "grpc-stream"])
def test_no_trust_is_a_failure_of_tls(pem: Path, tmp_path: Path, protocol: WireProtocol) -> None:
    elsewhere = certificate(tmp_path, "elsewhere", host="elsewhere.example")
    for shown, tls in ((pem, Tls()), (elsewhere, Tls(ca=elsewhere)), (elsewhere, Tls(ca=pem))):
        with talking(saying(b""), context=server_context(shown)) as address:
            connection = connection_to(address, tls, protocol)
            assert exchange(connection, POST % 0) == TLS_FAILED
            assert not connection.is_connected


def test_without_verification_any_certificate_passes(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "elsewhere", host="elsewhere.example")
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with talking(saying(ok), context=server_context(shown)) as address:
        connection = connection_to(address, Tls(verify=False))
        assert exchange(connection, POST % 0) == 200
        connection.close()


def test_a_peer_that_speaks_no_tls_or_is_not_there(pem: Path) -> None:
    with talking(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address:
        assert exchange(connection_to(address, Tls(ca=pem)), POST % 0) == TLS_FAILED
    assert exchange(connection_to("127.0.0.1:1", Tls(ca=pem)), POST % 0) == CONNECTION_REFUSED


def test_a_peer_that_leaves_after_the_handshake(pem: Path) -> None:
    with talking(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"), context=server_context(pem)) as address:
        assert exchange(connection_to(address, Tls(ca=pem)), POST % 0) == CONNECTION_CLOSED
