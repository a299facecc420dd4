"""Running a null server in a process of its own, and reading its log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from urllib.error import URLError
from urllib.request import urlopen

from toolkit.errors import ServerTrouble
from toolkit.load.null_server.behaviour import Behaviour
from toolkit.load.null_server.log import ServerLog, log_from_bytes
from toolkit.serve.server import Endpoint

HOST = "127.0.0.1"
_LOG_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NullServer:
    """A running null server."""

    endpoint: Endpoint
    pid: int


@contextmanager
def null_server(behaviour: Behaviour) -> Iterator[NullServer]:
    """Run a null server in a process of its own until the context ends. Raises ServerTrouble if it does not start."""
    options = [f"--{f.name.replace('_', '-')}={getattr(behaviour, f.name)}" for f in fields(behaviour)]
    command = [sys.executable, "-m", "toolkit.load.null_server", "--until-stdin-ends", *options]
    # A session of its own: Ctrl-C at a terminal is for the load engine, not for its server.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        address = process.stdout.readline().strip() if process.stdout else ""
        if not address:
            raise ServerTrouble(f"the null server ended at once with exit code {process.wait(10)}")
        yield NullServer(endpoint=Endpoint(http=address, pid=process.pid), pid=process.pid)
    finally:
        process.kill()
        process.communicate()


def read_log(server: NullServer) -> ServerLog:
    """What the server has logged since it started. Raises ServerTrouble."""
    try:
        with urlopen(f"http://{server.endpoint.http}/log", timeout=_LOG_TIMEOUT_S) as answer:
            return log_from_bytes(answer.read())
    except (URLError, TimeoutError) as err:
        raise ServerTrouble(f"the null server at {server.endpoint.http} does not give its log: {err}") from err
