"""A figure of a plan: a number with its interval, and what it rests on. Units stand in the name of the field.

In: numbers. Out: Figures, combined so that a result is never better founded than the weakest of what it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

#: From the best founded to the least. `given` is the user's own number; `bound` is a limit that arithmetic sets.
Basis = Literal["given", "measured", "interpolated", "extrapolated", "bound"]
ORDER: tuple[Basis, ...] = ("given", "measured", "interpolated", "extrapolated", "bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`value` within `low` and `high`: 95 % of a prediction, the least and the most that was seen of a measurement.

    `how` says in a few words where it comes from.
    """

    value: float
    low: float
    high: float
    basis: Basis
    how: str


def given(value: float, how: str) -> Figure:
    """A number that the user stands for; nothing is known of its error."""
    return Figure(value=value, low=value, high=value, basis="given", how=how)


def seen(values: tuple[float, ...], how: str, *, value: float | None = None) -> Figure:
    """A measured quantity: `value`, by default the largest, between the least and the largest that were seen."""
    largest = max(values)
    return Figure(value=largest if value is None else value, low=min(values), high=largest, basis="measured", how=how)


def weakest(*figures: Figure) -> Basis:
    """The basis of whatever is computed from all of them."""
    return max((figure.basis for figure in figures), key=ORDER.index)


def combined(calculate: Callable[..., float], *figures: Figure, how: str) -> Figure:
    """`calculate` of the values, and of every corner of the intervals; for functions that are monotone in each."""
    corners: list[tuple[float, ...]] = [()]
    for figure in figures:
        corners = [(*corner, end) for corner in corners for end in (figure.low, figure.high)]
    ends = [calculate(*corner) for corner in corners]
    value = calculate(*(figure.value for figure in figures))
    return Figure(value=value, low=min(value, *ends), high=max(value, *ends), basis=weakest(*figures), how=how)
