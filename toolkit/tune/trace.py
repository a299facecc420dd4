"""Traces that a customer brings: a torch profiler's chrome JSON, or an Nsight Systems export (sqlite). Read only.

In: a file. Out: a TraceSummary: the costliest kernels, and of the traced time the shares of kernels, copies and gaps in
which the device does nothing. A torch trace of a CPU has operators in place of kernels.
Sources: Kineto's chrome trace (pytorch/kineto), `nsys export --type sqlite` (Nsight Systems' user guide).
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from toolkit.errors import ConfigurationError

SQLITE = b"SQLite format 3\0"
Kind = Literal["kernel", "copy"]
#: Kineto's categories of what a GPU does.
CATEGORIES: dict[str, Kind] = {"kernel": "kernel", "gpu_memcpy": "copy", "gpu_memset": "copy"}
KERNELS, COPIES = "CUPTI_ACTIVITY_KIND_KERNEL", ("CUPTI_ACTIVITY_KIND_MEMCPY", "CUPTI_ACTIVITY_KIND_MEMSET")
MOST_KERNELS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that the device did, in seconds of the trace's clock."""

    name: str
    kind: Kind
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelTime:
    """All runs of one kernel, or operator."""

    name: str
    count: int
    total_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSummary:
    """Shares are of `span_s`, from the first activity to the end of the last; streams that overlap count once."""

    source: str
    device: Literal["GPU", "CPU"]
    span_s: float
    busy_share: float
    gap_share: float
    copy_share: float
    longest_gap_s: float
    kernels: tuple[KernelTime, ...]


def read_trace(path: Path) -> TraceSummary:
    """Read a trace of either kind, plain or gzipped. Raises ConfigurationError for a file that is none."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        if head == SQLITE:
            return summary_of(list(_from_sqlite(path)), source="Nsight Systems", device="GPU")
        text = gzip.decompress(path.read_bytes()) if head[:2] == b"\x1f\x8b" else path.read_bytes()
        document = json.loads(text)
    except (OSError, ValueError, sqlite3.Error) as err:
        raise ConfigurationError(f"{path} cannot be read as a trace: {err}", mend=_MEND) from err
    events = document.get("traceEvents") if isinstance(document, dict) else document
    if not isinstance(events, list):
        raise ConfigurationError(f"{path} has no traceEvents", mend=_MEND)
    found, device = activities_of_events(events)
    return summary_of(found, source="torch profiler", device=device)


_MEND = "give a chrome trace of torch.profiler, or `nsys export --type sqlite REPORT.nsys-rep`"


def activities_of_events(events: Iterable[Any]) -> tuple[list[Activity], Literal["GPU", "CPU"]]:
    """What the GPU did; of a trace without one, the outermost operators of the CPU, told by their own nesting."""
    complete = [e for e in events if isinstance(e, dict) and e.get("ph") == "X" and "ts" in e]
    on_gpu = [_activity(e, CATEGORIES[e["cat"]]) for e in complete if e.get("cat") in CATEGORIES]
    if on_gpu:
        return on_gpu, "GPU"
    return _outermost([_activity(e, "kernel") for e in complete if e.get("cat") == "cpu_op"]), "CPU"


def _activity(event: dict[str, Any], kind: Kind) -> Activity:
    start_s = float(event["ts"]) / 1e6
    return Activity(
        name=str(event["name"]), kind=kind, start_s=start_s, end_s=start_s + float(event.get("dur", 0)) / 1e6
    )


def _outermost(activities: list[Activity]) -> list[Activity]:
    kept: list[Activity] = []
    for activity in sorted(activities, key=lambda a: (a.start_s, -a.end_s)):
        if not kept or activity.start_s >= kept[-1].end_s:
            kept.append(activity)
    return kept


def _from_sqlite(path: Path) -> Iterator[Activity]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        there = {row[0] for row in base.execute("select name from sqlite_master where type = 'table'")}
        if KERNELS not in there:
            raise ValueError(f"it has no table {KERNELS}; no kernel was traced")
        query = f"select k.start, k.end, s.value from {KERNELS} k left join StringIds s on s.id = k.shortName"
        for start, end, name in base.execute(query):
            yield Activity(name=str(name), kind="kernel", start_s=start / 1e9, end_s=end / 1e9)
        for table in COPIES:
            for start, end in base.execute(f"select start, end from {table}") if table in there else ():
                yield Activity(name=table.rpartition("_")[2].lower(), kind="copy", start_s=start / 1e9, end_s=end / 1e9)


def summary_of(activities: list[Activity], *, source: str, device: Literal["GPU", "CPU"]) -> TraceSummary:
    """The shares and the costliest kernels. Raises ConfigurationError for a trace in which nothing happened."""
    if not activities:
        raise ConfigurationError(f"the {source} trace holds no kernel and no operator", mend=_MEND)
    busy = _merged((a.start_s, a.end_s) for a in activities)
    copies = _merged((a.start_s, a.end_s) for a in activities if a.kind == "copy")
    span_s = max(busy[-1][1] - busy[0][0], 1e-12)
    gaps = [after[0] - before[1] for before, after in pairwise(busy)]
    total: defaultdict[str, float] = defaultdict(float)
    count: Counter[str] = Counter()
    for activity in activities:
        if activity.kind == "kernel":
            total[activity.name] += activity.end_s - activity.start_s
            count[activity.name] += 1
    costliest = sorted(total.items(), key=lambda pair: -pair[1])[:MOST_KERNELS]
    return TraceSummary(
        source=source,
        device=device,
        span_s=span_s,
        busy_share=sum(end - start for start, end in busy) / span_s,
        gap_share=sum(gaps) / span_s,
        copy_share=sum(end - start for start, end in copies) / span_s,
        longest_gap_s=max(gaps, default=0.0),
        kernels=tuple(KernelTime(name=name, count=count[name], total_s=seconds) for name, seconds in costliest),
    )


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans that overlap as one, ascending."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
