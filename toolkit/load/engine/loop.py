"""What the closed and the open loop have in common: connections, the window's edges, and the tick.

All that can wait (time-outs, a lost server, samples, progress, the CPU clock) waits for the tick, twenty times a
second. When requests are sent is the subclass's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from time import perf_counter_ns, process_time_ns

from toolkit.load.connection import Connection, connector
from toolkit.load.engine.job import Job
from toolkit.load.engine.recorder import Recorder, Share
from toolkit.load.request_records import Ended
from toolkit.load.socket_connection import TICK_S, Poller

#: Called at every tick with the share of the load's time that is over, and the requests finished so far.
Progress = Callable[[float, int], None]

TICK_NS = int(TICK_S * 1e9)
#: The payload of a connection that is open and has no request in flight.
IDLE = -1


class Loop:
    """The state of one process's part of a load. `by_fd` holds the open connections.

    A subclass has `drive`, `release`, which takes a connection whose request has ended, and `catch_up` for the tick.
    """

    def __init__(self, job: Job, progress: Progress | None) -> None:
        connect = connector(job.endpoint, job.protocol)
        self.poller, self.by_fd = Poller(), dict[int, Connection]()
        self.connect: Callable[[], Connection] = lambda: connect(self.poller, self.by_fd)
        self.requests, self.timeout_ns, self.progress = job.requests, job.timeout_ns, progress
        count = len(job.requests)
        self.rotation = itertools.cycle([(job.first_payload + index) % count for index in range(count)])
        self.recorder = Recorder(count)
        self.connections = self.connection_waits = 0
        self.ended: Ended = "complete"
        self._warmup_ns, self._duration_ns = job.warmup_ns, job.duration_ns
        self._cpu_at_start_ns = self._cpu_at_end_ns = -1
        self.begin_ns = self.start_ns = self.end_ns = 0

    def run(self, begin_ns: int) -> None:
        """Drive from `begin_ns` until the window is over and everything is answered, or until Ctrl-C."""
        self.begin_ns = begin_ns
        self.start_ns = begin_ns + self._warmup_ns
        self.end_ns = self.start_ns + self._duration_ns
        try:
            self.drive()
        except KeyboardInterrupt:
            self.ended = "interrupted"

    def drive(self) -> None:
        """Send and receive until the window is over and everything is answered."""
        raise NotImplementedError

    def release(self, connection: Connection) -> None:
        """Take back a connection whose request has ended, whether it is still open or not."""
        raise NotImplementedError

    def catch_up(self, now: int) -> None:
        """Do what was left for the tick."""
        raise NotImplementedError

    def tick(self) -> int:
        """All that can wait; returns when to come again: in 50 ms, or sooner at an edge of the window."""
        now = perf_counter_ns()
        self._mark_cpu(now)
        for connection in tuple(self.by_fd.values()):
            if now - connection.intended_ns > self.timeout_ns and connection.payload != IDLE:
                self.recorder.record(connection, connection.give_up())
                self.release(connection)
        self.connections = max(self.connections, len(self.by_fd))
        if self.recorder.server_is_lost(now):
            self.ended = "server lost"
        self.catch_up(now)
        self.recorder.sample_another()
        if self.progress is not None:
            share = (now - self.begin_ns) / (self.end_ns - self.begin_ns)
            self.progress(min(max(share, 0.0), 1.0), self.recorder.finished)
        return min([now + TICK_NS, *(edge for edge in (self.start_ns, self.end_ns) if edge > now)])

    def close(self) -> None:
        """Close whatever is open."""
        for connection in tuple(self.by_fd.values()):
            connection.close()
        if hasattr(self.poller, "close"):
            self.poller.close()

    def share(self, *, is_ahead: bool) -> Share:
        """Everything so far."""
        end_ns = min(self.end_ns, perf_counter_ns())
        cpu_end_ns = process_time_ns() if self._cpu_at_end_ns < 0 else self._cpu_at_end_ns
        return Share(
            rows=self.recorder.rows,
            response_ns=self.recorder.response_ns,
            samples=tuple(self.recorder.samples),
            window_start_ns=min(self.start_ns, end_ns),
            window_end_ns=end_ns,
            cpu_ns=cpu_end_ns - self._cpu_at_start_ns if self._cpu_at_start_ns >= 0 else 0,
            connections=self.connections,
            connection_waits=self.connection_waits,
            is_ahead=is_ahead,
            ended=self.ended,
        )

    def _mark_cpu(self, now: int) -> None:
        """Read the CPU clock when an edge of the window has just passed."""
        if self._cpu_at_start_ns < 0 and now >= self.start_ns:
            self._cpu_at_start_ns = process_time_ns()
        if self._cpu_at_end_ns < 0 and now >= self.end_ns:
            self._cpu_at_end_ns = process_time_ns()
