"""One HTTP/1.1 keep-alive connection as a state machine: non-blocking, at most one request in flight, every time kept.

In: the bytes of whole requests. Out: a status or an error class, the four times of the exchange and the body.
A connection registers itself with the poller and answers its events; who sends what, and when, is the caller's.
It does not know KServe, nor what a request means.

An answer that comes whole, to a request that went out whole, costs one `send`, one `recv`, one cached parse and three
comparisons. All else is off the beaten track.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any

from toolkit.load.http_response import ChunkedBody, Head, parse_head
from toolkit.load.outcome import CONNECTION_CLOSED, MALFORMED_RESPONSE, PENDING
from toolkit.load.socket_connection import Address, SocketConnection

MAX_HEAD_BYTES = 1 << 16


class HttpConnection(SocketConnection):
    """A connection to one address, opened when it is needed and again after it was closed.

    `begin` starts a request, `advance` answers each event of the poller until it returns something else than PENDING.
    Afterwards `intended_ns`, `sent_ns`, `first_ns`, `done_ns` (perf_counter_ns) hold the times and `body()` the body.
    """

    __slots__ = ("_answer", "_body_start", "_chunked", "_head", "_parts")

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Any]) -> None:
        super().__init__(address, poller, by_fd)
        self._head: Head | None = None
        self._parts: bytearray | None = None
        self._chunked: ChunkedBody | None = None
        self._answer: bytes | bytearray = b""
        self._body_start = 0

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
        else:
            self._send(request)

    def _take(self, data: bytes) -> int:
        """PENDING, else the HTTP status of a complete answer or the class of error."""
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
        """The body of the last answer, chunks put together."""
        return bytes(self._answer[self._body_start :]) if self._head else b""

    def close(self) -> None:
        """Close the socket and forget what was half received; the next `begin` opens a new one."""
        super().close()
        self._parts = None

    def _gather(self, data: bytes) -> int:
        """An answer in several parts, of unknown length, or cut short; `data` empty means the server has closed."""
        parts, has_closed = self._parts if self._parts is not None else bytearray(), not data
        if self._head is None:
            parts += data
            start = parts.find(b"\r\n\r\n") + 4
            if start >= 4:
                self._head, data = parse_head(bytes(parts[:start])), bytes(parts[start:])
                self._chunked = ChunkedBody() if self._head.is_chunked else None
                parts.clear()
            elif data and len(parts) < MAX_HEAD_BYTES:
                return PENDING
            else:
                return self._end(MALFORMED_RESPONSE if data else CONNECTION_CLOSED)
        self._answer = parts
        if content := self._chunked.take(data) if self._chunked else data:
            parts += content
            self._gained(content)
        length = len(parts) if has_closed and self._head.length is None and not self._chunked else self._length()
        if length is None or length > len(parts):
            return self._end(CONNECTION_CLOSED) if has_closed else PENDING
        if self._head.status < 0 or length != len(parts):
            return self._end(MALFORMED_RESPONSE)
        self._parts = None
        return self._head.status if self._head.keeps_alive and self._unsent is None else self._end(self._head.status)

    def _length(self) -> int | None:
        if self._chunked:
            return self._chunked.length
        return self._head.length if self._head else None

    def _gained(self, content: bytes) -> None:
        """Called with each piece of a body that comes in several, at `done_ns`; for who reads it as it comes."""
