"""Driving a load against a server: request bytes and a Load go in, Records come out.

Requests are built once by the caller and sent as they are. One thread, one non-blocking loop. Percentiles, verdicts and
warm-up are not known here: everything that happened is written down, with the edges of the window beside it.

Why the loop looks as it does: what a Python client costs is objects, not Python. A request here costs one poll shared
with its neighbours, one recv, one send, two reads of the clock and one row of six integers in a flat array; all that
can wait (time-outs, retries, progress, the CPU clock) waits for the tick, twenty times a second.
"""

from __future__ import annotations

import gc
import itertools
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns, process_time_ns
from typing import Any

import numpy as np

from toolkit.errors import ToolkitError, UsageError
from toolkit.load.connection import Connect, Connection, WireProtocol, connector
from toolkit.load.http import POLL_TIMEOUT, TICK_S, Poller
from toolkit.load.outcome import CONNECTION_REFUSED, PENDING, WRONG_ANSWER, is_success
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.request_records import Ended, Records, SampledAnswer, columns_from_rows
from toolkit.serve.server import Endpoint

#: Called at every tick with the share of the load's time that is over, and the requests finished so far.
Progress = Callable[[float, int], None]
#: Whether an answer is right: payload index, Inference-Header-Content-Length, body. A ToolkitError means it is not.
Check = Callable[[int, int | None, bytes], bool]

TIMEOUT_S = 10.0
TICK_NS = int(TICK_S * 1e9)
#: The server is given up after this many ticks in a row (one second) in which every attempt to connect failed.
LOST_AFTER_TICKS = 20
MAX_SAMPLED_BYTES = 64 << 20
_FIELDS = 7


def drive(
    endpoint: Endpoint,
    requests: Sequence[bytes],
    load: Load,
    *,
    protocol: WireProtocol = "http",
    timeout_s: float = TIMEOUT_S,
    check: Check | None = None,
    progress: Progress | None = None,
) -> Records:
    """Drive `load` with whole HTTP/1.1 requests in rotation, and return a record of every request that ended.

    A client whose request fails without an HTTP answer tries again at the next tick (at most TICK_S later); a request
    without a complete answer after `timeout_s` is ended and counted. Requests in flight when the window ends are
    waited for. Answers are sampled (the first to each payload, then one a tick) and given to `check` after the
    window; a wrong one gets the status WRONG_ANSWER. Ctrl-C, and a server that is gone for a second, end the point:
    the records so far are returned and `ended` says why.
    Raises UsageError without requests, ServerTrouble for an unknown address, EnvironmentProblem without sockets.
    """
    if not requests:
        raise UsageError("there is no request to send")
    if not isinstance(load, Concurrency):
        raise UsageError(f"{load.name}: open loads are not driven yet")
    with _collector_at_rest():
        loop = _ClosedLoop(connector(endpoint, protocol), requests, load, timeout_s, progress)
        try:
            loop.run()
        except KeyboardInterrupt:
            loop.ended = "interrupted"
        finally:
            loop.close()
    return loop.records(check)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No garbage collection in the window: the loop makes no cycles, and a pause would be taken for latency."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


