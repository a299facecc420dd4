"""One HTTP/1.1 keep-alive connection as a state machine: non-blocking, at most one request in flight, every time kept.

In: the bytes of whole requests. Out: a status or an error class, the four times of the exchange and the body.
A connection registers itself with the poller and answers its events; who sends what, and when, is the caller's.
It does not know KServe, nor what a request means.

An answer that comes whole, to a request that went out whole, costs one `send`, one `recv`, one cached parse and three
comparisons. All else is off the beaten track.
"""

from __future__ import annotations

import select
import socket
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from toolkit.errors import EnvironmentProblem, ServerTrouble
from toolkit.load.http_response import Head, body_of, chunks, parse_head
from toolkit.load.outcome import CONNECTION_CLOSED, CONNECTION_REFUSED, MALFORMED_RESPONSE, PENDING, TIMED_OUT
from toolkit.serve.server import Endpoint

#: epoll counts its time-out in seconds, poll (where there is no epoll) in milliseconds; the event bits are the same.
Poller: Any = getattr(select, "epoll", select.poll)
TICK_S = 0.05
POLL_TIMEOUT = TICK_S if hasattr(select, "epoll") else TICK_S * 1e3

RECEIVE_BYTES = 1 << 16  # malloc maps larger buffers afresh for each call
MAX_HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A resolved address, as `socket` takes it."""

    family: int
    place: tuple[Any, ...]


def address_of(endpoint: Endpoint) -> Address:
    """Resolve an endpoint's HTTP address once, before any load. Raises ServerTrouble for a name that is not known."""
    host, _, port = endpoint.http.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as err:
        raise ServerTrouble(f"the address '{endpoint.http}' is not known: {err}", mend="check host and port") from err
    return Address(family=found[0][0], place=found[0][4])


