"""Traces from files: three kinds of file, and what is refused names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError
from toolkit.load.trace_file import trace_from_file

MOONCAKE = """\
{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1]}
{"timestamp": 0, "input_length": 7319, "output_length": 490, "hash_ids": [0, 2]}

{"timestamp": 3000, "input_length": 7234, "output_length": 794, "hash_ids": [0, 3]}
"""


@pytest.mark.parametrize(
    ("text", "unit", "times_s"),
    [
        ("0\n0.5\n0.5\n2\n", "s", (0.0, 0.5, 0.5, 2.0)),
        ("# arrivals\n\n1e-3\n 2e-3 \n", "s", (0.001, 0.002)),
        ("10\n20", "ms", (0.010, 0.020)),
        ("timestamp\n0.25\n1\n", "s", (0.25, 1.0)),
        ('model, timestamp\n"a,b",100\nc,200\n', "ms", (0.1, 0.2)),
        ("\ufefftimestamp,size\n3,1\n", "s", (3.0,)),
        (MOONCAKE, "ms", (0.0, 0.0, 3.0)),
        ('{"timestamp": "1.5"}', "s", (1.5,)),
    ],
)
def test_read(tmp_path: Path, text: str, unit: str, times_s: tuple[float, ...]) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text, encoding="utf-8")
    trace = trace_from_file(path, unit=unit, max_connections=7)  # type: ignore[arg-type]
    assert trace.timestamps_s == times_s
    assert trace.max_connections == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no timestamp"),
        ("# nothing\n\n", "no timestamp"),
        ("timestamp\n", "no timestamp"),
        ("0\n2\n1\n", r":3: timestamp 1 s is before the one in front of it, 2 s"),
        ("0\n-1\n", r":2: timestamp -1 is not a time"),
        ("0\nnan\n", r":2: timestamp nan is not a time"),
        ("0\ninf\n", r":2: timestamp inf is not a time"),
        ("0\nsoon\n", r":2: 'soon' is not a number"),
        ("1700000000\n1700000001\n", "time from the beginning"),
        ("time,size\n1,2\n", "column 'timestamp'"),
        ("size,timestamp\n1,2\n1\n", ":3 has 1 columns"),
        ("size,timestamp\n1,\n", r":2: '' is not a number"),
        ('{"timestamp": 1}\n{"time": 2}\n', ":2 has no 'timestamp'"),
        ('{"timestamp": 1}\n{"timestamp": \n', ":2 is no JSON"),
        ('{"timestamp": true}\n', ":1: True is not a number"),
        ('{"timestamp": null}\n', ":1: None is not a number"),
        ('{"timestamp": [1]}\n', r":1: \[1\] is not a number"),
    ],
)
def test_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "trace.txt"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        trace_from_file(path)
    assert str(path) in caught.value.message


def test_what_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "trace.bin").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "trace.bin"):
        with pytest.raises(ConfigurationError, match=name):
            trace_from_file(tmp_path / name)
