"""The price book: what machines cost, in a YAML file that belongs to the user.

In: a file. Out: a PriceBook, or a ConfigurationError. It holds no price of its own; the example that ships with the
toolkit is marked as one, and is used only where it is asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from toolkit.errors import ConfigurationError, UsageError
from toolkit.records import SCHEMA, from_data, read_yaml

EXAMPLE = "example"
EXAMPLE_FILE = Path(__file__).with_name("example_prices.yaml")
#: What a machine's `hardware` says when the price is for the kind of machine that was measured.
AS_MEASURED = "as-measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rented:
    """A machine by the hour. `price_per_hour` as it is billed; taxes, disks and traffic are the user's to include."""

    price_per_hour: float
    hardware: str = AS_MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A machine that is bought and written off in equal parts.

    `power_w` is what it draws at work, `pue` what the site draws for each watt of it (1 and more), `hosting_per_month`
    rack space, network and hands.
    """

    purchase: float
    lifetime_years: float
    power_w: float
    price_per_kwh: float
    residual: float = 0.0
    pue: float = 1.0
    hosting_per_month: float = 0.0
    hardware: str = AS_MEASURED


@dataclass(frozen=True, slots=True, kw_only=True)
class PerInference:
    """A service that is paid by the inference, to compare with."""

    price_per_million: float


Price = Rented | Owned | PerInference


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceBook:
    """Prices by name, with where and when they were found. `example`: the numbers are made up."""

    currency: str
    source: str
    date: str
    prices: dict[str, Price] = field(default_factory=dict)
    example: bool = False


def price_book(text: str) -> PriceBook:
    """The book that `--prices` names: a path, or `example` for the one that ships, whose numbers are made up.

    Raises UsageError for a book that still says that it is an example, ConfigurationError for one that is none.
    """
    if text == EXAMPLE:
        return read_prices(EXAMPLE_FILE)
    book = read_prices(Path(text))
    if book.example:
        raise UsageError(
            f"{text} says `example: true`: its prices are made up",
            mend=f"write your own prices and remove that line; or say `--prices {EXAMPLE}`, and the plan says so too",
        )
    return book


def read_prices(path: Path) -> PriceBook:
    """Read a price book. Raises ConfigurationError that names the file and the field."""
    data = read_yaml(path)
    if data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: schema is missing or not {SCHEMA}", mend=f"write `schema: {SCHEMA}` on top")
    if isinstance(data.get("date"), date):  # YAML reads 2026-03-01 as a date
        data["date"] = data["date"].isoformat()
    book: PriceBook = from_data(PriceBook, data, str(path))
    for name, price in book.prices.items():
        _check(price, f"{path}: prices.{name}")
    if not book.prices:
        raise ConfigurationError(f"{path}: prices is empty; name at least one machine")
    for key in ("currency", "source", "date"):
        if not getattr(book, key).strip():
            raise ConfigurationError(f"{path}: {key} is empty; a price without it cannot be checked by anybody")
    return book


def _check(price: Price, where: str) -> None:
    least = {"lifetime_years": 1e-9, "pue": 1.0}
    for name in type(price).__dataclass_fields__:
        value = getattr(price, name)
        if isinstance(value, float) and not least.get(name, 0.0) <= value < float("inf"):
            expected = f"{least[name]:g} or more" if name == "pue" else "more than 0" if name in least else "0 or more"
            raise ConfigurationError(f"{where}.{name} is {value:g}; expected {expected}")
    if isinstance(price, Owned) and price.residual > price.purchase:
        raise ConfigurationError(f"{where}.residual is more than the purchase")
