"""One connection of the null server: takes requests out of what it receives, and sends what it is given."""

from __future__ import annotations

import select
import socket
from time import perf_counter_ns
from typing import TYPE_CHECKING

from toolkit.load.null_server.messages import parse_request

if TYPE_CHECKING:
    from toolkit.load.null_server.server import Server

RECEIVE_BYTES = 1 << 16  # malloc maps larger buffers afresh for each call
#: Whole inferences are remembered by their bytes, as long as they are short and few, and not parsed again.
REMEMBERED_BYTES, REMEMBERED = 1 << 12, 1 << 14


class Exchange:
    """A connection. One whole request that is known already costs `ready` one recv and one dictionary look-up."""

    __slots__ = ("_needed", "_parts", "_server", "_socket", "_unsent", "fd")

    def __init__(self, connection: socket.socket, server: Server) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._server = connection, server
        self._parts, self._needed, self._unsent = bytearray(), 0, b""
        self.fd = connection.fileno()
        server.poller.register(self.fd, select.POLLIN)

    def ready(self) -> None:
        """Do what the socket allows."""
        if self._unsent:
            self._flush()
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a reset is a close; so is what `_flush` closed
        now_ns = perf_counter_ns()
        if not data:
            self.close()
        elif not self._parts and (request := self._server.known.get(data)) is not None:
            self._server.take(self, request, now_ns)
        else:
            self._parts += data
            self._take_requests(now_ns)
        if self._server.read_pause_ns:
            self._server.pause(self, now_ns)

    def _take_requests(self, now_ns: int) -> None:
        while self._parts and len(self._parts) >= self._needed:
            request = parse_request(bytes(self._parts))
            if isinstance(request, int):
                self._needed = request
                return
            raw, self._needed = bytes(self._parts[: request.size]), 0
            del self._parts[: request.size]
            known = self._server.known
            if request.is_inference and request.size <= REMEMBERED_BYTES and len(known) < REMEMBERED:
                known[raw] = request
            self._server.take(self, request, now_ns)

    def send(self, data: bytes) -> None:
        """Send, and keep what the socket does not take until it does. Does nothing when the connection is closed."""
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self.watch()

    def watch(self, *, reading: bool = True) -> None:
        """Ask the poller for what can be done now."""
        if self.fd >= 0:
            events = select.POLLIN * reading | (select.POLLOUT if self._unsent else 0)
            self._server.poller.modify(self.fd, events)

    def close(self) -> None:
        """Close, and be forgotten by the server. May be called twice."""
        if self.fd >= 0:
            self._server.poller.unregister(self.fd)
            del self._server.handlers[self.fd]
            self._socket.close()
            self.fd = -1

    def _flush(self) -> None:
        data, self._unsent = self._unsent, b""
        self.send(data)
        if not self._unsent:
            self.watch()
