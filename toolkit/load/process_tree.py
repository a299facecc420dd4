"""What a server's processes used: CPU time and resident memory of a process and all that descend from it, from /proc.

In: a process id on this machine. Out: a reading of the tree; the difference of two readings is a ProcessUse. It does
not know what the processes do. Where there is no /proc, or the process is gone, a reading is empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

from toolkit.load.measurement import ProcessUse

PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """One process at one moment: its parent, its CPU time (user and system, all threads) and its resident memory."""

    parent: int
    cpu_s: float
    resident_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeReading:
    """The processes of a tree by id, at `at_ns` (perf_counter_ns)."""

    at_ns: int
    processes: Mapping[int, ProcessStat]


def stat_from_text(text: str, *, ticks_per_s: float, page_bytes: int) -> ProcessStat:
    """Read a /proc/PID/stat (proc_pid_stat(5)). The name in brackets may hold blanks and brackets itself."""
    fields = text.rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / ticks_per_s
    return ProcessStat(parent=int(fields[1]), cpu_s=cpu_s, resident_bytes=int(fields[21]) * page_bytes)


def descendants(pid: int, parents: Mapping[int, int]) -> tuple[int, ...]:
    """`pid` and all that descend from it, given every process's parent; empty when `pid` is not among them."""
    children: dict[int, list[int]] = {}
    for process, parent in parents.items():
        children.setdefault(parent, []).append(process)
    found = [pid] if pid in parents else []
    for process in found:
        found += children.get(process, ())
    return tuple(found)


def tree_of(pid: int) -> tuple[int, ...]:
    """The ids of `pid` and its descendants now. Looks at every process of the machine, so not within a window."""
    everybody = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()) if PROC.is_dir() else ()
    return descendants(pid, {process: stat.parent for process, stat in _stats(everybody).items()})


def read_processes(pids: Iterable[int]) -> TreeReading:
    """What each of `pids` has used so far; those that are gone are left out."""
    return TreeReading(at_ns=perf_counter_ns(), processes=_stats(pids))


def process_use(before: TreeReading, after: TreeReading) -> ProcessUse | None:
    """What was used between two readings; None without any process or time.

    A process that came in between counts from its beginning; of one that ended in between nothing is known, so it
    counts as far as the first reading goes: with nothing. Memory is the sum of resident sets: what processes share,
    they each count.
    """
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    if not after.processes or elapsed_s <= 0:
        return None
    earlier = {pid: stat.cpu_s for pid, stat in before.processes.items()}
    used_s = sum(stat.cpu_s - earlier.get(pid, 0.0) for pid, stat in after.processes.items())
    resident_bytes = sum(stat.resident_bytes for stat in after.processes.values())
    return ProcessUse(cpu_share=used_s / elapsed_s, resident_bytes=resident_bytes, processes=len(after.processes))


def _stats(pids: Iterable[int]) -> dict[int, ProcessStat]:
    ticks_per_s, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found = {}
    for pid in pids:
        try:
            text = (PROC / str(pid) / "stat").read_text(errors="replace")
        except OSError:  # gone in the meantime
            continue
        found[pid] = stat_from_text(text, ticks_per_s=ticks_per_s, page_bytes=page_bytes)
    return found
