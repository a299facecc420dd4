"""Removes the containers, networks and volumes that carry a label, when whoever asked for them is gone.

    python docker_guard.py SOCKET LABEL PARENT_PID

Standard input is a pipe from the parent: when it closes, by `release`, by an exception, or by the kernel after a
`kill -9` of the parent, everything with the label is removed. A script of its own, standard library only, in a session
of its own, so that a Ctrl-C in the terminal does not end it before its work is done. It speaks the Docker Engine API
(docs.docker.com/reference/api/engine) over the engine's Unix socket.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import socket
import subprocess
import sys
from urllib.parse import quote

POLL_S = 0.2
#: An engine that removes a container waits for its processes and its file system.
TIMEOUT_S = 60.0


class Guard:
    """A guard process for one label. `release` removes what carries the label, and waits until it is gone."""

    def __init__(self, engine_socket: str, label: str) -> None:
        command = (sys.executable, "-I", "-S", __file__, engine_socket, label, str(os.getpid()))
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def release(self) -> bool:
        """Whether everything with the label is gone. May be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._process.wait() == 0


class EngineConnection(http.client.HTTPConnection):
    """HTTP over the Unix socket of a Docker engine."""

    def __init__(self, engine_socket: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self.engine_socket = engine_socket

    def connect(self) -> None:
        """Connect to the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self.engine_socket)


def remove_labelled(engine_socket: str, label: str) -> bool:
    """Remove every container, network and volume with a label. Whether none is left."""
    filters = quote(json.dumps({"label": [label]}))
    for container in _ask(engine_socket, "GET", f"/containers/json?all=1&filters={filters}"):
        _ask(engine_socket, "DELETE", f"/containers/{container['Id']}?force=1&v=1")
    for network in _ask(engine_socket, "GET", f"/networks?filters={filters}"):
        _ask(engine_socket, "DELETE", f"/networks/{network['Id']}")
    for volume in _ask(engine_socket, "GET", f"/volumes?filters={filters}")["Volumes"] or ():
        _ask(engine_socket, "DELETE", f"/volumes/{quote(volume['Name'], safe='')}?force=1")
    return not _ask(engine_socket, "GET", f"/containers/json?all=1&filters={filters}")


def _ask(engine_socket: str, method: str, path: str):  # type: ignore[no-untyped-def]
    """The JSON of an answer, None where there is none. A thing that is gone already is as good as removed."""
    connection = EngineConnection(engine_socket)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if method == "GET" and answer.status != 200:
        raise OSError(f"{path}: HTTP {answer.status}")
    return json.loads(body) if method == "GET" else None


def main(engine_socket: str, label: str, parent: int) -> int:
    """Wait for the end of the parent, then remove; exit code 0 when nothing is left."""
    # A child that the parent forked may hold the parent's side open; hence the look at who our parent is.
    while os.getppid() == parent and not select.select([0], [], [], POLL_S)[0]:
        pass
    try:
        # Compose may have been in the middle of creating something: what comes late is removed by the second pass.
        return 0 if remove_labelled(engine_socket, label) and remove_labelled(engine_socket, label) else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
