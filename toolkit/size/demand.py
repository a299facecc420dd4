"""What the customer will ask for: a peak rate, a day's profile or replayed arrivals, and growth.

In: numbers, and files as people keep them. Out: a Demand. It does not know how much one replica can do.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from toolkit.errors import ConfigurationError, UsageError
from toolkit.load.trace_file import trace_from_file

#: Columns that say when, with the seconds of one unit.
TIME_COLUMNS = {"hour": 3600.0, "minute": 60.0, "time_s": 1.0, "timestamp": 1.0}
RATE_COLUMN = "rate_per_s"
#: Arrivals are counted in windows this long to find their peak rate.
PEAK_WINDOW_S = 1.0
#: Of longer traces only the busiest part is replayed.
MOST_REPLAYED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A part of a day with a steady mean rate."""

    start_s: float
    duration_s: float
    rate_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """`peak_per_s` now; `growth_per_year` is a share of one, looked at for `years`. `profile` is one period in parts.

    `arrivals_s` are moments that are replayed against the simulated replicas, the busiest part of a long trace, and
    `arrivals_mean_per_s` the rate of the whole trace; empty, and 0, where none was given.
    """

    peak_per_s: float
    profile: tuple[Interval, ...] = ()
    arrivals_s: tuple[float, ...] = ()
    arrivals_mean_per_s: float = 0.0
    growth_per_year: float = 0.0
    years: int = 0

    @property
    def mean_per_s(self) -> float:
        """The mean rate of the profile or the arrivals; the peak where neither was given."""
        if self.profile:
            return sum(p.rate_per_s * p.duration_s for p in self.profile) / sum(p.duration_s for p in self.profile)
        return self.arrivals_mean_per_s or self.peak_per_s

    def peak_in(self, year: int) -> float:
        """The peak rate after so many years of growth."""
        return self.peak_per_s * (1 + self.growth_per_year) ** year


def demand_from(
    rate_per_s: float | None, *, trace: Path | None = None, growth: str | None = None, headroom: float = 0.0
) -> Demand:
    """The demand of `--rate`, `--trace FILE` and `--growth 30%/year for 3`.

    A profile is scaled so that its highest part is `rate_per_s`, where both are given. Raises UsageError and
    ConfigurationError.
    """
    if rate_per_s is not None and not (rate_per_s > 0 and math.isfinite(rate_per_s)):
        raise UsageError(f"--rate is {rate_per_s:g}; expected more than 0 requests per second")
    if not 0 <= headroom < 1:
        raise UsageError(f"--headroom is {headroom:g}; expected a share from 0 to less than 1", mend="--headroom 0.3")
    share, years = growth_from_text(growth) if growth else (0.0, 0)
    if trace is None:
        if rate_per_s is None:
            raise UsageError("there is no rate to size for", mend="--rate 5000, or --trace FILE")
        return Demand(peak_per_s=rate_per_s, growth_per_year=share, years=years)
    profile = profile_from_file(trace)
    if profile:
        scale = (rate_per_s or max(p.rate_per_s for p in profile)) / max(p.rate_per_s for p in profile)
        parts = tuple(
            Interval(start_s=p.start_s, duration_s=p.duration_s, rate_per_s=scale * p.rate_per_s) for p in profile
        )
        peak = max(p.rate_per_s for p in parts)
        return Demand(peak_per_s=peak, profile=parts, growth_per_year=share, years=years)
    arrivals = trace_from_file(trace).timestamps_s
    factor = rate_per_s / peak_of(arrivals) if rate_per_s else 1.0
    return Demand(
        peak_per_s=rate_per_s or peak_of(arrivals),
        arrivals_s=tuple(round(t / factor, 6) for t in busiest(arrivals)),
        arrivals_mean_per_s=factor * len(arrivals) / (arrivals[-1] - arrivals[0] or 1.0),
        growth_per_year=share,
        years=years,
    )


def busiest(arrivals_s: tuple[float, ...]) -> tuple[float, ...]:
    """The MOST_REPLAYED arrivals in a row that took the least time, from 0 on."""
    count = min(MOST_REPLAYED, len(arrivals_s))
    first = min(range(len(arrivals_s) - count + 1), key=lambda i: arrivals_s[i + count - 1] - arrivals_s[i])
    return tuple(t - arrivals_s[first] for t in arrivals_s[first : first + count])


def peak_of(arrivals_s: tuple[float, ...]) -> float:
    """The most arrivals in any window of PEAK_WINDOW_S that begins with one, per second."""
    most, first = 0, 0
    for last, at_s in enumerate(arrivals_s):
        while at_s - arrivals_s[first] >= PEAK_WINDOW_S:
            first += 1
        most = max(most, last - first + 1)
    return most / PEAK_WINDOW_S


def growth_from_text(text: str) -> tuple[float, int]:
    """`30%/year`, or `30%/year for 5`: a share of one, and the years (3 unless said). Raises UsageError."""
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%(?:\s*/\s*year)?(?:\s+for\s+(\d{1,2}))?\s*", text)
    if match is None or float(match[1]) <= -100:
        raise UsageError(f"--growth '{text}' is not understood", mend="--growth 30%/year, or '30%/year for 5'")
    return float(match[1]) / 100, int(match[2] or 3)


def profile_from_file(path: Path) -> tuple[Interval, ...]:
    """A CSV file with a column `rate_per_s` and one of TIME_COLUMNS; empty for a file without that first column.

    A part lasts until the next one begins, the last as long as the one before it. Raises ConfigurationError.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [line for line in file if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigurationError(f"{path} cannot be read as a trace: {err}") from err
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    if RATE_COLUMN not in names:
        return ()
    when = next((name for name in names if name in TIME_COLUMNS), None)
    if when is None or len(lines) < 3:
        expected = f"a column {RATE_COLUMN}, one of {', '.join(TIME_COLUMNS)}, and two rows or more"
        raise ConfigurationError(f"{path} has the columns {', '.join(names)} and {len(lines) - 1} rows; use {expected}")
    rows = list(csv.DictReader(lines[1:], fieldnames=names))
    starts = [_number(path, i, row, when) * TIME_COLUMNS[when] for i, row in enumerate(rows)]
    rates = [_number(path, i, row, RATE_COLUMN) for i, row in enumerate(rows)]
    lengths = [later - earlier for earlier, later in pairwise(starts)]
    if min(lengths) <= 0 or max(rates) <= 0:
        raise ConfigurationError(f"{path}: {when} must rise from row to row, and some {RATE_COLUMN} be more than 0")
    lengths.append(lengths[-1])
    return tuple(
        Interval(start_s=s, duration_s=d, rate_per_s=r) for s, d, r in zip(starts, lengths, rates, strict=True)
    )


def _number(path: Path, row: int, cells: dict[str, str], name: str) -> float:
    try:
        value = float(cells[name])
    except (TypeError, ValueError) as err:
        raise ConfigurationError(f"{path}: row {row + 1}: {name} is {cells[name]!r}; expected a number") from err
    if not (value >= 0 and math.isfinite(value)):
        raise ConfigurationError(f"{path}: row {row + 1}: {name} is {value:g}; expected 0 or more")
    return value
