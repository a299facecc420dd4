"""What the load engine wrote down: one row per finished request as plain arrays, and the edges of the window.

Everything is kept, the warm-up too; what counts is decided afterwards, so that every figure can be computed again.
Times are perf_counter_ns of the driving machine. It does not know how the rows came about.
"""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ConfigurationError
from toolkit.records import write_bytes

Ended = Literal["complete", "interrupted", "server lost"]

_COLUMNS = {
    "intended_ns": np.int64,
    "sent_ns": np.int64,
    "first_ns": np.int64,
    "done_ns": np.int64,
    "status": np.int16,
    "payload": np.int32,
    "responses": np.int32,
}
#: One request as the engine writes it down: the columns in their order, without gaps.
ROW = struct.Struct("=4qhii")
_ROW_TYPE = np.dtype(list(_COLUMNS.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledAnswer:
    """The answer to one request of payload `payload`; `header_length` is its Inference-Header-Content-Length."""

    payload: int
    header_length: int | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """Finished requests in the order of their intended sends, and the window that is to be judged.

    `status` is the HTTP status, or a negative class of error (outcome.py). `sent_ns` is when the first byte really went
    out, `first_ns` when the first byte (of a stream: the first response) of the answer was seen, `done_ns` when the
    last. A request whose time was over while it waited for a connection was never sent: all three are that moment.
    Of a streamed answer, `responses` counts the responses and `response_ns` holds the time of each, request after
    request; both are empty where nothing was streamed. `client_cpu_ns` is CPU time of the driving processes within the
    window, and `busiest_cpu_ns` that of the busiest of them; `processes_ahead` of the `processes` had a real-time
    priority. `connections` were open at most, in all processes; `connection_waits` requests had to wait for one because
    the limit was reached. `checked` answers were compared with what was expected. `answers` are samples, which are not
    written to the file.
    """

    intended_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    status: NDArray[np.int16]
    payload: NDArray[np.int32]
    window_start_ns: int
    window_end_ns: int
    client_cpu_ns: int
    responses: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    response_ns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    busiest_cpu_ns: int = 0
    processes: int = 1
    processes_ahead: int = 0
    connections: int = 0
    connection_waits: int = 0
    checked: int = 0
    ended: Ended = "complete"
    answers: tuple[SampledAnswer, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the point."""
        return self.ended == "interrupted"

    @property
    def succeeded(self) -> NDArray[np.bool_]:
        """Which requests got an HTTP 2xx that was not found wrong."""
        return (self.status >= 200) & (self.status < 300)

    @property
    def in_window(self) -> NDArray[np.bool_]:
        """Which requests were meant to be sent within the window; how long they took does not matter."""
        return (self.intended_ns >= self.window_start_ns) & (self.intended_ns < self.window_end_ns)


def rows_from_bytes(content: bytearray) -> NDArray[np.void]:
    """Rows that were packed with ROW, as an array of records with the names of the columns: a view, to be written."""
    return np.frombuffer(content, dtype=_ROW_TYPE)


def columns_from_rows(rows: NDArray[np.void], response_ns: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The columns of Records, sorted by the intended send; `response_ns` comes in the order of the rows."""
    order = np.argsort(rows["intended_ns"], kind="stable")
    columns = {name: rows[name][order] for name in _COLUMNS}
    counts = columns["responses"].astype(np.int64)
    begins = (np.cumsum(rows["responses"], dtype=np.int64) - rows["responses"])[order]
    places = np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
    if not len(places):
        columns["responses"] = columns["responses"][:0]
    return columns | {"response_ns": response_ns[places]}


def write_records(path: Path, records: Records) -> None:
    """Write records as a compressed npz, whole or not at all. Raises EnvironmentProblem."""
    content = io.BytesIO()
    arrays = {f.name: np.asarray(getattr(records, f.name)) for f in fields(records) if f.name != "answers"}
    np.savez_compressed(content, **arrays)
    write_bytes(path, content.getvalue())


def read_records(path: Path) -> Records:
    """Read what `write_records` wrote. Raises ConfigurationError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name].astype(dtype, casting="safe") for name, dtype in _COLUMNS.items()}
            columns["response_ns"] = file["response_ns"].astype(np.int64, casting="safe")
            others = {f.name for f in fields(Records)} - {*columns, "ended", "answers"}
            numbers = {name: int(file[name]) for name in others & set(file)}
            return Records(**columns, **numbers, ended=str(file["ended"]))  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as err:
        raise ConfigurationError(
            f"{path} does not hold request records: {err}", mend="measure the point again"
        ) from err
