"""The machine and the versions that a number was measured on; two numbers compare only when these allow it.

Everything is read, nothing is started: /proc, /sys, cgroup files, package metadata, and NVML when it is installed.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "torch",
    "transformers",
    "tritonclient",
    "nvidia-pytriton",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML names it."""

    name: str
    memory_bytes: int
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a number was measured. `cores` is what this process may use; `memory_bytes` respects a container limit."""

    cpu: str
    cores: float
    memory_bytes: int
    gpus: tuple[Gpu, ...]
    system: str
    python: str
    packages: dict[str, str]
    in_container: bool

    @property
    def device(self) -> str:
        """`GPU` when the figures can come from one, else `CPU`."""
        return "GPU" if self.gpus else "CPU"

    def summary(self) -> str:
        """One line for people."""
        gpus = ", ".join(g.name for g in self.gpus) or "no GPU"
        return f"{self.cpu}, {self.cores:g} cores, {self.memory_bytes / 2**30:.0f} GiB, {gpus}, {self.system}"


@cache
def environment_here() -> Environment:
    """The environment of this process, read once."""
    return Environment(
        cpu=_cpu_name(),
        cores=_usable_cores(),
        memory_bytes=_usable_memory(),
        gpus=gpus_here(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := package_version(name))},
        in_container=Path("/.dockerenv").exists() or "kubepods" in _read("/proc/1/cgroup"),
    )


def package_version(name: str) -> str:
    """The installed version of a distribution, or an empty text."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def gpus_here() -> tuple[Gpu, ...]:
    """The GPUs that NVML sees; none when NVML or its driver is absent."""
    try:
        import pynvml
    except ModuleNotFoundError:
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    driver = str(pynvml.nvmlSystemGetDriverVersion())
    found = []
    for index in range(pynvml.nvmlDeviceGetCount()):
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
        found.append(Gpu(name=str(pynvml.nvmlDeviceGetName(handle)), memory_bytes=memory, driver=driver))
    pynvml.nvmlShutdown()
    return tuple(found)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu_name() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> float:
    cores = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return min(cores, int(quota) / int(period)) if quota.isdigit() and period.strip().isdigit() else cores


def _usable_memory() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    return min(total, int(limit)) if limit.isdigit() else total
