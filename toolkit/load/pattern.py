"""The shape of a load, as pure values. No clock, no sockets.

Another kind of load (open-loop rates, traces) is another class here and another member of `Load`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from toolkit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Closed loop: `clients` connections, each sends its next request when the last one has answered."""

    clients: int
    duration_s: float = 5.0
    warmup_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a load that cannot be driven. Raises UsageError."""
        if self.clients < 1:
            raise UsageError(f"Concurrency.clients is {self.clients}; expected 1 or more")
        if not (self.duration_s > 0 and math.isfinite(self.duration_s)):
            raise UsageError(f"Concurrency.duration_s is {self.duration_s}; expected more than 0 seconds")
        if not (self.warmup_s >= 0 and math.isfinite(self.warmup_s)):
            raise UsageError(f"Concurrency.warmup_s is {self.warmup_s}; expected 0 seconds or more")

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        return f"concurrency-{self.clients}"


Load = Concurrency
