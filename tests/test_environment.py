"""Container limits from cgroup files of both versions, as trees of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.environment import cpu_limit_cores, cpu_throttled_s, environment_here, memory_limit_bytes

V1_NO_LIMIT = "9223372036854771712"


def root_with(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


V2 = {"proc/self/cgroup": "0::/kube/pod\n"}
V1 = {"proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        (
            V2 | {"sys/fs/cgroup/kube/pod/cpu.max": "150000 100000", "sys/fs/cgroup/kube/pod/memory.max": "1000"},
            1.5,
            1000,
        ),
        (
            V2 | {"sys/fs/cgroup/kube/pod/cpu.max": "max 100000", "sys/fs/cgroup/kube/cpu.max": "50000 100000"},
            0.5,
            None,
        ),
        (V2 | {"sys/fs/cgroup/cpu.max": "200000 100000", "sys/fs/cgroup/memory.max": "max"}, 2.0, None),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NO_LIMIT,
                "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "2000\n",
            },
            2.5,
            2000,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": V1_NO_LIMIT,
            },
            None,
            None,
        ),
        ({}, None, None),
    ],
    ids=["v2", "v2 limit above", "v2 namespace", "v1", "v1 without limits", "no cgroups"],
)
def test_limits(tmp_path: Path, files: dict[str, str], cores: float | None, memory: int | None) -> None:
    root = root_with(tmp_path, files)
    assert (cpu_limit_cores(root), memory_limit_bytes(root)) == (cores, memory)


@pytest.mark.parametrize(
    ("files", "throttled_s"),
    [
        (V2 | {"sys/fs/cgroup/kube/pod/cpu.stat": "usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n"}, 2.5),
        (V1 | {"sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.stat": "nr_periods 4\nthrottled_time 1500000000\n"}, 1.5),
        (V2, 0.0),
    ],
    ids=["v2", "v1", "nothing told"],
)
def test_throttled(tmp_path: Path, files: dict[str, str], throttled_s: float) -> None:
    assert cpu_throttled_s(root_with(tmp_path, files)) == throttled_s


def test_this_machine() -> None:
    here = environment_here()
    assert here.cores > 0 and here.memory_bytes > 0
    assert here.cores <= (here.cpu_limit_cores or here.cores)
    assert here.memory_bytes <= (here.memory_limit_bytes or here.memory_bytes)
