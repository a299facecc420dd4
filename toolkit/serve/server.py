"""An Endpoint: where a server listens. A Server: one that we started, a context manager that leaves nothing behind.

A Server holds the launcher process that watches over a tritonserver (launcher.py), the socket between the two, and the
log. It does not know how the command line was made.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import BinaryIO, Self

from toolkit.serve import log
from toolkit.serve.launcher import EXIT_TIMEOUT_S, REAP_TIMEOUT_S, remove_shared_memory
from toolkit.serve.tls import Tls

HOST = "127.0.0.1"
LOG_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Addresses without a scheme, `host:port`; each is empty where it is not known.

    `pid` is the server's process where it is one of ours, so that what it uses can be read. With `tls` every
    connection is encrypted. `authorization` is the value of that header ("Bearer abc"); it is never shown or stored.
    """

    http: str
    grpc: str = ""
    metrics: str = ""
    pid: int | None = None
    tls: Tls | None = None
    authorization: str = field(default="", repr=False)


def is_on_loopback(endpoint: Endpoint) -> bool:
    """Whether an address says by itself, without being looked up, that the server is on this machine."""
    host = (endpoint.http or endpoint.grpc).rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


class Server:
    """A tritonserver of ours. It lives until `close`, the end of the `with` block, or the end of this process.

    `name` is the server's own name for itself and the prefix of its shared memory; `pid` is tritonserver's.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        name: str,
        launcher: subprocess.Popen[bytes],
        control: socket.socket,
        log_file: BinaryIO,
    ) -> None:
        self.name = name
        self._launcher = launcher
        self._control = control
        self._log = log_file
        self._closing = threading.Lock()
        with control.makefile() as lines:
            self.pid = int(lines.readline() or 0)
        self.endpoint = replace(endpoint, pid=self.pid or None)

    @property
    def is_alive(self) -> bool:
        """Whether the server runs; when it does not, `logs` tells why."""
        return self._launcher.poll() is None

    @property
    def has_failed(self) -> bool:
        """Whether the log holds an error after which a starting server does not become ready."""
        return log.is_fatal(self.log_text())

    @property
    def port_taken(self) -> bool:
        """Whether the server found one of its ports in use."""
        return log.port_taken(self.log_text())

    def logs(self, lines: int = 40) -> str:
        """The last lines of the server's log, without what it always says on a machine without a GPU."""
        return log.tail(self.log_text(), lines)

    def log_text(self) -> str:
        """The end of the server's log as it is, at most 256 KiB."""
        size = os.fstat(self._log.fileno()).st_size
        # The server writes through the same open file: a seek here would move it there.
        return os.pread(self._log.fileno(), LOG_BYTES, max(0, size - LOG_BYTES)).decode(errors="replace")

    def wait(self) -> None:
        """Return when the server has ended, for whatever reason."""
        self._launcher.wait()

    def close(self) -> None:
        """End the server and its stubs, and wait until they are gone and the ports are free. May be called twice."""
        with self._closing:
            with contextlib.suppress(OSError):  # closed already, here or there
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
            try:
                self._launcher.wait(EXIT_TIMEOUT_S + 2 * REAP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait()
            # The launcher has done so already, unless somebody killed it.
            remove_shared_memory(f"{self.name}_")
            self._wait_for_ports()

    def _wait_for_ports(self, timeout_s: float = 5.0) -> None:
        addresses = (self.endpoint.http, self.endpoint.grpc, self.endpoint.metrics)
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        deadline = time.monotonic() + timeout_s
        while not all(map(port_is_free, ports)) and time.monotonic() < deadline:
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address."""
    with socket.socket() as probe:
        # As Triton does it: connections that are winding down do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
