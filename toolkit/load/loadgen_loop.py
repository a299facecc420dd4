"""Answering queries that somebody else decides on: ids come in from another thread, requests go out.

In: `issue`, called by the other thread with the ids of samples and the request that each one stands for. Out: a call of
`complete` with each id once its request has ended, and a Share of all of them. The engine's own loop, connections and
book; a deque and an eventfd hand the ids over. It does not know LoadGen.
"""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter_ns

from toolkit.load.connection import Connection
from toolkit.load.engine.job import Job
from toolkit.load.engine.loop import IDLE, Loop
from toolkit.load.engine.recorder import Share
from toolkit.load.outcome import CONNECTION_REFUSED, PENDING
from toolkit.load.socket_connection import POLL_TIMEOUT


class QueryLoop(Loop):
    """A connection is `busy` with a sample, `idle` (open, its payload is IDLE) or `closed`.

    At most `job.connections` are open; samples that find none free wait in their order. `by_turn`: the intended send
    of a request is when its turn came, not when it was issued (Offline, which issues everything at once).
    """

    def __init__(
        self, job: Job, complete: Callable[[int], None], on_tick: Callable[[int], bool], *, by_turn: bool = False
    ) -> None:
        """`on_tick` gets the requests finished so far, twenty times a second, and says whether to go on."""
        super().__init__(job, None)
        self.limit, self.by_turn = job.connections, by_turn
        self.complete, self.on_tick = complete, on_tick
        self.waiting: deque[tuple[int, int, int]] = deque()
        self.busy: dict[Connection, int] = {}
        self.idle: list[Connection] = []
        self.closed: list[Connection] = []
        self.full_ns = self.last_done_ns = 0
        self.is_over = self.is_refused = False
        self.wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.poller.register(self.wake, select.POLLIN)

    def issue(self, samples: Sequence[int], indices: Sequence[int]) -> None:
        """Take samples over; called by the other thread, returns at once."""
        now = perf_counter_ns()
        self.waiting.extend((sample, index, now) for sample, index in zip(samples, indices, strict=True))
        os.eventfd_write(self.wake, 1)

    def finish(self) -> None:
        """There is nothing more to come; called by the other thread."""
        self.is_over = True
        os.eventfd_write(self.wake, 1)

    def drive(self) -> None:
        """Send and receive until `finish`, the loss of the server, or the wish of `on_tick`."""
        poll, by_fd, busy, wake = self.poller.poll, self.by_fd, self.busy, self.wake
        next_tick_ns = self.tick()
        while not self.is_over and self.ended == "complete":
            for fd, _ in poll(POLL_TIMEOUT):
                if fd == wake:
                    os.eventfd_read(wake)
                    continue
                connection = by_fd[fd]
                if (outcome := connection.advance()) == PENDING:
                    continue
                if connection not in busy:
                    self.forget(connection)
                    continue
                self.recorder.record(connection, outcome)
                self.is_refused |= outcome == CONNECTION_REFUSED
                self.release(connection)
            self.send_waiting()
            if perf_counter_ns() >= next_tick_ns:
                next_tick_ns = self.tick()

    def send_waiting(self) -> None:
        """Send what is waiting, as far as there are connections; after a refusal not before the next tick."""
        while self.waiting and not self.is_refused:
            connection = self.free_connection()
            if connection is None:
                self.full_ns = perf_counter_ns()
                return
            sample, index, issued_ns = self.waiting.popleft()
            self.connection_waits += issued_ns < self.full_ns and not self.by_turn
            self.busy[connection] = sample
            connection.begin(self.requests[index], index, perf_counter_ns() if self.by_turn else issued_ns)

    def free_connection(self) -> Connection | None:
        """The idle connection that was used last, else a closed one, else a new one within the limit."""
        if self.idle:
            return self.idle.pop()
        if self.closed:
            return self.closed.pop()
        return self.connect() if len(self.busy) < self.limit else None

    def release(self, connection: Connection) -> None:
        """Put a connection aside whose request has ended, and tell whoever issued it."""
        sample = self.busy.pop(connection)
        self.last_done_ns = connection.done_ns
        if connection.is_connected:
            connection.payload = IDLE
            self.idle.append(connection)
        else:
            self.closed.append(connection)
        self.complete(sample)

    def forget(self, connection: Connection) -> None:
        """Take an idle connection out of use: the server has closed it, or says what nobody asked for."""
        self.idle.remove(connection)
        connection.close()
        self.closed.append(connection)

    def catch_up(self, now: int) -> None:
        """Try again after a refusal; ask whether to go on."""
        self.is_refused = False
        if not self.on_tick(self.recorder.finished):
            self.ended = "interrupted"

    def share(self, *, is_ahead: bool) -> Share:
        """Everything so far. The window holds every request: there is no warm-up, and all of them are judged."""
        share = super().share(is_ahead=is_ahead)
        return replace(share, window_end_ns=max(share.window_start_ns, self.last_done_ns + 1))
