"""Runs a tritonserver and ends it, its stubs and its shared memory when whoever asked for it is gone.

    python launcher.py PARENT_PID SHM_PREFIX COMMAND...

Standard input is a socket to the parent: the launcher writes the server's process id to it, and ends the server when
the other side is closed, by `close`, by an exception, or by the kernel after a `kill -9` of the parent. Standard
output is the log. A script of its own, standard library only, so that it starts in milliseconds.

Why not PR_SET_PDEATHSIG from the parent: it fires when the *thread* that forked ends, and notebooks start servers from
worker threads. The launcher has one thread, so between launcher and server it is sound: a `kill -9` of the launcher
takes the server along. The launcher is a session of its own: a Ctrl-C in the terminal is the parent's to answer.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

#: How long Triton may take to unload its models: with Python stubs it takes seconds, to no use of ours.
EXIT_TIMEOUT_S = 1
#: How long killed processes may take to vanish.
REAP_TIMEOUT_S = 3
POLL_S = 0.1
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(parent: int, shm_prefix: str, command: list[str]) -> int:
    """Run the command until it ends or the parent is gone; return its exit code."""
    # Stubs that outlive their server become our children, so that we can wait for them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=die_with_launcher)
    try:
        with contextlib.suppress(BrokenPipeError):
            os.write(0, f"{server.pid}\n".encode())
        watch(server, parent)
    finally:
        end(server)
        remove_shared_memory(shm_prefix)
    return server.returncode


def die_with_launcher() -> None:
    """Between fork and exec: ask the kernel to kill this process when the launcher dies."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def watch(server: subprocess.Popen[bytes], parent: int) -> None:
    """Return when the server has ended, the parent has closed its side, or the parent is gone.

    A child that the parent forked may hold the parent's side open; hence the look at who our parent is.
    """
    while server.poll() is None and os.getppid() == parent:
        if select.select([0], [], [], POLL_S)[0]:
            return


def end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, kill what is left of its process group, and wait until all of them are gone."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if server.poll() is None:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(EXIT_TIMEOUT_S + 0.5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    deadline = time.monotonic() + REAP_TIMEOUT_S
    while has_children() and time.monotonic() < deadline:
        time.sleep(0.01)


def has_children() -> bool:
    """Whether a descendant of the server is left; those that have ended are reaped."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def remove_shared_memory(prefix: str) -> None:
    """Remove the shared memory regions of one server, which Triton leaves behind when it is killed."""
    for region in Path("/dev/shm").glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
