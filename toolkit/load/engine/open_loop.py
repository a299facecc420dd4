"""The open loop: requests are sent when the schedule says, whatever the server does.

An arrival takes the idle connection that was used last, else a new one is opened, up to a limit; beyond that it waits
for its turn, and its intended time stays. Being late is the worst sin of a load generator, so whatever is due is sent
before answers are read, and asked for again after each answer.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter_ns

from toolkit.errors import EnvironmentProblem
from toolkit.load.connection import Connection
from toolkit.load.engine.job import Job, Schedule
from toolkit.load.engine.loop import IDLE, Loop, Progress
from toolkit.load.engine.timer import waiter
from toolkit.load.outcome import CONNECTION_REFUSED, PENDING, TIMED_OUT

NEVER = 1 << 62


class OpenLoop(Loop):
    """A connection has a request in flight, is in `idle` (open, its payload is IDLE) or in `closed`.

    Arrivals without a connection are in `waiting`: intended send and payload.
    """

    def __init__(self, job: Job, schedule: Schedule, progress: Progress | None) -> None:
        super().__init__(job, progress)
        self.limit = schedule.max_connections
        self.arrivals = iter(schedule.offsets_ns)
        self.due_ns = NEVER
        self.idle: list[Connection] = []
        self.closed: list[Connection] = []
        self.waiting: deque[tuple[int, int]] = deque()
        self.waiter = waiter(self.poller)

    def drive(self) -> None:
        """Send what is due, then read what has come, until the window is over and everything is answered."""
        wait, by_fd, record, release = self.waiter.wait, self.by_fd, self.recorder.record, self.release
        self.due_ns = self.next_due_ns()
        now, next_tick_ns = self.begin_ns, self.tick()
        ended: list[tuple[Connection, int]] = []
        while (now < self.end_ns and self.ended == "complete") or self.is_unfinished:
            events = wait(min(self.due_ns, next_tick_ns))
            now = perf_counter_ns()
            if now >= self.due_ns:
                self.send_due(now)
            # Answers that came together are all read before the first is written down: reading stops a clock.
            for fd, _ in events:
                connection = by_fd.get(fd)  # the timer is none
                if connection is None or (outcome := connection.advance()) == PENDING:
                    continue
                if connection.payload == IDLE:
                    self.forget(connection)
                else:
                    ended.append((connection, outcome))
            for connection, outcome in ended:
                record(connection, outcome)
                release(connection)
                if (now := perf_counter_ns()) >= self.due_ns:
                    self.send_due(now)
            ended.clear()
            if now >= next_tick_ns:
                next_tick_ns = self.tick()

    @property
    def is_unfinished(self) -> bool:
        """Whether anything is still to be sent or answered."""
        return self.due_ns != NEVER or bool(self.waiting) or len(self.by_fd) > len(self.idle)

    def next_due_ns(self) -> int:
        """The next intended send, NEVER after the last."""
        offset_ns = next(self.arrivals, NEVER)
        return self.begin_ns + offset_ns if offset_ns != NEVER else NEVER

    def send_due(self, now: int) -> None:
        """Send every request that was meant to be sent by now, or let it wait behind those that wait already."""
        while self.due_ns <= now:
            intended_ns, payload = self.due_ns, next(self.rotation)
            if self.waiting or not self.send(intended_ns, payload):
                self.connection_waits += 1
                self.waiting.append((intended_ns, payload))
            self.due_ns = self.next_due_ns()

    def send(self, intended_ns: int, payload: int) -> bool:
        """Send a request over the best connection there is; False when there is none."""
        if self.idle:
            self.idle.pop().begin(self.requests[payload], payload, intended_ns)
            return True
        return len(self.by_fd) < self.limit and self.send_anew(intended_ns, payload)

    def send_anew(self, intended_ns: int, payload: int) -> bool:
        """Open a connection for a request. Where the machine has no more, the limit is what is open now."""
        connection = self.closed.pop() if self.closed else self.connect()
        try:
            connection.begin(self.requests[payload], payload, intended_ns)
        except EnvironmentProblem:
            if not self.by_fd:
                raise
            self.limit = len(self.by_fd)
            self.closed.append(connection)
            return False
        self.connections = max(self.connections, len(self.by_fd))
        return True

    def release(self, connection: Connection) -> None:
        """Put a connection whose request has ended aside, and send what has waited longest."""
        if connection.is_connected:
            connection.payload = IDLE
            self.idle.append(connection)
        else:
            self.closed.append(connection)
        while self.waiting and self.send(*self.waiting[0]):
            self.waiting.popleft()

    def forget(self, connection: Connection) -> None:
        """Take an idle connection out of use: the server has closed it, or says what nobody asked for."""
        self.idle.remove(connection)
        connection.close()
        self.closed.append(connection)

    def catch_up(self, now: int) -> None:
        """Record the arrivals that have waited too long; of a server that is lost, all that wait."""
        while self.waiting and now - self.waiting[0][0] > self.timeout_ns:
            self.recorder.record_unsent(*self.waiting.popleft(), now, TIMED_OUT)
        if self.ended == "server lost":
            self.due_ns = NEVER
            while self.waiting:
                self.recorder.record_unsent(*self.waiting.popleft(), now, CONNECTION_REFUSED)

    def close(self) -> None:
        """Close whatever is open, the timer too."""
        self.waiter.close()
        super().close()
