"""The shape of a load, as pure values. No clock, no sockets.

Another kind of load (open-loop rates, traces) is another class here and another member of `Load`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Concurrency:
    """Closed loop: `clients` connections, each sends its next request when the last one has answered."""

    clients: int
    duration_s: float = 5.0
    warmup_s: float = 1.0

    @property
    def name(self) -> str:
        """A short name, fit for a folder."""
        return f"concurrency-{self.clients}"


Load = Concurrency
