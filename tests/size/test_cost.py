"""Prices and what they come to: tables of arithmetic that a calculator confirms."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError, UsageError
from toolkit.size.cost import HOURS_PER_MONTH, Cost, Fleet, cost_of, hourly, per_million
from toolkit.size.figure import Figure
from toolkit.size.prices import Owned, PerInference, PriceBook, Rented, price_book, read_prices

OWNED = Owned(
    purchase=8766.0, residual=0.0, lifetime_years=1.0, power_w=1000.0, pue=1.5, price_per_kwh=0.2, hosting_per_month=0.0
)
BOOK = PriceBook(
    currency="EUR",
    source="a table",
    date="2026-01-01",
    prices={"cloud": Rented(price_per_hour=2.0), "ours": OWNED, "service": PerInference(price_per_million=10.0)},
)
REPLICAS = Figure(value=5, low=4, high=5, basis="interpolated", how="")


def fleet(**changes: object) -> Fleet:
    values = {
        "replicas": REPLICAS,
        "elastic_replicas": None,
        "capacity_per_s": 100.0,
        "peak_per_s": 400.0,
        "mean_per_s": 200.0,
        "hardware": "NVIDIA L4, AMD EPYC",
        "rebuilt": lambda rate, capacity, follows: -(-int(4 * rate / capacity * 100) // 100) + 1,
    } | changes
    return Fleet(**values)  # type: ignore[arg-type]


def cost(**changes: object) -> Cost:
    return cost_of(BOOK, fleet(**changes))


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (Rented(price_per_hour=2.0), 2.0),
        (OWNED, 1.0 + 1.5 * 0.2),  # 8766 over 8766 hours; 1 kW x 1.5 x 0.20
        (
            Owned(purchase=1000, residual=1000, lifetime_years=4, power_w=0, price_per_kwh=1, hosting_per_month=730.5),
            1.0,
        ),
    ],
)
def test_an_hour_of_a_machine(price: Rented | Owned, expected: float) -> None:
    assert hourly(price) == pytest.approx(expected)


def test_a_million_inferences() -> None:
    assert per_million(3.6, 1000) == pytest.approx(1.0)  # 3.6 an hour, 3.6 million an hour


def test_every_option_by_hour_month_and_million() -> None:
    cloud, ours, service = cost().options
    assert (cloud.per_hour.value, cloud.per_hour.low, cloud.per_hour.high) == (10, 8, 10)
    assert cloud.per_month.value == pytest.approx(10 * HOURS_PER_MONTH)
    assert cloud.per_million.value == pytest.approx(10 / 0.72)  # 200/s are 0.72 million an hour
    assert cloud.per_million_at_peak == pytest.approx(10 / 1.44)
    assert ours.per_hour.value == pytest.approx(5 * 1.3)
    assert service.per_hour.value == pytest.approx(7.2) and service.per_million.value == 10
    assert {o.per_hour.basis for o in (cloud, ours)} == {"interpolated"} and service.per_hour.basis == "given"


def test_what_is_rented_can_follow_the_demand_and_what_is_owned_cannot() -> None:
    cloud, ours, _ = cost(elastic_replicas=2.5).options
    assert cloud.per_hour.value == pytest.approx(2.5 * 2) and "scaled" in cloud.kind
    assert ours.per_hour.value == pytest.approx(5 * 1.3)


def test_break_even_is_where_both_cost_the_same() -> None:
    even = {b.cheaper_below: b for b in cost().break_even}
    fixed_hour = 5 * 1.3
    assert even["service"].rate_per_s * 3600 * 10 / 1e6 == pytest.approx(fixed_hour)
    assert even["cloud"].rate_per_s / 100 * 2.0 == pytest.approx(fixed_hour)  # replica hours x price
    assert {b.cheaper_above for b in even.values()} == {"ours"}


def test_sensitivity_changes_one_thing_at_a_time() -> None:
    rows = {s.what: s for s in cost().sensitivity}
    assert rows["Price of a machine"].less_per_month == pytest.approx(5 * 2 * 0.8 * HOURS_PER_MONTH)
    assert rows["Peak rate"].more_per_month == pytest.approx(6 * 2 * HOURS_PER_MONTH)  # ceil(4.8) + 1
    assert rows["What one replica sustains"].less_per_month == pytest.approx(6 * 2 * HOURS_PER_MONTH)  # ceil(5) + 1


def test_a_price_of_other_hardware_is_refused() -> None:
    h100 = PriceBook(currency="EUR", source="s", date="d", prices={"h": Rented(price_per_hour=1, hardware="H100")})
    with pytest.raises(UsageError, match="is for 'H100', and the figures were measured on 'NVIDIA L4"):
        cost_of(h100, fleet())
    l4 = PriceBook(currency="EUR", source="s", date="d", prices={"l": Rented(price_per_hour=1, hardware="nvidia l4")})
    assert cost_of(l4, fleet()).options[0].per_replica_hour == 1


BOOK_TEXT = "schema: 1\ncurrency: EUR\nsource: an offer\ndate: 2026-03-01\nprices:\n  a: {price_per_hour: 1.5}\n"
OWNED_TEXT = "{{purchase: 1, residual: {residual}, lifetime_years: {lifetime}, power_w: 1, price_per_kwh: 1}}"


def test_a_book_is_read(tmp_path: Path) -> None:
    (tmp_path / "prices.yaml").write_text(BOOK_TEXT)
    book = price_book(str(tmp_path / "prices.yaml"))
    assert book.date == "2026-03-01" and book.prices["a"] == Rented(price_per_hour=1.5)


def test_made_up_prices_are_used_by_name_only(tmp_path: Path) -> None:
    assert price_book("example").example
    (tmp_path / "copy.yaml").write_text(BOOK_TEXT + "example: true\n")
    with pytest.raises(UsageError, match="made up"):
        price_book(str(tmp_path / "copy.yaml"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("price_per_hour: 1.5", "price_per_hour: -1"), "price_per_hour is -1"),
        (("price_per_hour: 1.5", "price_hour: 1.5"), "price_hour is not a field"),
        (("source: an offer", "source: ''"), "source is empty"),
        (("schema: 1\n", ""), "schema is missing"),
        (
            ("{price_per_hour: 1.5}", "{purchase: 1, residual: 2, lifetime_years: 1, power_w: 1, price_per_kwh: 1}"),
            "resid",
        ),
        (("  a: {price_per_hour: 1.5}\n", "  {}\n"), "prices is empty"),
    ],
)
def test_a_wrong_book_names_its_field(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "prices.yaml").write_text(BOOK_TEXT.replace(*change))
    with pytest.raises(ConfigurationError, match=message):
        read_prices(tmp_path / "prices.yaml")
