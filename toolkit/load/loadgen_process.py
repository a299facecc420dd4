"""Starting LoadGen's worker, following it, and reading what it left behind.

In: a WorkerSpec and the requests. Out: the Records that the worker wrote. It does not know what LoadGen found.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import IO

from toolkit.errors import ServerTrouble
from toolkit.load.loadgen_worker import RECORDS, WorkerSpec
from toolkit.load.request_records import Records, read_records
from toolkit.records import to_data

#: How long a worker may take to write its records once it was told to end.
LAST_WORDS_S = 20.0


def work(
    spec: WorkerSpec, requests: Sequence[bytes], watch: Callable[[int], None], over: Callable[[], None]
) -> Records:
    """Run a worker to its end; `watch` gets the number of finished requests, 20 times a second.

    over: called when the load is over, while the worker still writes. Ctrl-C ends the worker, and its records so far
    are returned. Raises ServerTrouble when it fails.
    """
    spec.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as errors:
        # A session of its own: Ctrl-C at a terminal is for us, who tell the worker.
        process = subprocess.Popen(
            (sys.executable, "-m", "toolkit.load.loadgen_worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            interrupted = _follow(process, spec, requests, watch)
            over()
        finally:
            _end(process)
        if process.returncode != 0:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()[-1000:]
            raise ServerTrouble(f"LoadGen's process ended with exit code {process.returncode}: {words}")
    records = read_records(spec.folder / RECORDS)
    return dataclasses.replace(records, ended="interrupted") if interrupted else records


def _follow(
    process: subprocess.Popen[bytes], spec: WorkerSpec, requests: Sequence[bytes], watch: Callable[[int], None]
) -> bool:
    """Give the worker its work and read its lines; True after Ctrl-C."""
    assert process.stdin is not None and process.stdout is not None
    try:
        _give(process.stdin, spec, requests)
        for line in process.stdout:
            if line.strip().isdigit():
                watch(int(line))
    except KeyboardInterrupt:
        return True
    return False


def _give(stream: IO[bytes], spec: WorkerSpec, requests: Sequence[bytes]) -> None:
    try:
        stream.write(json.dumps(to_data(spec)).encode() + b"\n")
        stream.writelines(requests)
        stream.flush()
    except BrokenPipeError:
        return  # it has ended at once, and its standard error says why


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the worker's input, by which it ends, and wait for it; kill it where that is not enough."""
    try:
        process.communicate(timeout=LAST_WORDS_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
