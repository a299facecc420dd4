"""Embedding tables: how large they are, whether they fit, and how they can be cut and served; arithmetic shown.

In: tables by name (rows, dimension, lookups of a request) and the memory of a device. Out: a fit and the ways that
exist. All figures follow from the sizes: they are bounds, and nothing is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.errors import ConfigurationError
from toolkit.records import SCHEMA, from_data, read_yaml
from toolkit.size.llm_shape import USABLE, WEIGHT_BYTES

Cut = Literal["whole", "table-wise", "row-wise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingTable:
    """A table of `rows` vectors of `dimension`, of which one request looks up `lookups` (pooled or not)."""

    rows: int
    dimension: int
    lookups: int = 1
    precision: str = "fp32"

    @property
    def bytes(self) -> float:
        """rows x dimension x bytes of an element."""
        return self.rows * self.dimension * WEIGHT_BYTES[self.precision]

    @property
    def bytes_per_request(self) -> float:
        """What one request reads of it."""
        return self.lookups * self.dimension * WEIGHT_BYTES[self.precision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where one table lies: whole or cut, on which of the devices, with so many bytes on each of them."""

    table: str
    cut: Cut
    devices: tuple[int, ...]
    bytes_each: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to serve the tables, whether it is possible here, and what it costs, with the arithmetic."""

    name: str
    possible: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFit:
    """All tables on `devices` of one memory. `bytes_per_device` is the fullest one's."""

    total_bytes: float
    usable_bytes: float
    devices: int
    fits_one: bool
    placements: tuple[Placement, ...]
    bytes_per_device: float
    bytes_per_request: float
    ways: tuple[Way, ...]
    arithmetic: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """The YAML file with the tables."""

    tables: dict[str, EmbeddingTable]


def tables_from_file(path: Path) -> dict[str, EmbeddingTable]:
    """Read tables from YAML (`schema: 1`, `tables: {name: {rows, dimension, lookups, precision}}`).

    Raises ConfigurationError that names the field.
    """
    data = read_yaml(path)
    if data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: schema is missing or not {SCHEMA}", mend=f"write `schema: {SCHEMA}` on top")
    file: TableFile = from_data(TableFile, data, str(path))
    tables = file.tables
    if not tables:
        raise ConfigurationError(f"{path}: tables is empty; name at least one")
    for name, table in tables.items():
        if min(table.rows, table.dimension, table.lookups) < 1:
            raise ConfigurationError(f"{path}: tables.{name}: rows, dimension and lookups must be 1 or more")
        if table.precision not in WEIGHT_BYTES:
            known = ", ".join(WEIGHT_BYTES)
            raise ConfigurationError(f"{path}: tables.{name}.precision is '{table.precision}'; expected one of {known}")
    return tables


def fit_tables(tables: dict[str, EmbeddingTable], memory_bytes: float, *, devices: int | None = None) -> TableFit:
    """Place the tables on the fewest devices, or on `devices` of them.

    Tables that fit a device stay whole and go to the emptiest one, the largest first (longest processing time); a
    larger one is cut by rows over all devices, so that each holds its share.
    """
    usable = USABLE * memory_bytes
    total = sum(table.bytes for table in tables.values())
    count = devices or _fewest(tables, usable)
    placements, load = _placed(tables, usable, count)
    return TableFit(
        total_bytes=total,
        usable_bytes=usable,
        devices=count,
        fits_one=total <= usable,
        placements=tuple(placements),
        bytes_per_device=max(load),
        bytes_per_request=sum(table.bytes_per_request for table in tables.values()),
        ways=_ways(tables, usable, total, count),
        arithmetic=(
            *(
                f"{name}: {t.rows:,} rows x {t.dimension} x {WEIGHT_BYTES[t.precision]:g} bytes "
                f"= {t.bytes / 1e9:.4g} GB"
                for name, t in tables.items()
            ),
            f"in all {total / 1e9:.4g} GB; usable of one device: {USABLE:g} x {memory_bytes / 1e9:.4g} GB",
        ),
    )


def _fewest(tables: dict[str, EmbeddingTable], usable: float) -> int:
    count = max(1, math.ceil(sum(t.bytes for t in tables.values()) / usable))
    while max(_placed(tables, usable, count)[1]) > usable:
        count += 1
    return count


def _placed(tables: dict[str, EmbeddingTable], usable: float, count: int) -> tuple[list[Placement], list[float]]:
    load = [0.0] * count
    placements = []
    for name, table in sorted(tables.items(), key=lambda item: -item[1].bytes):
        if table.bytes > usable and count > 1:
            each = math.ceil(table.rows / count) * table.bytes / table.rows
            load = [held + each for held in load]
            placements.append(Placement(table=name, cut="row-wise", devices=tuple(range(count)), bytes_each=each))
            continue
        emptiest = load.index(min(load))
        load[emptiest] += table.bytes
        cut: Cut = "table-wise" if count > 1 else "whole"
        placements.append(Placement(table=name, cut=cut, devices=(emptiest,), bytes_each=table.bytes))
    return placements, load


def _ways(tables: dict[str, EmbeddingTable], usable: float, total: float, count: int) -> tuple[Way, ...]:
    request = sum(table.bytes_per_request for table in tables.values())
    pooled = sum(t.dimension * WEIGHT_BYTES[t.precision] for t in tables.values())
    largest = max(t.bytes for t in tables.values())
    return (
        Way(
            name="Whole in the device's memory, inside the model",
            possible=total <= usable,
            text=f"{total / 1e9:.4g} GB of {usable / 1e9:.4g} GB usable; a replica holds all, without a network.",
        ),
        Way(
            name="Table-wise: each table on one of several devices",
            possible=largest <= usable,
            text=f"{count} devices; for a request they send {pooled:,.0f} bytes of pooled vectors to one place.",
        ),
        Way(
            name="Row-wise: the rows of a table over several devices",
            possible=True,
            text=f"any size; every device answers every request for its rows, and {count} partial sums of "
            f"{pooled:,.0f} bytes are added up.",
        ),
        Way(
            name="In the host's memory, with a cache of hot rows on the device",
            possible=True,
            text=f"the bus carries at most {request:,.0f} bytes a request; what the cache saves depends on how skewed "
            "the lookups are, and is measured.",
        ),
        Way(
            name="In a parameter server (Redis, RocksDB, HugeCTR's) on the network",
            possible=True,
            text=f"{request:,.0f} bytes and a round trip for each request that misses; replicas stay small.",
        ),
    )
