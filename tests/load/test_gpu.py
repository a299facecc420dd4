"""Samples of GPUs to their means; the sampler itself where there is a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.environment import gpus_here
from toolkit.load.gpu import GpuSample, GpuSampler, gpu_use

SAMPLE = {"index": 0, "utilisation": 0.5, "memory_bytes": 100, "power_w": 300.0, "sm_clock_mhz": 1800.0, "reasons": 0}


def sample(**changes: Any) -> GpuSample:
    return GpuSample(**(SAMPLE | changes))


def test_means_the_most_memory_and_every_reason() -> None:
    (use,) = gpu_use(
        [
            sample(utilisation=0.2, memory_bytes=80, power_w=200.0, sm_clock_mhz=1000.0),
            sample(utilisation=0.8, memory_bytes=120, reasons=0x4),
            sample(utilisation=0.8, memory_bytes=110, power_w=400.0, sm_clock_mhz=1700.0, reasons=0x40 | 0x4),
        ]
    )
    assert (use.utilisation, use.memory_bytes) == (pytest.approx(0.6), 120)
    assert (use.power_w, use.sm_clock_mhz) == (pytest.approx(300.0), pytest.approx(1500.0))
    assert use.throttled == ("power cap", "thermal slowdown by hardware")


@pytest.mark.parametrize("reasons", [0x0, 0x1, 0x2, 0x10, 0x100])
def test_idle_and_clocks_set_by_people_are_no_throttling(reasons: int) -> None:
    assert gpu_use([sample(reasons=reasons)])[0].throttled == ()


def test_each_gpu_by_itself() -> None:
    uses = gpu_use([sample(index=1, power_w=100.0), sample(index=0), sample(index=1, power_w=200.0)])
    assert [(use.index, use.power_w) for use in uses] == [(0, 300.0), (1, 150.0)]
    assert gpu_use([]) == ()


@pytest.mark.skipif(bool(gpus_here()), reason="there is a GPU")
def test_without_a_gpu_there_is_nothing_to_sample() -> None:
    sampler = GpuSampler()
    assert not sampler.has_gpus and sampler.sample() == ()
    sampler.close()


@pytest.mark.gpu
@pytest.mark.skipif(not gpus_here(), reason="needs an NVIDIA GPU and NVML")
def test_the_gpus_of_this_machine() -> None:
    sampler = GpuSampler()
    uses = gpu_use([s for _ in range(3) for s in sampler.sample()])
    sampler.close()
    assert [use.index for use in uses] == list(range(len(gpus_here())))
    for use, gpu in zip(uses, gpus_here(), strict=True):
        assert 0 <= use.utilisation <= 1 and 0 < use.memory_bytes < gpu.memory_bytes
        assert 5 < use.power_w < 2000 and 100 < use.sm_clock_mhz < 5000
