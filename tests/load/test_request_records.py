"""Records on disk: whole, readable, and refused when damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ConfigurationError
from toolkit.load.outcome import kind_of
from toolkit.load.request_records import Records, columns_from_rows, read_records, write_records


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


def test_rows_are_sorted_by_intended_send() -> None:
    columns = columns_from_rows(np.array([[5, 6, 7, 8, 200, 1, 0], [1, 2, 9, 10, -3, 0, 0]]))
    assert columns["intended_ns"].tolist() == [1, 5]
    assert columns["status"].tolist() == [-3, 200]


@pytest.mark.parametrize(("status", "kind"), [(503, "HTTP 503"), (-1, "connection refused"), (-3, "timed out")])
def test_kinds(status: int, kind: str) -> None:
    assert kind_of(status) == kind
