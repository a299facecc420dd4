"""Start the export worker, follow it, and turn its end into a result or an error. Knows nothing of models.

In: a WorkerRequest and a folder. Out: what the worker answered; everything it printed is in the log.
The worker leads a process group of its own, so that Ctrl-C reaches us and not it, and so that it can be ended
together with whatever the customer's code started. It ends itself when our end of the channel closes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from toolkit import errors
from toolkit.errors import ExportFailed, ToolkitError
from toolkit.export.spec import WorkerRequest
from toolkit.models.source import is_confined
from toolkit.records import write_json, writing

Progress = Callable[[str], None]
#: How long a channel without news is waited on before the worker is looked after.
_POLL_S = 0.2
_LAST_LINES = 12


def run_worker(request: WorkerRequest, request_file: Path, log: Path, progress: Progress | None = None) -> Any:
    """Write `request_file`, serve it in a worker with this file's folder as output, and return the worker's answer.

    Raises the worker's own ToolkitError, and ExportFailed with the end of `log` when it died otherwise, or when it
    opens code from a data file and takes longer than the request's limit.
    """
    deadline = time.monotonic() + request.spec.limits.time_s if is_confined(request.source) else math.inf
    write_json(request_file, request.relative_to(request_file.parent))
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-Bu", "-m", "toolkit.export.worker", str(request_file)]
    with writing(log):
        output = log.open("wb")
    with ours, output:
        with theirs:
            worker = subprocess.Popen(
                [*command, "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(theirs.fileno(),),
                process_group=0,
            )
        try:
            last = _follow(worker, ours, progress, deadline)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
    if time.monotonic() > deadline:
        raise ExportFailed(
            f"{request.source.path}: opening and exporting it took longer than {request.spec.limits.time_s:g} s,"
            " the limit for code that comes in a data file",
            mend=f"read {log} for what it was doing; give it longer with --timeout",
        )
    return _answer(last, worker.returncode, log)


def _follow(
    worker: subprocess.Popen[bytes], channel: socket.socket, progress: Progress | None, deadline: float
) -> dict[str, Any]:
    """Pass phases on until the worker is gone or late; the last message is its result or its failure."""
    channel.settimeout(_POLL_S)
    last: dict[str, Any] = {}
    buffer = b""
    while time.monotonic() < deadline:
        has_ended = worker.poll() is not None
        try:
            received = channel.recv(65536)
        except TimeoutError:
            received = b""
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            last = json.loads(line)
            if progress and "phase" in last:
                progress(last["phase"])
        if has_ended and not received:
            return last
        if not received and not has_ended:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(_POLL_S)
    return last


def _answer(last: dict[str, Any], code: int, log: Path) -> Any:
    if "failed" in last:
        kind: type[ToolkitError] = getattr(errors, last["failed"])
        raise kind(last["message"], mend=last["mend"] or f"read {log}")
    if "done" in last and code == 0:
        return last["done"]
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LAST_LINES:]
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    doing = f" while {last['phase']}" if "phase" in last else ""
    raise ExportFailed(
        f"the export worker {how}{doing}:\n" + "\n".join(f"    {line}" for line in lines),
        mend="give it more memory" if code == -signal.SIGKILL else f"read the whole of {log}",
    )
