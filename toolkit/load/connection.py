"""What the engine asks of a connection, whatever it speaks, and the one place that chooses which one that is.

In: an endpoint and the name of a protocol. Out: a function that makes connections to it. Who sends what, and when, is
the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from toolkit.load.http import HttpConnection, address_of
from toolkit.serve.server import Endpoint

WireProtocol = Literal["http", "sse", "grpc", "grpc-stream"]


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
    """How to connect to an endpoint; its address is resolved once. Raises ServerTrouble for one that is not known."""
    address = address_of(endpoint)
    return lambda poller, by_fd: HttpConnection(address, poller, by_fd)
