"""A bandwidth as people type it: `25Gbit`, `500MB/s`. Text in, bytes per second out."""

from __future__ import annotations

import re

from toolkit.errors import UsageError

_PREFIX = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "ki": 1024.0, "mi": 1024.0**2, "gi": 1024.0**3}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?|)(bit|b)(?:/s|ps)?\s*", re.IGNORECASE)


def bytes_per_second(text: str, where: str) -> float:
    """Bytes per second of `25Gbit`, `25Gb/s`, `500MB/s`, `2GiB/s`: a `b` is a bit, a `B` a byte. Raises UsageError."""
    match = _TEXT.fullmatch(text)
    if match is None or not float(match[1]):
        raise UsageError(f"{where} '{text}' is no bandwidth", mend="for example 25Gbit or 500MB/s")
    scale = _PREFIX[match[2].lower()]
    return float(match[1]) * scale / (1 if match[3] == "B" else 8)
