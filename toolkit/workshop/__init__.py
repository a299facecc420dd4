"""What the notebooks use: one call, one view. Views show values that the library made; nothing is computed here."""

from __future__ import annotations

from toolkit.workshop.guide import bundle, decision, inspect, open_poc, preflight, run
from toolkit.workshop.streaming import stream
from toolkit.workshop.views import explore

__all__ = ["bundle", "decision", "explore", "inspect", "open_poc", "preflight", "run", "stream"]
