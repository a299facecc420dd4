"""The other end of a connection, written by hand: what it says, in which packets, and when it closes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from toolkit.load.connection import Connection
from toolkit.load.outcome import PENDING

Talk = Callable[[socket.socket], None]


@contextmanager
def talking(*talks: Talk, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address of a listener that holds the `talks`, one for each connection in turn, and closes after each."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(30)

    def serve() -> None:
        for talk in talks:
            with suppress(OSError):  # the other end has gone, which a test may want
                peer, _ = listener.accept()
                with peer:
                    peer.settimeout(30)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with context.wrap_socket(peer, server_side=True) if context else peer as agreed:
                        talk(agreed)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join(30)


def saying(*parts: bytes, pause_s: float = 0.001, linger_s: float = 0.0) -> Talk:
    """Reads once, then says `parts`, each in a packet of its own.

    linger_s: wait so long at most for the other end to close first. Who closes with something unread resets the
    connection, and a slow reader then loses the end of what was said.
    """

    def talk(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        for part in parts:
            peer.sendall(part)
            time.sleep(pause_s)
        if linger_s:
            peer.settimeout(linger_s)
            while peer.recv(1 << 16):
                pass

    return talk


def exchange(connection: Connection, request: bytes, *, timeout_s: float = 30.0) -> int:
    """Send a request and wait for what comes of it."""
    connection.begin(request, 0, time.perf_counter_ns())
    return outcome_of(connection, timeout_s=timeout_s)


def outcome_of(connection: Connection, *, timeout_s: float = 30.0) -> int:
    """Wait for the end of the request in flight."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        connection._poller.poll(0.1)  # type: ignore[attr-defined]
        if (outcome := connection.advance()) != PENDING:
            return outcome
    raise TimeoutError
