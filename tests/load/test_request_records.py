"""Records on disk: whole, readable, and refused when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ConfigurationError
from toolkit.load.outcome import kind_of
from toolkit.load.request_records import ROW, Records, columns_from_rows, read_records, rows_from_bytes, write_records


def test_written_and_read(tmp_path: Path, records_of: Callable[..., Records]) -> None:
    records = records_of([0.1, 0.2, 0.3], status=[200, 503, -3], ended="interrupted", checked=2, client_cpu_ns=7)
    write_records(tmp_path / "records.npz", records)
    found = read_records(tmp_path / "records.npz")
    for name in ("intended_ns", "sent_ns", "first_ns", "done_ns", "status", "payload"):
        assert np.array_equal(getattr(found, name), getattr(records, name))
        assert getattr(found, name).dtype == getattr(records, name).dtype
    assert (found.ended, found.checked, found.client_cpu_ns) == ("interrupted", 2, 7)
    assert (found.window_start_ns, found.window_end_ns) == (records.window_start_ns, records.window_end_ns)
    assert found.interrupted and found.succeeded.tolist() == [True, False, False]
    assert [path.name for path in tmp_path.iterdir()] == ["records.npz"]


def test_damaged_files_are_refused(tmp_path: Path, records_of: Callable[..., Records]) -> None:
    write_records(tmp_path / "whole.npz", records_of([0.1] * 100))
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("intended_ns")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    for name in ("cut", "text", "other", "absent"):
        with pytest.raises(ConfigurationError, match=name):
            read_records(tmp_path / f"{name}.npz")


ROWS = (
    # intended, sent, first, done, status, payload, responses
    (5, 6, 7, 8, 200, 1, 2),
    (1, 2, 9, 10, -3, 0, 1),
    (3, 4, 5, 6, 503, 2, 0),
    (2, 3, 5, 7, 200, 3, 3),
)


def test_rows_are_sorted_by_intended_send_and_their_responses_with_them() -> None:
    rows = rows_from_bytes(bytearray().join(ROW.pack(*row) for row in ROWS))
    columns = columns_from_rows(rows, np.array([71, 72, 91, 51, 52, 53]))
    assert columns["intended_ns"].tolist() == [1, 2, 3, 5]
    assert columns["done_ns"].tolist() == [10, 7, 6, 8]
    assert columns["status"].tolist() == [-3, 200, 503, 200]
    assert columns["payload"].tolist() == [0, 3, 2, 1]
    assert columns["responses"].tolist() == [1, 3, 0, 2]
    assert columns["response_ns"].tolist() == [91, 51, 52, 53, 71, 72]


@pytest.mark.parametrize("count", [0, 4])
def test_without_streams_there_are_no_responses(count: int) -> None:
    rows = rows_from_bytes(bytearray().join(ROW.pack(*row[:6], 0) for row in ROWS[:count]))
    columns = columns_from_rows(rows, np.zeros(0, np.int64))
    assert len(columns["status"]) == count
    assert len(columns["responses"]) == len(columns["response_ns"]) == 0


def test_streams_and_processes_are_written_and_read(tmp_path: Path, records_of: Callable[..., Records]) -> None:
    more = {"busiest_cpu_ns": 4, "processes": 2, "connections": 9, "connection_waits": 3, "client_cpu_ns": 7}
    stream = {"responses": np.array([2, 0], np.int32), "response_ns": np.array([5, 6], np.int64)}
    write_records(tmp_path / "records.npz", records_of([0.1, 0.2], **more, **stream))
    found = read_records(tmp_path / "records.npz")
    assert {name: getattr(found, name) for name in more} == more
    assert found.responses.tolist() == [2, 0] and found.response_ns.tolist() == [5, 6]


@pytest.mark.parametrize(("status", "kind"), [(503, "HTTP 503"), (-1, "connection refused"), (-3, "timed out")])
def test_kinds(status: int, kind: str) -> None:
    assert kind_of(status) == kind
