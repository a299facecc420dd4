"""One HTTP/1.1 keep-alive connection as a state machine: non-blocking, at most one request in flight, every time kept.

In: the bytes of whole requests. Out: a status or an error class, the four times of the exchange and the body.
A connection registers itself with the poller and answers its events; who sends what, and when, is the caller's.
It does not know KServe, nor what a request means.

A server answers with the same few heads over and over, so the careful parser of heads is cached, and an answer that
came whole costs one `recv`, one dictionary look-up and two comparisons. All else is off the beaten track.
"""

from __future__ import annotations

import re
import select
import socket
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter_ns
from typing import Any

from toolkit.errors import EnvironmentProblem, ServerTrouble
from toolkit.serve.server import Endpoint

#: What `Connection.advance` returns besides an HTTP status: nothing yet, or the class of error that ended a request.
PENDING = 0
CONNECTION_REFUSED = -1
CONNECTION_CLOSED = -2
TIMED_OUT = -3
MALFORMED_RESPONSE = -4

#: epoll counts its time-out in seconds, poll (where there is no epoll) in milliseconds; the event bits are the same.
Poller: Any = getattr(select, "epoll", select.poll)
TICK_S = 0.05
POLL_TIMEOUT = TICK_S if hasattr(select, "epoll") else TICK_S * 1e3

RECEIVE_BYTES = 1 << 18
MAX_HEAD_BYTES = 1 << 16
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_HEADER_LENGTH = re.compile(rb"^inference-header-content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:.*\bchunked[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CONNECTION = re.compile(rb"^connection:[ \t]*(keep-alive|close)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})[ \r]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What matters in a response's head. `length` None: the body ends where its chunks, or the connection, end."""

    status: int
    length: int | None
    header_length: int | None
    is_chunked: bool
    keeps_alive: bool


@lru_cache(maxsize=512)
def parse_head(head: bytes) -> Head:
    """Read a response's head, final empty line included (RFC 9112); one that is no HTTP/1.x is MALFORMED_RESPONSE."""
    start = _STATUS.match(head)
    if start is None:
        return Head(status=MALFORMED_RESPONSE, length=0, header_length=None, is_chunked=False, keeps_alive=False)
    status, length, connection = int(start[2]), _number(_LENGTH, head), _CONNECTION.search(head)
    is_chunked = _CHUNKED.search(head) is not None
    if status in (204, 304):
        length, is_chunked = 0, False
    wish = connection[1].lower() if connection else b"close" if start[1] == b"0" else b"keep-alive"
    return Head(
        status=status,
        length=None if is_chunked else length,
        header_length=_number(_HEADER_LENGTH, head),
        is_chunked=is_chunked,
        keeps_alive=wish == b"keep-alive" and (is_chunked or length is not None),
    )


def _number(pattern: re.Pattern[bytes], head: bytes) -> int | None:
    match = pattern.search(head)
    return int(match[1]) if match else None


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


class Connection:
    """A connection to one address, opened when it is needed and again after it was closed.

    `begin` starts a request, `advance` answers each event of the poller until it returns something else than PENDING.
    Afterwards `intended_ns`, `sent_ns`, `first_ns`, `done_ns` (perf_counter_ns) hold the times and `body()` the body.
    """

    __slots__ = (
        "_address", "_answer", "_body_start", "_by_fd", "_fd", "_head", "_parts", "_poller", "_socket", "_unsent",
        "done_ns", "first_ns", "intended_ns", "is_connected", "payload", "sent_ns",
    )  # fmt: skip

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Connection]) -> None:
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
        body = bytes(self._answer[self._body_start :])
        return _joined_chunks(body) if self._head and self._head.is_chunked else body

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
            return _chunks(parts, self._body_start)[1]
        if head.length is None:
            return len(parts) if closed else None
        end = self._body_start + head.length
        return end if len(parts) >= end else None

    def _end(self, outcome: int) -> int:
        self.close()
        return outcome


def _chunks(data: bytes | bytearray, position: int) -> tuple[list[tuple[int, int]], int | None]:
    """Where the chunks at `position` lie, and where the body ends: None when it has not, -1 when it is malformed."""
    spans: list[tuple[int, int]] = []
    while (line_end := data.find(b"\r\n", position)) >= 0:
        try:
            size = int(data[position:line_end].partition(b";")[0], 16)
        except ValueError:
            return spans, -1
        if size == 0:
            trailers_end = data.find(b"\r\n\r\n", line_end)
            return spans, trailers_end + 4 if trailers_end >= 0 else None
        spans.append((line_end + 2, line_end + 2 + size))
        position = line_end + 4 + size
    return spans, None


def _joined_chunks(body: bytes) -> bytes:
    return b"".join(body[start:end] for start, end in _chunks(body, 0)[0])
