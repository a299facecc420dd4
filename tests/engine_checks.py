"""What every record of the load engine must be, and the words for how requests ended; for the engine's tests."""

from __future__ import annotations

from collections import Counter

import numpy as np

from toolkit.load.outcome import kind_of
from toolkit.load.pattern import OpenLoad, arrivals_s
from toolkit.load.request_records import Records


def request(path: str, body: bytes) -> bytes:
    """A whole HTTP request."""
    return f"POST {path} HTTP/1.1\r\nHost: null\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


INFER = [request("/v2/models/null/infer", bytes([index]) * 64) for index in range(3)]


def kinds(records: Records) -> Counter[str]:
    """How many requests ended in which way."""
    return Counter(kind_of(status) for status in records.status.tolist())


def assert_in_order(records: Records) -> None:
    """Rows by intended send, and the times of each row in the order of its life."""
    assert (np.diff(records.intended_ns) >= 0).all()
    assert (records.intended_ns <= records.sent_ns).all()
    assert (records.sent_ns <= records.first_ns).all()
    assert (records.first_ns <= records.done_ns).all()


def assert_as_scheduled(records: Records, load: OpenLoad) -> None:
    """One record for each arrival of the schedule, each with its intended time, to the nanosecond."""
    schedule_ns = np.round(arrivals_s(load) * 1e9).astype(np.int64)
    begin_ns = records.window_start_ns - int(load.warmup_s * 1e9)
    assert np.array_equal(records.intended_ns - begin_ns, schedule_ns)
    assert_in_order(records)
