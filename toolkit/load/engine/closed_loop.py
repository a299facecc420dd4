"""The closed loop: each client sends its next request when the last one has answered.

Why it looks as it does: what a Python client costs is objects, not Python. A request here costs one poll shared with
its neighbours, one recv, one send, two reads of the clock and one packed row.
"""

from __future__ import annotations

import time
from time import perf_counter_ns

from toolkit.load.connection import Connection
from toolkit.load.engine.job import Job
from toolkit.load.engine.loop import Loop, Progress
from toolkit.load.outcome import PENDING
from toolkit.load.socket_connection import POLL_TIMEOUT


class ClosedLoop(Loop):
    """A connection is either in `by_fd`, with a request in flight, or closed in `resting`."""

    def __init__(self, job: Job, clients: int, progress: Progress | None) -> None:
        super().__init__(job, progress)
        self.resting = [self.connect() for _ in range(clients)]

    def drive(self) -> None:
        """Send, receive and send again until the window is over and everything is answered. The hot loop."""
        time.sleep(max(0, self.begin_ns - perf_counter_ns()) / 1e9)
        poll, by_fd, record, end_ns = self.poller.poll, self.by_fd, self.recorder.record, self.end_ns
        requests, rotation = self.requests, self.rotation
        next_tick_ns = self.tick()
        while by_fd or self.resting:
            for fd, _ in poll(POLL_TIMEOUT):
                connection = by_fd[fd]
                outcome = connection.advance()
                if outcome == PENDING:
                    continue
                record(connection, outcome)
                done_ns = connection.done_ns
                if done_ns < end_ns and (outcome > 0 or connection.is_connected):
                    payload = next(rotation)
                    connection.begin(requests[payload], payload, done_ns)
                else:
                    self.release(connection)
            if perf_counter_ns() >= next_tick_ns:
                next_tick_ns = self.tick()

    def release(self, connection: Connection) -> None:
        """Let a client pause until the next tick, so that a dead server is not hammered in a busy loop."""
        connection.close()
        self.resting.append(connection)

    def catch_up(self, now: int) -> None:
        """Wake the clients that paused, unless the load is over."""
        awake, self.resting = self.resting, []
        if now < self.end_ns and self.ended == "complete":
            for connection in awake:
                payload = next(self.rotation)
                connection.begin(self.requests[payload], payload, now)
