"""Durations as people type them (`500us`, `20ms`, `5s`, `2m`) to seconds, and back; a bare number is refused."""

from __future__ import annotations

import math
import re

from toolkit.errors import UsageError

SECONDS_OF = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zµ]*)")


def seconds_from_text(text: str) -> float:
    """Seconds for a duration with its unit: us, ms, s or m. Raises UsageError."""
    mend = "write a number and a unit: 500us, 20ms, 5s or 2m"
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a duration", mend=mend)
    number, unit = match[1], match[2].replace("µ", "u")
    if not unit:
        raise UsageError(f"the duration '{text}' has no unit", mend=f"did you mean {number}ms? {mend}")
    if unit not in SECONDS_OF:
        raise UsageError(f"'{text}': '{unit}' is not a unit of time", mend=mend)
    return float(number) * SECONDS_OF[unit]


def seconds_text(seconds: float) -> str:
    """A duration for people, in the unit that keeps it short: `20ms`, `1.5s`; `seconds_from_text` reads it."""
    magnitude = abs(seconds)
    unit = "s" if magnitude >= 1 or magnitude == 0 else "ms" if magnitude >= 1e-3 else "us"
    value = seconds / SECONDS_OF[unit]
    digits = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    rounded = f"{value:.{digits}f}"
    return (rounded.rstrip("0").rstrip(".") if "." in rounded else rounded) + unit
