"""A table as a value: columns with a kind, rows of text. How it looks is the template's business."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Numbers are aligned right, codes are set in a fixed pitch, verdicts (PASS, FAIL ...) become badges."""

    title: str
    unit: str = ""
    kind: Literal["text", "number", "code", "verdict"] = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows have one text per column; `marked` is the index of the row that the decision is about."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    marked: int | None = None


def text_columns(*titles: str) -> tuple[Column, ...]:
    """Columns of plain text."""
    return tuple(Column(title=title) for title in titles)


def number_columns(*titles: str, unit: str = "") -> tuple[Column, ...]:
    """Columns of numbers that share a unit."""
    return tuple(Column(title=title, unit=unit, kind="number") for title in titles)


VERDICT = Column(title="Verdict", kind="verdict")
