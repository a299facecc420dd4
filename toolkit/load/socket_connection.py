"""A non-blocking socket that a poller watches, with what is left to send: the part that HTTP and gRPC have in common.

In: an address and bytes. Out: events answered, or a class of error. It does not know what the bytes mean.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from toolkit.errors import EnvironmentProblem, ServerTrouble
from toolkit.load.outcome import CONNECTION_REFUSED, PENDING, TIMED_OUT, TLS_FAILED
from toolkit.load.tls_socket import TlsFailed, TlsSocket, WantsToRead

#: epoll counts its time-out in seconds, poll (where there is no epoll) in milliseconds; the event bits are the same.
Poller: Any = getattr(select, "epoll", select.poll)
TICK_S = 0.05
POLL_TIMEOUT = TICK_S if hasattr(select, "epoll") else TICK_S * 1e3

#: How long an address of several may take to accept.
PROBE_S = 1.0
RECEIVE_BYTES = 1 << 16  # malloc maps larger buffers afresh for each call


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A resolved address, as `socket` takes it; with `context`, TLS is spoken to the host of that `name`."""

    family: int
    place: tuple[Any, ...]
    name: str = ""
    context: ssl.SSLContext | None = None


def resolved(host_and_port: str, context: ssl.SSLContext | None = None) -> Address:
    """Resolve `host:port` once, before any load. Raises ServerTrouble for a name that is not known."""
    host, _, port = host_and_port.rpartition(":")
    name = host.strip("[]")
    try:
        found = socket.getaddrinfo(name, int(port), type=socket.SOCK_STREAM)
    except (OSError, ValueError) as err:
        raise ServerTrouble(f"the address '{host_and_port}' is not known: {err}", mend="check host and port") from err
    family, place = _that_accepts([(family, place) for family, _, _, _, place in found])
    return Address(family=family, place=place, name=name, context=context)


def _that_accepts(places: list[tuple[int, tuple[Any, ...]]]) -> tuple[int, tuple[Any, ...]]:
    """The first of several addresses of one name where somebody listens, else the first of all."""
    for family, place in places if len(places) > 1 else ():
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.settimeout(PROBE_S)
            probe.connect(place)
            return family, place
    return places[0]


class SocketConnection:
    """A connection to one address, opened when it is needed and again after it was closed."""

    __slots__ = (
        "_address", "_by_fd", "_fd", "_poller", "_socket", "_unsent",
        "done_ns", "first_ns", "intended_ns", "is_connected", "payload", "response_ns", "sent_ns",
    )  # fmt: skip

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Any]) -> None:
        """`by_fd` is the caller's table from the poller's file descriptors to connections; kept up to date here."""
        self._address, self._poller, self._by_fd = address, poller, by_fd
        self._socket: Any = None  # a socket.socket or TlsSocket while open
        self._fd = -1
        self._unsent: memoryview | None = None
        self.is_connected = False
        self.payload = -1
        self.response_ns: list[int] = []
        self.intended_ns = self.sent_ns = self.first_ns = self.done_ns = 0

    def advance(self) -> int:
        """Do what the socket allows: PENDING, else how the request ended."""
        if self._unsent is not None and (failure := self._flush()):
            return failure
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return PENDING
        except TlsFailed:
            return self._failed(TLS_FAILED)
        except OSError:
            data = b""  # a reset is a close
        self.done_ns = perf_counter_ns()
        return self._take(data)

    def give_up(self) -> int:
        """Abandon the request in flight for want of time: closes, and returns TIMED_OUT."""
        self.done_ns = perf_counter_ns()
        return self._end(TIMED_OUT)

    def close(self) -> None:
        """Close the socket and forget what was half sent or received; the next `begin` opens a new one."""
        if self._socket is not None:
            self._by_fd.pop(self._fd, None)
            self._poller.unregister(self._fd)
            self._socket.close()
        self._socket, self._unsent, self.is_connected = None, None, False

    def _take(self, data: bytes) -> int:
        """What `data`, received at `done_ns`, means: PENDING, else how the request ended. None: the peer has closed."""
        raise NotImplementedError

    def _open(self, first: bytes) -> None:
        """Begin to connect, and leave `first` to be sent."""
        address = self._address
        try:
            opened = socket.socket(address.family, socket.SOCK_STREAM)
        except OSError as err:
            raise EnvironmentProblem(
                f"no more sockets: {err.strerror}", mend="ulimit -n 65536, or fewer clients"
            ) from err
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.connect_ex(address.place)  # a refusal shows at the first send
        self._fd, self._unsent = opened.fileno(), memoryview(first)
        self._socket = TlsSocket(opened, address.context, address.name) if address.context else opened
        self._by_fd[self._fd] = self
        self._poller.register(self._fd, select.POLLIN | select.POLLOUT)

    def _send(self, data: bytes) -> None:
        """Send, or as much as the socket takes now; the rest follows when it is writable again."""
        if self._unsent is not None:
            self._unsent = memoryview(b"".join((self._unsent, data)))
            return
        try:
            sent = self._socket.send(data)
        except OSError:
            sent = 0  # trouble shows in `_flush`
        if sent < len(data):
            self._unsent = memoryview(data)[sent:]
            self._poller.modify(self._fd, select.POLLIN | select.POLLOUT)

    def _flush(self) -> int:
        """Send more of what is left: PENDING, or the class of error when there is nobody to send it to."""
        unsent, now = self._unsent or memoryview(b""), perf_counter_ns()
        try:
            sent = self._socket.send(unsent)
        except WantsToRead:  # a socket is writable all through a handshake: do not spin
            self._poller.modify(self._fd, select.POLLIN)
            return PENDING
        except BlockingIOError:
            self._poller.modify(self._fd, select.POLLIN | select.POLLOUT)
            return PENDING
        except TlsFailed:
            return self._failed(TLS_FAILED)
        except OSError:
            if not self.is_connected:
                return self._failed(CONNECTION_REFUSED)
            self._poller.modify(self._fd, select.POLLIN)
            return PENDING  # what the server said before it closed is still to be read
        if not self.is_connected:
            self.is_connected, self.sent_ns = True, now
        self._unsent = unsent[sent:] if sent < len(unsent) else None
        self._poller.modify(self._fd, select.POLLIN if self._unsent is None else select.POLLIN | select.POLLOUT)
        return PENDING

    def _failed(self, outcome: int) -> int:
        self.done_ns = perf_counter_ns()
        return self._end(outcome)

    def _end(self, outcome: int) -> int:
        self.close()
        return outcome
