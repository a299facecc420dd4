"""What charts of horizontal bars share: the room that the figure at the end of a bar needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def with_room(alt: Any, ends: Sequence[float]) -> Any:
    """A scale from zero to beyond the longest bar, for the figure that stands at its end."""
    return alt.Scale(domain=[0, 1.15 * max(ends)] if ends else alt.Undefined, nice=True)
