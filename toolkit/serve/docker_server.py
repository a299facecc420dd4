"""A Triton in a container of ours: what `serve.server.Server` is for the embedded one, and used in its place.

It holds the container and the guard that removes it. It does not know how the container was made.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from toolkit.serve import log
from toolkit.serve.docker_engine import asking
from toolkit.serve.docker_guard import Guard
from toolkit.serve.server import Endpoint

if TYPE_CHECKING:
    from docker.models.containers import Container

LOG_LINES = 2000
#: Unloading models serves nobody here; the embedded server gives it as long.
STOP_TIMEOUT_S = 3


class DockerServer:
    """It lives until `close`, the end of the `with` block, or the end of this process; no container is left."""

    def __init__(self, *, endpoint: Endpoint, name: str, container: Container, guard: Guard) -> None:
        self.name = name
        self.endpoint = endpoint
        self.pid = endpoint.pid or 0
        self._container = container
        self._guard = guard
        self._closing = threading.Lock()
        self._last_words = ""

    @property
    def is_alive(self) -> bool:
        """Whether the container runs; when it does not, `logs` and `ending` tell why."""
        return bool(self._state(lambda state: state["Running"], gone=False))

    @property
    def has_failed(self) -> bool:
        """Whether the log holds an error after which a starting server does not become ready."""
        return log.is_fatal(self.log_text())

    def ending(self) -> str:
        """How the container ended: its exit code, or the limit that it broke."""
        return str(self._state(_ending, gone="it was removed"))

    def logs(self, lines: int = 40) -> str:
        """The last lines of the server's log, without what it always says on a machine without a GPU."""
        return log.tail(self.log_text(), lines)

    def log_text(self) -> str:
        """The end of the container's log as it is."""
        if self._last_words:
            return self._last_words
        with asking(f"reading the log of {self.name}"):
            return str(self._container.logs(tail=LOG_LINES), errors="replace")

    def wait(self) -> None:
        """Return when the server has ended, for whatever reason."""
        with asking(f"waiting for {self.name}"):
            self._container.client.api.wait(self._container.id, timeout=None)

    def close(self) -> None:
        """End the server and remove its container. May be called twice."""
        with self._closing:
            if self._last_words:
                return
            try:
                with asking(f"stopping {self.name}"):
                    self._last_words = self.log_text() or " "
                    self._container.stop(timeout=STOP_TIMEOUT_S)
            finally:
                self._guard.release()

    def _state(self, read: Callable[[dict[str, object]], object], *, gone: object) -> object:
        if self._last_words:
            return gone
        with asking(f"looking at {self.name}"):
            self._container.reload()
        return read(self._container.attrs["State"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ending(state: dict[str, object]) -> str:
    if state.get("OOMKilled"):
        return "killed at its memory limit; give more with --memory"
    error = f": {state['Error']}" if state.get("Error") else ""
    return f"exit code {state['ExitCode']}{error}"
