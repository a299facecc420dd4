"""Removes the containers, networks and volumes that carry a label, when whoever asked for them is gone.

    python docker_guard.py SOCKET LABEL PARENT_PID

Standard input is a pipe from the parent: when it closes, by `release`, by an exception, or by the kernel after a
`kill -9` of the parent, everything with the label is removed; unless it was released, once more after a while, since a
`docker compose up` that outlives its parent may still be creating. A script of its own, standard library only, in a
session of its own, so that a Ctrl-C in the terminal does not end it before its work is done. It speaks the API of the
Docker Engine (docs.docker.com/reference/api/engine) over the engine's Unix socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import time
from typing import Any
from urllib.parse import quote

POLL_S = 0.2
#: How often it is tried, how far apart, and what a program that outlives its parent may take to create something.
PASSES, BETWEEN_S, LATE_S = 5, 0.5, 5.0
RELEASED = b"released"
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
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # somebody has killed it
                self._process.stdin.write(RELEASED)
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


def labelled(engine_socket: str, label: str) -> list[str]:
    """Where the engine's API has every container, network and volume with a label, in the order of their removal."""
    filters = "filters=" + quote(json.dumps({"label": [label]}))
    containers = _ask(engine_socket, "GET", f"/containers/json?all=1&{filters}")
    networks = _ask(engine_socket, "GET", f"/networks?{filters}")
    volumes = _ask(engine_socket, "GET", f"/volumes?{filters}")["Volumes"] or ()
    return [
        *(f"/containers/{container['Id']}?force=1&v=1" for container in containers),
        *(f"/networks/{network['Id']}" for network in networks),
        *(f"/volumes/{quote(volume['Name'], safe='')}?force=1" for volume in volumes),
    ]


def remove_labelled(engine_socket: str, label: str) -> bool:
    """Remove everything with a label. Whether nothing is left."""
    for _ in range(PASSES):
        for path in labelled(engine_socket, label):
            _ask(engine_socket, "DELETE", path)
        if not labelled(engine_socket, label):
            return True
        time.sleep(BETWEEN_S)
    return False


def _ask(engine_socket: str, method: str, path: str) -> Any:
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
    is_released = bool(select.select([0], [], [], 0)[0]) and os.read(0, len(RELEASED)) == RELEASED
    try:
        is_gone = remove_labelled(engine_socket, label)
        if not is_released:
            time.sleep(LATE_S)
            is_gone = remove_labelled(engine_socket, label)
    except OSError:
        return 1
    return 0 if is_gone else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
