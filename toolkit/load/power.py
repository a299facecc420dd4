"""The power that a machine draws: its CPU packages by RAPL's energy counters, its GPUs by NVML. Linux.

In: two readings, or samples. Out: watts, or None where nothing can be read; below /sys that often needs
root.
Source: the kernel's Documentation/power/powercap/powercap.rst.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.load.measurement import GpuUse

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyReading:
    """Joules of each package's counter, by its folder's name, and where each starts over."""

    joules: dict[str, float]
    ranges: dict[str, float]


def read_energy(root: Path = POWERCAP) -> EnergyReading:
    """The counters of all CPU packages that can be read; parts of a package are in its own already."""
    joules, ranges = {}, {}
    for folder in sorted(root.glob("intel-rapl:*")):
        if folder.name.count(":") != 1:
            continue
        try:
            joules[folder.name] = int((folder / "energy_uj").read_text()) / 1e6
            ranges[folder.name] = int((folder / "max_energy_range_uj").read_text()) / 1e6
        except (OSError, ValueError):
            joules.pop(folder.name, None)
    return EnergyReading(joules=joules, ranges=ranges)


def power_w(before: EnergyReading, after: EnergyReading, seconds: float, gpus: Sequence[GpuUse] = ()) -> float | None:
    """Mean watts of packages and GPUs together; None where neither is measured."""
    packages = before.joules.keys() & after.joules.keys()
    if not (packages or gpus) or seconds <= 0:
        return None
    used = (_used(after.joules[p] - before.joules[p], after.ranges[p]) for p in packages)
    return sum(used) / seconds + sum(g.power_w for g in gpus)


def _used(joules: float, span: float) -> float:
    return joules if joules >= 0 else joules + span


def has_power_meter(has_gpus: bool, root: Path = POWERCAP) -> bool:
    """Whether anything here measures power: NVML of a GPU, or a RAPL counter that may be read."""
    return has_gpus or bool(read_energy(root).joules)
