"""What the engine asks of a connection, whatever it speaks, and the one place that chooses which one that is.

In: an endpoint and the name of a protocol. Out: a function that makes connections to it. Who sends what, and when, is
the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Protocol

from toolkit.errors import UsageError
from toolkit.load.grpc import GrpcConnection, GrpcStreamConnection, call_block
from toolkit.load.http import HttpConnection
from toolkit.load.socket_connection import Address, resolved
from toolkit.load.sse import SseConnection
from toolkit.serve.server import Endpoint
from toolkit.serve.tls import context_of
from toolkit.serve.wire import addressed

WireProtocol = Literal["http", "sse", "grpc", "grpc-stream"]
#: The method of Triton's service that a protocol calls.
GRPC_METHODS: dict[WireProtocol, str] = {"grpc": "ModelInfer", "grpc-stream": "ModelStreamInfer"}


class Connection(Protocol):
    """A connection with at most one request in flight; it registers itself with the poller, and answers its events.

    `begin` sends a request, opening the connection when it is closed; `advance` answers each event of the poller, and
    returns PENDING until the request has ended with a status or a class of error (outcome.py). Afterwards the times
    (perf_counter_ns) and `body()` stand. `response_ns` holds the time of every response of a streamed answer, and is
    empty of one that is not streamed.
    """

    payload: int
    intended_ns: int
    sent_ns: int
    first_ns: int
    done_ns: int
    is_connected: bool
    response_ns: list[int]

    @property
    def header_length(self) -> int | None:
        """Inference-Header-Content-Length of the last answer."""

    def begin(self, request: bytes, payload: int, intended_ns: int) -> None:
        """Send a request, or as much of it as the socket takes; trouble of any kind shows in `advance`."""

    def advance(self) -> int:
        """Go on after an event of the poller; PENDING, or how the request ended."""

    def give_up(self) -> int:
        """Abandon the request in flight for want of time."""

    def close(self) -> None:
        """Close the socket and forget what was half received; the next `begin` opens a new one."""

    def body(self) -> bytes:
        """The body of the last answer."""


#: Makes a closed connection: the poller, and the caller's table from its file descriptors to connections.
Connect = Callable[[Any, dict[int, Connection]], Connection]


def connector(endpoint: Endpoint, protocol: WireProtocol = "http") -> Connect:
    """How to connect to an endpoint; its address is resolved once.

    Raises UsageError where it has no address for the protocol, ServerTrouble for one that is not known, and
    ConfigurationError for files of TLS.
    """
    address = address_of(endpoint, protocol)
    if protocol in GRPC_METHODS:
        kind = GrpcConnection if protocol == "grpc" else GrpcStreamConnection
        return partial(kind, address, block=_block(endpoint, protocol))
    return partial(SseConnection if protocol == "sse" else HttpConnection, address)


def address_of(endpoint: Endpoint, protocol: WireProtocol = "http") -> Address:
    """Where the endpoint speaks a protocol. Raises as `connector`."""
    is_grpc = protocol in GRPC_METHODS
    place = endpoint.grpc if is_grpc else endpoint.http
    if not place:
        known = f"only {endpoint.http or endpoint.grpc} is known of the server"
        raise UsageError(
            f"{protocol} needs an address of its own, and {known}", mend="--url http://host:8000,grpc://host:8001"
        )
    return resolved(place, context_of(endpoint.tls, ("h2",) if is_grpc else ("http/1.1",)) if endpoint.tls else None)


def prepared(requests: Sequence[bytes], endpoint: Endpoint, protocol: WireProtocol = "http") -> tuple[bytes, ...]:
    """The requests as they go out to this endpoint: its Host and its Authorization stand in no file.

    Messages of gRPC stay as they are: what HTTP has in front of each, there the connection has once.
    """
    return tuple(requests) if protocol in GRPC_METHODS else tuple(addressed(request, endpoint) for request in requests)


def _block(endpoint: Endpoint, protocol: WireProtocol) -> bytes:
    scheme = "https" if endpoint.tls else "http"
    return call_block(GRPC_METHODS[protocol], endpoint.grpc, scheme=scheme, authorization=endpoint.authorization)
