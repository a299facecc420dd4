"""The machine and the versions that a number was measured on; two numbers compare only when these allow it.

Everything is read, nothing is started: /proc, /sys, cgroup files, package metadata, and NVML when it is installed.
"""

from __future__ import annotations

import math
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

#: Version 1 says "no limit" with the largest number of pages that fits.
NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU as NVML names it; `architecture` is its compute capability, "9.0"."""

    name: str
    memory_bytes: int
    driver: str
    architecture: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a number was measured. `cores` and `memory_bytes` are what this process may use.

    `cpu_limit_cores` and `memory_limit_bytes` are the container's own limits (cgroup), None where there is none.
    """

    cpu: str
    cores: float
    memory_bytes: int
    gpus: tuple[Gpu, ...]
    system: str
    python: str
    packages: dict[str, str]
    in_container: bool
    cpu_limit_cores: float | None = None
    memory_limit_bytes: int | None = None

    @property
    def device(self) -> str:
        """`GPU` when the figures can come from one, else `CPU`."""
        return "GPU" if self.gpus else "CPU"

    @property
    def is_known(self) -> bool:
        """Whether it says anything; not so of UNKNOWN."""
        return self != UNKNOWN

    def summary(self) -> str:
        """One line for people."""
        if not self.is_known:
            return "not known"
        gpus = ", ".join(g.name for g in self.gpus) or "no GPU"
        return f"{self.cpu}, {self.cores:g} cores, {self.memory_bytes / 2**30:.0f} GiB, {gpus}, {self.system}"


#: Of a result that another tool measured, who knows where.
UNKNOWN = Environment(cpu="", cores=0.0, memory_bytes=0, gpus=(), system="", python="", packages={}, in_container=False)


def cache_folder() -> Path:
    """Where the toolkit keeps what it can make again: $XDG_CACHE_HOME/poc-toolkit, ~/.cache/poc-toolkit without it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poc-toolkit"


@cache
def environment_here() -> Environment:
    """The environment of this process, read once."""
    cpu_limit, memory_limit = cpu_limit_cores(), memory_limit_bytes()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Environment(
        cpu=_cpu_name(),
        cores=min(float(affinity), cpu_limit or math.inf),
        memory_bytes=min(memory, memory_limit or memory),
        gpus=gpus_here(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := package_version(name))},
        in_container=Path("/.dockerenv").exists() or "kubepods" in _read(Path("/proc/1/cgroup")),
        cpu_limit_cores=cpu_limit,
        memory_limit_bytes=memory_limit,
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
        architecture = ".".join(map(str, pynvml.nvmlDeviceGetCudaComputeCapability(handle)))
        name = str(pynvml.nvmlDeviceGetName(handle))
        found.append(Gpu(name=name, memory_bytes=memory, driver=driver, architecture=architecture))
    pynvml.nvmlShutdown()
    return tuple(found)


def cpu_limit_cores(root: Path = Path("/")) -> float | None:
    """The CPU quota of this process in cores, the least of its cgroup and all above; None without one."""
    limits = [
        *(_quota(_read(folder / "cpu.max").split()) for folder in cgroup_folders("", root)),
        *(
            _quota([_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()])
            for folder in cgroup_folders("cpu", root)
        ),
    ]
    return min((limit for limit in limits if limit), default=None)


def memory_limit_bytes(root: Path = Path("/")) -> int | None:
    """The memory limit of this process, the least of its cgroup and all above; None without one."""
    texts = [
        *(_read(folder / "memory.max") for folder in cgroup_folders("", root)),
        *(_read(folder / "memory.limit_in_bytes") for folder in cgroup_folders("memory", root)),
    ]
    limits = [int(text) for text in texts if text.strip().isdigit()]
    return min((limit for limit in limits if limit < NO_LIMIT_BYTES), default=None)


def cpu_throttled_s(root: Path = Path("/")) -> float:
    """How long CPU quotas have held threads of this container back so far, summed over cores; 0 without a quota."""
    throttled = 0.0
    for folder, key, per_s in (
        *((folder, "throttled_usec", 1e6) for folder in cgroup_folders("", root)),
        *((folder, "throttled_time", 1e9) for folder in cgroup_folders("cpu", root)),
    ):
        fields = dict(line.split(maxsplit=1) for line in _read(folder / "cpu.stat").splitlines() if " " in line)
        throttled = max(throttled, int(fields.get(key, "0")) / per_s)
    return throttled


def cgroup_folders(controller: str, root: Path = Path("/")) -> tuple[Path, ...]:
    """Where the limits of this process stand: the folder of its cgroup, then those above, up to the mount.

    controller: `cpu` or `memory` of version 1, empty for version 2. In a container the path that the kernel tells may
    not be mounted; then only what is there is returned, the mount itself at least where it exists.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / (controllers if controller else "")
            inside = mount / path.strip("/")
            folders = (inside, *inside.parents)
            return tuple(f for f in folders[: folders.index(mount) + 1] if f.is_dir())
    return ()


def _quota(fields: list[str]) -> float | None:
    """Cores from quota and period in microseconds; None for `max`, -1 or nothing."""
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]) / int(fields[1])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
