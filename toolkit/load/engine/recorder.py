"""The book that a loop keeps: a row for every request that ended, and samples of the answers.

In: connections whose request has just ended. Out: a Share, which a worker process can send home as it is.
What a Share is made into (sorted columns, checked answers) is merge.py's.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from toolkit.load.connection import Connection
from toolkit.load.outcome import CONNECTION_REFUSED, is_success
from toolkit.load.request_records import ROW, Ended, SampledAnswer

#: The server is given up when nothing but refused connections came for so long.
LOST_AFTER_NS = 1_000_000_000
MAX_SAMPLED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one process drove: rows (ROW) and times of responses in the order of their ends, sampled answers by row."""

    rows: bytearray
    response_ns: array[int]
    samples: tuple[tuple[int, SampledAnswer], ...]
    window_start_ns: int
    window_end_ns: int
    cpu_ns: int
    connections: int
    connection_waits: int
    is_ahead: bool
    ended: Ended


class Recorder:
    """Rows so far. `finished` counts them."""

    def __init__(self, payloads: int) -> None:
        self.rows, self.response_ns = bytearray(), array("q")
        self.samples: list[tuple[int, SampledAnswer]] = []
        self._keep = [True] * payloads
        self._sampled_bytes = self._kept_at = 0
        self._refused = self._refused_before = self._finished_before = 0
        self._refused_since_ns: int | None = None

    @property
    def finished(self) -> int:
        """How many requests have ended."""
        return len(self.rows) // ROW.size

    def record(self, connection: Connection, outcome: int) -> None:
        """Write down a request that ended. The row goes in last, and at once: Ctrl-C cannot leave half of one."""
        done_ns, payload, stream = connection.done_ns, connection.payload, connection.response_ns
        first_ns = connection.first_ns or done_ns
        if stream:
            first_ns = stream[0]
            self.response_ns.extend(stream)
        self.rows += ROW.pack(
            connection.intended_ns, connection.sent_ns, first_ns, done_ns, outcome, payload, len(stream)
        )
        if outcome == CONNECTION_REFUSED:
            self._refused += 1
        elif self._keep[payload] and is_success(outcome):
            self._keep[payload] = False
            answer = SampledAnswer(payload=payload, header_length=connection.header_length, body=connection.body())
            self.samples.append((self.finished - 1, answer))
            self._sampled_bytes += len(answer.body)

    def record_unsent(self, intended_ns: int, payload: int, now: int, outcome: int) -> None:
        """Write down a request that ended before there was a connection for it."""
        self.rows += ROW.pack(intended_ns, now, now, now, outcome, payload, 0)

    def sample_another(self) -> None:
        """Keep the next answer to one more payload, in rotation."""
        if self._sampled_bytes < MAX_SAMPLED_BYTES:
            self._keep[self._kept_at] = True
            self._kept_at = (self._kept_at + 1) % len(self._keep)

    def server_is_lost(self, now: int) -> bool:
        """Whether connections have been refused for LOST_AFTER_NS and nothing else came; to be asked now and then."""
        finished, refused = self.finished - self._finished_before, self._refused - self._refused_before
        self._finished_before, self._refused_before = self.finished, self._refused
        if finished > refused:
            self._refused_since_ns = None
        elif refused and self._refused_since_ns is None:
            self._refused_since_ns = now
        return bool(refused and self._refused_since_ns and now - self._refused_since_ns >= LOST_AFTER_NS)
