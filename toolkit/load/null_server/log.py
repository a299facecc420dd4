"""What really happened, by the server's own log, and the same requests found in the client's records.

All times are those of `perf_counter_ns`, the monotonic clock, which processes of one Linux machine share.
"""

from __future__ import annotations

import io
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.load.request_records import Records

Integers = NDArray[np.int64]

_COLUMNS, _RESPONSE_COLUMNS = 4, 3
#: Rows that are kept at most (128 MB); inferences beyond are answered and not logged.
MOST_ROWS = 4_000_000


class Log:
    """The writing side: a row for each inference in the order of arrival, one for each response of a stream."""

    def __init__(self) -> None:
        self.rows, self.responses = array("q"), array("q")
        self.count = 0

    def arrive(self, identity: int, arrived_ns: int) -> int:
        """An inference has been read; returns the number of its row."""
        row = self.count
        self.count = row + 1
        if row < MOST_ROWS:
            self.rows.extend((identity, arrived_ns, 0, 0))
        return row

    def finish(self, row: int, due_ns: int, done_ns: int) -> None:
        """Its answer, or the last response of a stream, was given to the kernel at `done_ns`."""
        if row < MOST_ROWS:
            self.rows[row * _COLUMNS + 2] = due_ns
            self.rows[row * _COLUMNS + 3] = done_ns

    def respond(self, row: int, due_ns: int, done_ns: int) -> None:
        """One response of a stream was given to the kernel at `done_ns`."""
        if row < MOST_ROWS:
            self.responses.extend((row, due_ns, done_ns))

    def content(self) -> bytes:
        """Everything so far as an npz: `inferences` and `responses`, int64 arrays of four and of three columns."""
        file = io.BytesIO()
        np.savez(
            file,
            inferences=np.array(self.rows, dtype=np.int64).reshape(-1, _COLUMNS),
            responses=np.array(self.responses, dtype=np.int64).reshape(-1, _RESPONSE_COLUMNS),
        )
        return file.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServerLog:
    """The reading side: inferences in the order of arrival, and the responses of streams in the order of sending.

    `arrived_ns`: just after the request was read. `due_ns`: when the queue model said that it is done; of a stream, its
    last response. `done_ns`: just before the answer was given to the kernel (or its fault was done), 0 while that is to
    come. So a client's clock says no later for sending, and no earlier for the answer. `response_row` says to which
    inference a response belongs.
    """

    identity: Integers
    arrived_ns: Integers
    due_ns: Integers
    done_ns: Integers
    response_row: Integers
    response_due_ns: Integers
    response_ns: Integers

    @property
    def lateness_ns(self) -> Integers:
        """How much later than due each answered inference was sent."""
        answered = self.done_ns > 0
        return self.done_ns[answered] - self.due_ns[answered]


def log_from_bytes(content: bytes) -> ServerLog:
    """Read what `Log.content` made."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        rows, responses = file["inferences"], file["responses"]
    return ServerLog(
        identity=rows[:, 0],
        arrived_ns=rows[:, 1],
        due_ns=rows[:, 2],
        done_ns=rows[:, 3],
        response_row=responses[:, 0],
        response_due_ns=responses[:, 1],
        response_ns=responses[:, 2],
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paired:
    """Both sides of the same requests: `rows[i]` of the log belongs to `records[i]` of the records; both are indices.

    `unpaired` records have no certain counterpart: their id was seen more often on one side than on the other.
    """

    records: Integers
    rows: Integers
    unpaired: int


def paired(log: ServerLog, records: Records) -> Paired:
    """Find the log's row of each record: the k-th request sent with an id is the k-th that arrived with it.

    The id is the index of the payload, as in `null_requests`. Rows outside the records' time belong to other loads of
    the same server. Needs more payloads than requests in flight, so that those of one id do not overtake each other.
    """
    if not len(records.sent_ns):
        return Paired(records=np.zeros(0, np.int64), rows=np.zeros(0, np.int64), unpaired=0)
    inside = (log.arrived_ns >= records.sent_ns.min()) & (log.arrived_ns <= records.done_ns.max())
    rows = np.flatnonzero(inside & (log.identity >= 0))
    order = np.argsort(records.sent_ns, kind="stable")
    identities = records.payload.astype(np.int64)
    sent, arrived = _occurrences(identities[order]), _occurrences(log.identity[rows])
    size = int(max(identities.max(), log.identity[rows].max(initial=0))) + 1
    agree = np.bincount(identities, minlength=size) == np.bincount(log.identity[rows], minlength=size)
    _, ours, theirs = np.intersect1d(sent, arrived, assume_unique=True, return_indices=True)
    certain = agree[identities[order[ours]]]
    found = order[ours[certain]]
    back = np.argsort(found, kind="stable")
    return Paired(records=found[back], rows=rows[theirs[certain]][back], unpaired=len(order) - len(found))


def _occurrences(identities: Integers) -> Integers:
    """A number for each element that no other has: made of its id and of how often the id came before."""
    order = np.argsort(identities, kind="stable")
    ordered = identities[order]
    firsts = np.flatnonzero(np.diff(ordered, prepend=-2))
    rank = np.arange(len(ordered)) - np.repeat(firsts, np.diff(firsts, append=len(ordered)))
    numbers = np.empty(len(ordered), np.int64)
    numbers[order] = (ordered << 32) + rank
    return numbers