class _ClosedLoop:
    """The state of one `drive`. A connection is either in `by_fd`, with a request in flight, or closed in `resting`."""

    def __init__(
        self,
        connect: Connect,
        requests: Sequence[bytes],
        load: Concurrency,
        timeout_s: float,
        progress: Progress | None,
    ) -> None:
        self.requests, self.progress = requests, progress
        self.timeout_ns = int(timeout_s * 1e9)
        self.rotation = itertools.cycle(range(len(requests)))
        self.rows = array("q")
        self.poller, self.by_fd = Poller(), dict[int, Connection]()
        self.resting = [connect(self.poller, self.by_fd) for _ in range(load.clients)]
        self.keep = [True] * len(requests)
        self.samples: list[tuple[int, SampledAnswer]] = []
        self.sampled_bytes = self.ticks = self.rows_at_tick = self.refused_ticks = 0
        self.ended: Ended = "complete"
        self.began_ns = perf_counter_ns()
        self.start_ns = self.began_ns + int(load.warmup_s * 1e9)
        self.end_ns = self.start_ns + int(load.duration_s * 1e9)
        self.cpu_at_start_ns = self.cpu_at_end_ns = -1

    def run(self) -> None:
        """Send, receive and send again until the window is over and everything is answered. The hot loop."""
        poll, by_fd, requests, rotation, end_ns = (
            self.poller.poll, self.by_fd, self.requests, self.rotation, self.end_ns
        )  # fmt: skip
        next_tick_ns = self.tick()
        while by_fd or self.resting:
            for fd, _ in poll(POLL_TIMEOUT):
                connection = by_fd[fd]
                outcome = connection.advance()
                if outcome == PENDING:
                    continue
                self.record(connection, outcome)
                if outcome > 0 and connection.done_ns < end_ns:
                    payload = next(rotation)
                    connection.begin(requests[payload], payload, connection.done_ns)
                else:
                    self.rest(connection)
            if perf_counter_ns() >= next_tick_ns:
                next_tick_ns = self.tick()

    def record(self, connection: Connection, outcome: int) -> None:
        """Write down a request that ended; one call extends all columns, so that Ctrl-C cannot leave half a row."""
        done_ns, payload = connection.done_ns, connection.payload
        first_ns = connection.first_ns or done_ns
        self.rows.extend((connection.intended_ns, connection.sent_ns, first_ns, done_ns, outcome, payload, 0))
        if self.keep[payload] and is_success(outcome):
            self.keep[payload] = False
            answer = SampledAnswer(payload=payload, header_length=connection.header_length, body=connection.body())
            self.samples.append((len(self.rows) // _FIELDS - 1, answer))
            self.sampled_bytes += len(answer.body)

    def rest(self, connection: Connection) -> None:
        """Let a client pause until the next tick, so that a dead server is not hammered in a busy loop."""
        connection.close()
        self.resting.append(connection)

    def tick(self) -> int:
        """All that can wait; returns when to come again: in 50 ms, or sooner at an edge of the window."""
        now = perf_counter_ns()
        self.mark_cpu(now)
        for connection in tuple(self.by_fd.values()):
            if now - connection.intended_ns > self.timeout_ns:
                self.record(connection, connection.give_up())
                self.rest(connection)
        self.look_for_server()
        awake, self.resting = self.resting, []
        if now < self.end_ns and self.ended == "complete":
            for connection in awake:
                payload = next(self.rotation)
                connection.begin(self.requests[payload], payload, now)
        if self.sampled_bytes < MAX_SAMPLED_BYTES:
            self.keep[self.ticks % len(self.keep)] = True
        self.ticks += 1
        if self.progress is not None:
            share = (now - self.began_ns) / (self.end_ns - self.began_ns)
            self.progress(min(share, 1.0), len(self.rows) // _FIELDS)
        return min([now + TICK_NS, *(edge for edge in (self.start_ns, self.end_ns) if edge > now)])

    def mark_cpu(self, now: int) -> None:
        """Read the CPU clock when an edge of the window has just passed."""
        if self.cpu_at_start_ns < 0 and now >= self.start_ns:
            self.cpu_at_start_ns = process_time_ns()
        if self.cpu_at_end_ns < 0 and now >= self.end_ns:
            self.cpu_at_end_ns = process_time_ns()

    def look_for_server(self) -> None:
        """Note whether anything but refused connections came since the last tick; give up after too long."""
        outcomes = self.rows[self.rows_at_tick + 4 :: _FIELDS]
        self.rows_at_tick = len(self.rows)
        if any(outcome != CONNECTION_REFUSED for outcome in outcomes):
            self.refused_ticks = 0
        elif outcomes:
            self.refused_ticks += 1
        if self.refused_ticks >= LOST_AFTER_TICKS:
            self.ended = "server lost"

    def close(self) -> None:
        """Close whatever is open."""
        for connection in tuple(self.by_fd.values()):
            connection.close()
        if hasattr(self.poller, "close"):
            self.poller.close()

    def records(self, check: Check | None) -> Records:
        """All rows so far, sampled answers checked."""
        now = perf_counter_ns()
        rows = np.frombuffer(self.rows, dtype=np.int64).reshape(-1, _FIELDS).copy()
        end_ns = min(self.end_ns, now)
        cpu_end_ns = process_time_ns() if self.cpu_at_end_ns < 0 else self.cpu_at_end_ns
        if check is not None:
            wrong = [row for row, answer in self.samples if not _is_right(check, answer)]
            rows[wrong, 4] = WRONG_ANSWER
        columns: dict[str, Any] = columns_from_rows(rows)
        return Records(
            **columns,
            window_start_ns=min(self.start_ns, end_ns),
            window_end_ns=end_ns,
            client_cpu_ns=cpu_end_ns - self.cpu_at_start_ns if self.cpu_at_start_ns >= 0 else 0,
            checked=len(self.samples) if check else 0,
            ended=self.ended,
            answers=tuple(answer for _, answer in self.samples),
        )


def _is_right(check: Check, answer: SampledAnswer) -> bool:
    try:
        return check(answer.payload, answer.header_length, answer.body)
    except ToolkitError:
        return False
