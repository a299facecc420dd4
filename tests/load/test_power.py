"""Power from counters, in a folder that looks like /sys/class/powercap."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.load.measurement import GpuUse
from toolkit.load.power import EnergyReading, has_power_meter, power_w, read_energy

GPU = GpuUse(index=0, utilisation=0.5, memory_bytes=1, power_w=100.0, sm_clock_mhz=1000.0, throttled=())


def counter(root: Path, name: str, microjoules: int) -> None:
    (root / name).mkdir(exist_ok=True)
    (root / name / "energy_uj").write_text(f"{microjoules}\n")
    (root / name / "max_energy_range_uj").write_text("1000000000\n")


def test_packages_count_and_their_parts_do_not(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", 5_000_000)
    counter(tmp_path, "intel-rapl:0:0", 4_000_000)
    before = read_energy(tmp_path)
    counter(tmp_path, "intel-rapl:0", 25_000_000)
    assert before.joules == {"intel-rapl:0": 5.0}
    assert power_w(before, read_energy(tmp_path), 2.0) == pytest.approx(10.0)
    assert power_w(before, read_energy(tmp_path), 2.0, (GPU,)) == pytest.approx(110.0)
    assert has_power_meter(False, tmp_path)


def test_a_counter_that_starts_over() -> None:
    before = EnergyReading(joules={"p": 990.0}, ranges={"p": 1000.0})
    after = EnergyReading(joules={"p": 10.0}, ranges={"p": 1000.0})
    assert power_w(before, after, 2.0) == pytest.approx(10.0)


def test_where_nothing_can_be_read_there_is_no_figure(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    nothing = read_energy(tmp_path)
    assert nothing.joules == {} and power_w(nothing, nothing, 1.0) is None
    assert not has_power_meter(False, tmp_path) and has_power_meter(True, tmp_path)
