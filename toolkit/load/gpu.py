"""What the GPUs did in a window: samples by NVML, and their means as GpuUse.

In: samples as NVML gives them. Out: one GpuUse for each GPU. NVML is only touched by `GpuSampler`; the arithmetic is
pure. It does not know which GPU the server uses: all that are visible are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from toolkit.load.measurement import GpuUse

#: Five samples a second: NVML computes utilisation over a sixth of a second to a second.
SAMPLE_PERIOD_S = 0.2
#: Reasons for which clocks are held down below what was asked for, by NVML's bits (nvml.h,
#: nvmlClocksEventReason...). Idle and the clocks that an administrator set are no throttling.
THROTTLE_REASONS = {
    0x0000000000000004: "power cap",
    0x0000000000000008: "hardware slowdown",
    0x0000000000000020: "thermal slowdown by software",
    0x0000000000000040: "thermal slowdown by hardware",
    0x0000000000000080: "power brake",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSample:
    """One GPU at one moment; `utilisation` is a share of 1, `reasons` are NVML's bits for what holds clocks down."""

    index: int
    utilisation: float
    memory_bytes: int
    power_w: float
    sm_clock_mhz: float
    reasons: int


def gpu_use(samples: Sequence[GpuSample]) -> tuple[GpuUse, ...]:
    """One GpuUse for each GPU: means of utilisation, power and clock, the most memory, every reason that was seen."""
    return tuple(
        _use(index, [sample for sample in samples if sample.index == index])
        for index in sorted({sample.index for sample in samples})
    )


def _use(index: int, samples: Sequence[GpuSample]) -> GpuUse:
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    seen = [name for bit, name in THROTTLE_REASONS.items() if any(sample.reasons & bit for sample in samples)]
    return GpuUse(
        index=index,
        utilisation=mean([sample.utilisation for sample in samples]),
        memory_bytes=max(sample.memory_bytes for sample in samples),
        power_w=mean([sample.power_w for sample in samples]),
        sm_clock_mhz=mean([sample.sm_clock_mhz for sample in samples]),
        throttled=tuple(seen),
    )


class GpuSampler:
    """NVML opened once for a window; `sample` reads every GPU. Without NVML or a GPU there is nothing to read."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        try:
            import pynvml
        except ModuleNotFoundError:
            return
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError:
            return
        self._nvml = pynvml
        self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]

    @property
    def has_gpus(self) -> bool:
        """Whether there is anything to sample."""
        return bool(self._handles)

    def sample(self) -> tuple[GpuSample, ...]:
        """Every GPU now; what one does not tell (a MIG slice has no utilisation) counts as zero."""
        return tuple(self._sample(index, handle) for index, handle in enumerate(self._handles))

    def _sample(self, index: int, handle: Any) -> GpuSample:
        nvml = self._nvml
        return GpuSample(
            index=index,
            utilisation=self._read(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100,
            memory_bytes=int(self._read(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used)),
            power_w=self._read(lambda: nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3,
            sm_clock_mhz=self._read(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
            reasons=int(self._read(lambda: nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))),
        )

    def _read(self, read: Any) -> float:
        try:
            return float(read())
        except self._nvml.NVMLError:
            return 0.0

    def close(self) -> None:
        """Give NVML back."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._handles = None, []