class HttpConnection:
    """A connection to one address, opened when it is needed and again after it was closed.

    `begin` starts a request, `advance` answers each event of the poller until it returns something else than PENDING.
    Afterwards `intended_ns`, `sent_ns`, `first_ns`, `done_ns` (perf_counter_ns) hold the times and `body()` the body.
    """

    __slots__ = (
        "_address", "_answer", "_body_start", "_by_fd", "_fd", "_head", "_parts", "_poller", "_socket", "_unsent",
        "done_ns", "first_ns", "intended_ns", "is_connected", "payload", "response_ns", "sent_ns",
    )  # fmt: skip

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Any]) -> None:
        """`by_fd` is the caller's table from the poller's file descriptors to connections; kept up to date here."""
        self._address, self._poller, self._by_fd = address, poller, by_fd
        self._socket: Any = None  # a socket.socket while open
        self._fd = -1
        self._unsent: memoryview | None = None
        self._head: Head | None = None
        self._parts: bytearray | None = None
        self._answer: bytes | bytearray = b""
        self._body_start = 0
        self.is_connected = False
        self.payload = -1
        self.response_ns: list[int] = []
        self.intended_ns = self.sent_ns = self.first_ns = self.done_ns = 0

    @property
    def header_length(self) -> int | None:
        """Inference-Header-Content-Length of the last answer."""
        return self._head.header_length if self._head else None

    def begin(self, request: bytes, payload: int, intended_ns: int) -> None:
        """Send a request, or as much of it as the socket takes; trouble of any kind shows in `advance`."""
        self.payload, self.intended_ns, self.first_ns = payload, intended_ns, 0
        self.sent_ns = perf_counter_ns()
        if self._socket is None:
            self._open(request)
            return
        try:
            sent = self._socket.send(request)
        except OSError:
            sent = 0
        if sent < len(request):
            self._unsent = memoryview(request)[sent:]
            self._poller.modify(self._fd, select.POLLIN | select.POLLOUT)

    def advance(self) -> int:
        """Do what the socket allows: PENDING, else the HTTP status of a complete answer or the class of error."""
        if self._unsent is not None and (failure := self._flush()):
            return failure
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return PENDING
        except OSError:
            data = b""  # a reset is a close
        self.done_ns = perf_counter_ns()
        if self._parts is None:
            self.first_ns = self.done_ns
            start = data.find(b"\r\n\r\n") + 4
            head = parse_head(data[:start])
            if head.length == len(data) - start and head.keeps_alive and self._unsent is None:
                self._head, self._answer, self._body_start = head, data, start
                return head.status
            self._head, self._parts, self._body_start = None, bytearray(), 0
        return self._gather(data)

    def body(self) -> bytes:
        """The body of the last complete answer, chunks put together."""
        return body_of(self._head, bytes(self._answer[self._body_start :])) if self._head else b""

    def give_up(self) -> int:
        """Abandon the request in flight for want of time: closes, and returns TIMED_OUT."""
        self.done_ns = perf_counter_ns()
        return self._end(TIMED_OUT)

    def close(self) -> None:
        """Close the socket and forget what was half received; the next `begin` opens a new one."""
        if self._socket is not None:
            self._by_fd.pop(self._fd, None)
            self._poller.unregister(self._fd)
            self._socket.close()
        self._socket, self._unsent, self._parts, self.is_connected = None, None, None, False

    def _open(self, request: bytes) -> None:
        try:
            opened = socket.socket(self._address.family, socket.SOCK_STREAM)
        except OSError as err:
            raise EnvironmentProblem(
                f"no more sockets: {err.strerror}", mend="ulimit -n 65536, or fewer clients"
            ) from err
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect_ex(self._address.place)  # a refusal shows at the first send
        self._socket, self._fd, self._unsent = opened, opened.fileno(), memoryview(request)
        self._by_fd[self._fd] = self
        self._poller.register(self._fd, select.POLLIN | select.POLLOUT)

    def _flush(self) -> int:
        unsent, now = self._unsent or memoryview(b""), perf_counter_ns()
        try:
            sent = self._socket.send(unsent)
        except BlockingIOError:
            return PENDING
        except OSError:
            if not self.is_connected:
                self.done_ns = now
                return self._end(CONNECTION_REFUSED)
            self._poller.modify(self._fd, select.POLLIN)
            return PENDING  # what the server said before it closed is still to be read
        if not self.is_connected:
            self.is_connected, self.sent_ns = True, now
        self._unsent = unsent[sent:] if sent < len(unsent) else None
        if self._unsent is None:
            self._poller.modify(self._fd, select.POLLIN)
        return PENDING

    def _gather(self, data: bytes) -> int:
        """An answer in several parts, of unknown length, or cut short; `data` empty means the server has closed."""
        parts = self._parts if self._parts is not None else bytearray()
        parts += data
        if self._head is None:
            self._body_start = parts.find(b"\r\n\r\n") + 4
            if self._body_start >= 4:
                self._head = parse_head(bytes(parts[: self._body_start]))
            elif data and len(parts) < MAX_HEAD_BYTES:
                return PENDING
            else:
                return self._end(MALFORMED_RESPONSE if data else CONNECTION_CLOSED)
        end = self._expected_end(parts, self._head, closed=not data)
        if end is None:
            return PENDING if data else self._end(CONNECTION_CLOSED)
        self._answer = parts
        if self._head.status < 0 or end != len(parts):
            return self._end(MALFORMED_RESPONSE)
        self._parts = None
        return self._head.status if self._head.keeps_alive and self._unsent is None else self._end(self._head.status)

    def _expected_end(self, parts: bytearray, head: Head, *, closed: bool) -> int | None:
        if head.is_chunked:
            return chunks(parts, self._body_start)[1]
        if head.length is None:
            return len(parts) if closed else None
        end = self._body_start + head.length
        return end if len(parts) >= end else None

    def _end(self, outcome: int) -> int:
        self.close()
        return outcome
