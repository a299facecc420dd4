"""Reading a trace of arrivals from a file: the path goes in, a Trace comes out.

Three kinds of file, told apart by their first line: one timestamp a line; CSV with a column `timestamp`; one JSON
object a line with a key `timestamp` (Mooncake's traces, AIPerf's input: in milliseconds). Capitals do not matter, and
a date (Azure's traces) is a time from the first one. What else they say is token_trace.py's.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from toolkit.errors import ConfigurationError
from toolkit.load.pattern import MAX_CONNECTIONS, Trace

Unit = Literal["s", "ms"]
KEY = "timestamp"
#: A first timestamp beyond this is a date, not a time from the beginning.
LONGEST_START_S = 86_400.0

#: Number of the line, and what stands there for the timestamp.
Cells = Iterator[tuple[int, Any]]


def trace_from_file(
    path: Path, *, unit: Unit = "s", warmup_s: float = 0.0, max_connections: int = MAX_CONNECTIONS
) -> Trace:
    """Read a trace whose timestamps are in `unit` from the beginning. Empty lines and `#` lines are passed over.

    Raises ConfigurationError that names the line: not a number, negative, or before the one in front of it.
    """
    lines = _lines(path)
    if not lines:
        raise ConfigurationError(f"{path} holds no timestamp")
    times_s: list[float] = []
    first_date: float | None = None
    for number, cell in _cells(path, lines):
        if (date := _date_s(cell)) is not None:
            first_date = date if first_date is None else first_date
            cell, unit = date - first_date, "s"
        time_s = _seconds(cell, unit, f"{path}:{number}")
        if times_s and time_s < times_s[-1]:
            raise ConfigurationError(
                f"{path}:{number}: timestamp {time_s:.9g} s is before the one in front of it, {times_s[-1]:.9g} s",
                mend="sort the trace by time",
            )
        times_s.append(time_s)
    if not times_s:
        raise ConfigurationError(f"{path} holds no timestamp")
    if times_s[0] > LONGEST_START_S:
        raise ConfigurationError(
            f"{path}: the first timestamp is {times_s[0]:.9g} s; expected the time from the beginning of the trace",
            mend=f"subtract the first timestamp from all of them; or say that they are in ms, not {unit}",
        )
    return Trace(timestamps_s=tuple(times_s), warmup_s=warmup_s, max_connections=max_connections)


def trace_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The number and the columns of every line, with small letters; none of a file that holds timestamps alone.

    Raises ConfigurationError for a file that cannot be read, and for a line that is no JSON where the others are.
    """
    lines = _lines(path)
    if not lines or _is_number(lines[0][1]):
        return []
    if lines[0][1].startswith("{"):
        return [(number, _json_row(path, number, line)) for number, line in lines]
    names = _names(lines[0][1])
    rows = csv.reader(line for _, line in lines[1:])
    return [(n, dict(zip(names, row, strict=False))) for (n, _), row in zip(lines[1:], rows, strict=False)]


def _names(line: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([line]))]


def _json_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as err:
        raise ConfigurationError(f"{path}:{number} is no JSON: {err}") from err
    if not isinstance(row, dict):
        raise ConfigurationError(f"{path}:{number} has no '{KEY}'; expected an object with that key in every line")
    return {str(key).lower(): value for key, value in row.items()}


def _date_s(cell: Any) -> float | None:
    """A date as seconds since 1970; None for anything else."""
    if not isinstance(cell, str) or _is_number(cell):
        return None
    try:
        date = datetime.fromisoformat(cell)
    except ValueError:
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(f"{path} cannot be read as a trace: {err}") from err
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _cells(path: Path, lines: list[tuple[int, str]]) -> Cells:
    first = lines[0][1]
    if first.startswith("{"):
        return _json_cells(path, lines)
    if _is_number(first):
        return iter(lines)
    return _csv_cells(path, lines)


def _json_cells(path: Path, lines: list[tuple[int, str]]) -> Cells:
    for number, line in lines:
        row = _json_row(path, number, line)
        if KEY not in row:
            raise ConfigurationError(f"{path}:{number} has no '{KEY}'; expected an object with that key in every line")
        yield number, row[KEY]


def _csv_cells(path: Path, lines: list[tuple[int, str]]) -> Cells:
    names = _names(lines[0][1])
    if KEY not in names:
        raise ConfigurationError(
            f"{path}:{lines[0][0]}: '{lines[0][1][:60]}' is neither a timestamp nor a header with a column '{KEY}'",
            mend=f"one timestamp a line, CSV with a column '{KEY}', or one JSON object a line with a key '{KEY}'",
        )
    column = names.index(KEY)
    for (number, _), row in zip(lines[1:], csv.reader(line for _, line in lines[1:]), strict=False):
        if len(row) <= column:
            raise ConfigurationError(f"{path}:{number} has {len(row)} columns; '{KEY}' is column {column + 1}")
        yield number, row[column]


def _seconds(cell: Any, unit: Unit, where: str) -> float:
    if isinstance(cell, bool) or not _is_number(cell):
        raise ConfigurationError(f"{where}: {cell!r} is not a number")
    time_s = float(cell) / (1e3 if unit == "ms" else 1.0)
    if not (time_s >= 0 and math.isfinite(time_s)):
        raise ConfigurationError(f"{where}: timestamp {cell} is not a time; expected 0 or more")
    return time_s


def _is_number(cell: Any) -> bool:
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True
