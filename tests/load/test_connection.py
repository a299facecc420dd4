"""What an endpoint adds to requests, and which address a protocol takes."""

from __future__ import annotations

import socket

import pytest
from hpack import Decoder

from toolkit.load.ask import ask
from toolkit.load.connection import WireProtocol, connector, prepared
from toolkit.load.http2 import HEADERS
from toolkit.load.socket_connection import Poller
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import json_post
from toolkit.serve.wire_grpc import prefixed

from .peer import exchange, talking
from .test_grpc import Peer, answer

POST = json_post("/v1/models", {}, host="written-elsewhere")


def test_a_request_over_http_carries_host_and_authorization() -> None:
    heads: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        heads.append(peer.recv(1 << 16))
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with talking(talk) as address:
        (found,) = ask(Endpoint(http=address, authorization="Bearer abc"), [POST], clients=1)
    assert found.status == 200
    lines = heads[0].split(b"\r\n")
    assert b"Authorization: Bearer abc" in lines
    assert [line for line in lines if line.startswith(b"Host")] == [b"Host: " + address.encode()]


@pytest.mark.parametrize("authorization", ["", "Bearer abc"])
def test_a_call_over_grpc_carries_authority_and_authorization(authorization: str) -> None:
    headers: dict[str, str] = {}

    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        headers.update(Decoder().decode(frames.until(HEADERS)[1]))
        frames.calls(1, answer)

    with talking(talk) as address:
        endpoint = Endpoint(http="", grpc=address, authorization=authorization)
        connection = connector(endpoint, "grpc")(Poller(), {})
        assert exchange(connection, prefixed(b"question")) == 200
        connection.close()
    assert headers[":authority"] == address
    assert headers.get("authorization", "") == authorization


@pytest.mark.parametrize("protocol", ["grpc", "grpc-stream"])
def test_messages_of_grpc_stay_as_they_are(protocol: WireProtocol) -> None:
    endpoint = Endpoint(http="", grpc="box:1", authorization="Bearer abc")
    assert prepared([b"message"], endpoint, protocol) == (b"message",)


def test_requests_without_an_authorization_are_as_they_were_but_for_the_host() -> None:
    assert prepared([POST], Endpoint(http="written-elsewhere")) == (POST,)
