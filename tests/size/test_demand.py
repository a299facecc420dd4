"""What the customer will ask for, as it is typed and as files hold it."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError, UsageError
from toolkit.size.bandwidth import bytes_per_second
from toolkit.size.demand import busiest, demand_from, growth_from_text, peak_of

DAY = "hour,rate_per_s\n0,100\n6,400\n18,200\n"


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


def test_a_day_has_its_peak_its_mean_and_its_parts(tmp_path: Path) -> None:
    demand = demand_from(None, trace=file(tmp_path, DAY))
    assert demand.peak_per_s == 400
    assert [p.duration_s / 3600 for p in demand.profile] == [6, 12, 12]
    assert demand.mean_per_s == pytest.approx((6 * 100 + 12 * 400 + 12 * 200) / 30)


def test_a_rate_scales_the_day_to_its_peak(tmp_path: Path) -> None:
    demand = demand_from(4000, trace=file(tmp_path, DAY))
    assert [p.rate_per_s for p in demand.profile] == [1000, 4000, 2000]


def test_arrivals_have_a_peak_and_are_squeezed_to_a_rate(tmp_path: Path) -> None:
    times = [0.0, 5.0, 5.1, 5.2, 5.9, 9.0]
    assert peak_of(tuple(times)) == 4
    demand = demand_from(8, trace=file(tmp_path, "\n".join(map(str, times))))
    assert demand.peak_per_s == 8 and demand.arrivals_s[-1] == pytest.approx(4.5)
    assert demand.mean_per_s == pytest.approx(2 * 6 / 9)


def test_of_a_long_trace_the_busiest_part_is_kept() -> None:
    calm, rush = [float(i) for i in range(30)], [30 + i * 1e-4 for i in range(20_000)]
    kept = busiest((*calm, *rush))
    assert len(kept) == 20_000 and kept[0] == 0 and kept[-1] == pytest.approx(1.9999)


@pytest.mark.parametrize(
    ("text", "expected"), [("30%/year", (0.3, 3)), ("12.5 %", (0.125, 3)), ("-10%/year for 5", (-0.1, 5))]
)
def test_growth_as_people_type_it(text: str, expected: tuple[float, int]) -> None:
    assert growth_from_text(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["fast", "30", "-100%/year", "10%/month"])
def test_growth_that_is_not_understood(text: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        growth_from_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate_per_s\n1\n2\n", "use a column rate_per_s, one of"),
        ("hour,rate_per_s\n0,1\n0,2\n", "must rise"),
        ("hour,rate_per_s\n0,1\n1,many\n", "row 2: rate_per_s is 'many'"),
        ("hour,rate_per_s\n0,1\n1,-2\n", "expected 0 or more"),
    ],
)
def test_a_day_that_makes_no_sense_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        demand_from(None, trace=file(tmp_path, text))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no rate to size for"),
        ({"rate_per_s": 0.0}, "more than 0"),
        ({"rate_per_s": 1.0, "headroom": 1.0}, "share"),
    ],
)
def test_a_demand_that_makes_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        demand_from(**{"rate_per_s": None, **arguments})


def test_growth_compounds() -> None:
    assert demand_from(100, growth="50%/year for 2").peak_in(2) == pytest.approx(225)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("25Gbit", 25e9 / 8), ("25Gb/s", 25e9 / 8), ("500MB/s", 5e8), ("2GiB/s", 2 * 2.0**30), ("100Mbps", 12.5e6)],
)
def test_bandwidths_as_people_type_them(text: str, expected: float) -> None:
    assert bytes_per_second(text, "--nic") == expected


@pytest.mark.parametrize("text", ["25", "fast", "0Gbit", "25 GHz"])
def test_no_bandwidth(text: str) -> None:
    with pytest.raises(UsageError, match="is no bandwidth"):
        bytes_per_second(text, "--nic")
