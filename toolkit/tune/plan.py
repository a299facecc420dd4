"""What a search is about: candidates as they are expected, bounds, lengths of windows. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_fit import Bound
from toolkit.tune.objective import Objective
from toolkit.tune.search import WARMUP_SHARE, Ledger

#: Misses that a window must leave room for, so that its share of misses means something.
MISSES, FEWEST_REQUESTS = 2.0, 60
#: One window takes at most this share of the budget.
MOST_OF_BUDGET = 1 / 25
#: Of the budget, the window of a probe; a window of the search; both within bounds.
PROBE_SHARE, WINDOW_SHARE = 1 / 100, 1 / 200
LEAST_WINDOW_S, MOST_WINDOW_S = 0.5, 2.0


def window_for(budget_s: float, share: float = WINDOW_SHARE) -> float:
    """Seconds of the shortest window, a share of the budget between two ends."""
    return min(MOST_WINDOW_S, max(LEAST_WINDOW_S, share * budget_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A candidate and the rate per second that the model of the batcher expects it to sustain.

    `place` is where it stands among the others (Space.places), so that neighbours are known.
    """

    candidate: Candidate
    rate_per_s: float
    place: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a search is about. `ranked`: the best expected first. `window_s`: the shortest window.

    `limit_s` is the tightest latency limit: what waits much longer than that need not be driven to its end.
    """

    ranked: tuple[Expected, ...]
    bounds: tuple[Bound, ...]
    objective: Objective
    window_s: float = 1.0
    most_memory_bytes: int | None = None
    budget_s: float = 300.0
    limit_s: float | None = None

    def window_at(self, rate_per_s: float) -> float:
        """Seconds of a window at a rate: enough requests for the rarest miss, within a share of the budget."""
        rarest = min((b.limit for b in self.bounds if b.is_share), default=0.1)
        needed_s = max(MISSES / rarest, FEWEST_REQUESTS) / rate_per_s
        return max(self.window_s, min(needed_s, MOST_OF_BUDGET * self.budget_s))

    def cost_s(self, ledger: Ledger, rate_per_s: float) -> float:
        """About what one window costs that needs a reload."""
        return ledger.reload_s + (1 + WARMUP_SHARE) * self.window_at(rate_per_s)
