"""However a process that started a server ends, nothing of the server is left five seconds later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ServerTrouble
from toolkit.serve import client
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Server

LEFT_AFTER_S = 5
START = """
import sys, threading, time
from pathlib import Path
from toolkit.serve import client
from toolkit.serve.embedded import serve_embedded
server = serve_embedded(Path(sys.argv[1]))
print(server.name, flush=True)
"""
WAIT_FOR_CTRL_C = """
try:
    print("waiting", flush=True)
    server.wait()
except KeyboardInterrupt:
    time.sleep(0.3)
    print(server.is_alive and client.is_ready(server.endpoint), flush=True)
"""
# Holds the parent's side of the socket open beyond the parent's end.
WAIT_WITH_A_FORKED_CHILD = """
import os
if os.fork() == 0:
    time.sleep(30)
    os._exit(0)
server.wait()
"""
ALONE_IN_A_NETWORK = """
import fcntl, socket, struct
with socket.socket() as control:
    fcntl.ioctl(control, 0x8914, struct.pack("16sh14s", b"lo", 0x41, b""))
"""


def processes_of(name: str) -> list[int]:
    """The live processes that have a server's name in their command line: launcher, tritonserver and stubs."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and name.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def regions_of(name: str) -> list[str]:
    return [path.name for path in Path("/dev/shm").glob(f"{name}*")]


def wait_for(condition: Callable[[], bool], seconds: float = LEFT_AFTER_S) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def nothing_is_left(name: str) -> bool:
    return wait_for(lambda: not processes_of(name) and not regions_of(name))


@contextmanager
def process_with_a_server(repository: Path, then: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of its own group that has started a server and goes on with `then`; the server's name."""
    process = subprocess.Popen(
        [sys.executable, "-c", START + then, str(repository)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        name = process.stdout.readline().strip()
        try:
            assert name, "the server did not start"
            yield process, name
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def launcher_of(server: Server) -> int:
    """The parent of tritonserver."""
    return int(Path(f"/proc/{server.pid}/stat").read_text().rpartition(") ")[2].split()[1])


@pytest.mark.usefixtures("can_serve")
@pytest.mark.parametrize(("then", "code"), [("", 0), ("1 / 0", 1)], ids=["normal end", "exception"])
def test_the_process_ends_without_closing_its_server(small_repository: Path, then: str, code: int) -> None:
    with process_with_a_server(small_repository, then) as (process, name):
        assert process.wait(20) == code
        assert nothing_is_left(name)


@pytest.mark.usefixtures("can_serve")
def test_ctrl_c_is_the_parents_to_answer(small_repository: Path) -> None:
    with process_with_a_server(small_repository, WAIT_FOR_CTRL_C) as (process, name):
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "waiting"
        assert len(processes_of(name)) >= 3
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline().strip() == "True"
        assert process.wait(20) == 0
        assert nothing_is_left(name)


@pytest.mark.usefixtures("can_serve")
@pytest.mark.parametrize("then", ["server.wait()", WAIT_WITH_A_FORKED_CHILD], ids=["alone", "with a forked child"])
def test_the_parent_is_killed(small_repository: Path, then: str) -> None:
    with process_with_a_server(small_repository, then) as (process, name):
        assert regions_of(name)
        process.kill()
        assert nothing_is_left(name)


@pytest.mark.usefixtures("can_serve")
def test_the_launcher_is_killed_and_the_server_goes_with_it(small_repository: Path) -> None:
    with serve_embedded(small_repository) as server:
        os.kill(launcher_of(server), signal.SIGKILL)
        assert wait_for(lambda: not processes_of(server.name))
        assert not server.is_alive
    assert regions_of(server.name) == []


@pytest.mark.usefixtures("can_serve")
def test_a_server_that_dies_later_is_not_alive_and_leaves_nothing(small_repository: Path) -> None:
    with serve_embedded(small_repository) as server:
        os.kill(server.pid, signal.SIGSEGV)
        assert wait_for(lambda: not server.is_alive)
        assert processes_of(server.name) == []
        assert "Signal (11) received" in server.logs()
        with pytest.raises(ServerTrouble, match="failed"):
            client.server_metadata(server.endpoint)


@pytest.mark.usefixtures("can_serve")
def test_a_server_started_from_a_thread_outlives_the_thread(small_repository: Path) -> None:
    started: list[Server] = []
    thread = threading.Thread(target=lambda: started.append(serve_embedded(small_repository)))
    thread.start()
    thread.join()
    with started[0] as server:
        time.sleep(0.5)
        assert server.is_alive
        x = np.array([[1], [2]], np.float32)
        np.testing.assert_array_equal(client.infer(server.endpoint, "echo", {"x": x})["x"], x)
    assert processes_of(server.name) == []
    assert regions_of(server.name) == []


@pytest.mark.usefixtures("can_serve")
def test_no_network_is_needed(small_repository: Path) -> None:
    if subprocess.run(["unshare", "-n", "true"], check=False, capture_output=True).returncode:
        pytest.skip("unshare -n is not permitted here")
    code = ALONE_IN_A_NETWORK + START + "print(client.is_ready(server.endpoint, 'echo'))"
    command = ["unshare", "-n", sys.executable, "-c", code, str(small_repository)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stdout.splitlines()[1:] == ["True"], done.stderr
