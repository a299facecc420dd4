"""Driving a load with several processes of our own: started here, told when to begin, and ended here whatever happens.

In: one Job for each process. Out: their Shares. A worker (worker.py) is a fresh interpreter, so that it works from a
notebook and from a script without a main guard. All of them begin at one moment of the monotonic clock, which the
processes of a machine have in common.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Pipe
from time import perf_counter_ns
from typing import Any

from toolkit.errors import ToolkitError
from toolkit.load.engine.job import Job
from toolkit.load.engine.loop import Progress
from toolkit.load.engine.recorder import Share
from toolkit.load.socket_connection import TICK_S

#: From the moment at which all processes are ready to the common beginning.
LEAD_NS = 20_000_000
EXIT_TIMEOUT_S = 10.0


def drive_in_processes(jobs: Sequence[Job], progress: Progress | None) -> list[Share]:
    """Drive each job in a process of its own. After Ctrl-C the shares so far are returned.

    Raises what a worker raised, ToolkitError with its last words when it died.
    """
    # A thread for each worker reads what it says: Ctrl-C reaches the main thread only, and never cuts a message in two.
    with ThreadPoolExecutor(len(jobs), thread_name_prefix="load process") as threads, _started(len(jobs)) as workers:
        list(threads.map(Worker.prepare, workers, jobs))
        begin_ns = perf_counter_ns() + LEAD_NS
        futures = [threads.submit(worker.drive, begin_ns) for worker in workers]
        try:
            _follow(workers, futures, progress)
        except KeyboardInterrupt:
            for worker in workers:
                worker.stop()
        return [future.result() for future in futures]


class Worker:
    """One process and the pipe to it. `progress` is the last that it said of the share of time, and of requests."""

    def __init__(self, name: str) -> None:
        self.name, self.progress = name, (0.0, 0)
        self._pipe, theirs = Pipe()
        command = [sys.executable, "-m", "toolkit.load.engine.worker", str(theirs.fileno())]
        # A session of its own: Ctrl-C at a terminal is for us, who tell the worker.
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()

    def prepare(self, job: Job) -> None:
        """Hand over the job, and wait until the worker could begin."""
        self._send(job)
        self._receive("ready")

    def drive(self, begin_ns: int) -> Share:
        """Let the worker begin, follow it, and return its share."""
        self._send(begin_ns)
        share: Share = self._receive("share")
        return share

    def stop(self) -> None:
        """Ask the worker to end at its next tick."""
        with contextlib.suppress(OSError):  # it has ended
            self._pipe.send("stop")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()
        self._pipe.close()

    def _send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as err:
            raise self._death() from err

    def _receive(self, wanted: str) -> Any:
        """Read until the wanted message comes; progress is noted on the way."""
        while True:
            try:
                kind, content = self._pipe.recv()
            except (EOFError, OSError) as err:
                raise self._death() from err
            if kind == wanted:
                return content
            if kind == "error":
                raise content
            self.progress = content

    def _death(self) -> ToolkitError:
        _, said = self._process.communicate(timeout=EXIT_TIMEOUT_S)
        words = said.decode(errors="replace").strip().splitlines()
        last = f": {words[-1]}" if words else ""
        return ToolkitError(
            f"{self.name} ended with exit code {self._process.returncode}{last}", mend="fewer processes, or more memory"
        )


@contextlib.contextmanager
def _started(count: int) -> Iterator[list[Worker]]:
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(count):
            workers.append(Worker(f"load process {index + 1} of {count}"))
            stack.callback(workers[-1].close)
        yield workers


def _follow(workers: Sequence[Worker], futures: Sequence[Future[Share]], progress: Progress | None) -> None:
    """Tell the progress of all until every one is done, or one has failed."""
    while True:
        done, pending = wait(futures, timeout=TICK_S, return_when=FIRST_EXCEPTION)
        if progress is not None:
            shares, finished = zip(*(worker.progress for worker in workers), strict=True)
            progress(min(shares), sum(finished))
        if not pending or any(future.exception() for future in done):
            return
