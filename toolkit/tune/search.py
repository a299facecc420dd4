"""The one loop of every method of search: a method is a generator that yields the next trial and receives its result.

In: a method, and `measure`, which does what a trial asks. Out: what was measured, in order, and how much of the budget
is gone. It knows neither servers nor how a method chooses; the same answers to the same method give the same trials,
which is what lets a search be resumed from its journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from toolkit.load.measurement import ModelSplit
from toolkit.load.pattern import MAX_CONNECTIONS, Concurrency, Load, RequestRate
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_probe import Observation

#: Why a trial is made: to learn service times, to find a rate, to challenge the incumbent, to settle the best.
Why = Literal["probe", "rate", "challenge", "final", "load"]
#: Of a window, the time before it that is not counted.
WARMUP_SHARE = 0.25
FEWEST_CONNECTIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One trial: a configuration under a load."""

    candidate: Candidate
    load: Load
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of a trial. `observation` says it criterion by criterion, `splits` what the server says of each model.

    `tail_s` is the SLO's own percentile, else p99. `reload_s` was spent on loading the configuration, 0 where it was
    loaded already. `power_w` is None where nothing measures it. `refused` is the server's reason not to load the
    configuration; then nothing else was measured.
    """

    ask: Ask
    observation: Observation
    reload_s: float = 0.0
    throughput_per_s: float = 0.0
    tail_s: float | None = None
    splits: tuple[ModelSplit, ...] = ()
    memory_bytes: int | None = None
    power_w: float | None = None
    refused: str = ""

    @property
    def spent_s(self) -> float:
        """Seconds that it cost, reload and drain included."""
        return self.reload_s + self.observation.spent_s


Search = Generator[Ask, Tried, None]
#: A trial and its number, from 0 on, to what came of it.
Measure = Callable[[Ask, int], Tried]


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What was tried so far, and what is left of the budget. A search reads it; only `run_search` writes."""

    budget_s: float
    tried: list[Tried] = field(default_factory=list)

    @property
    def spent_s(self) -> float:
        """Seconds that all trials cost."""
        return sum(t.spent_s for t in self.tried)

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left."""
        return self.budget_s - self.spent_s

    def of(self, candidate: Candidate, *whys: Why) -> tuple[Tried, ...]:
        """The trials of a candidate, of the kinds named or of all."""
        return tuple(
            t for t in self.tried if t.ask.candidate.name == candidate.name and (not whys or t.ask.why in whys)
        )

    @property
    def reload_s(self) -> float:
        """The mean time of a reload so far; a second before the first."""
        reloads = [t.reload_s for t in self.tried if t.reload_s]
        return sum(reloads) / len(reloads) if reloads else 1.0


def run_search(search: Search, ledger: Ledger, measure: Measure, watch: Callable[[Ledger], None]) -> None:
    """Drive a search to its end; whatever interrupts it leaves in `ledger` what was finished.

    watch: called after each trial. Raises what `measure` raises.
    """
    try:
        ask = next(search)
        while True:
            done = measure(ask, len(ledger.tried))
            ledger.tried.append(done)
            watch(ledger)
            ask = search.send(done)
    except StopIteration:
        return


def rate_load(rate_per_s: float, window_s: float, *, seed: int, limit_s: float | None = None) -> RequestRate:
    """Poisson arrivals at a rate, the share WARMUP_SHARE of the window before it.

    With the tightest latency limit, connections are twice what is in flight when every request takes as long as it
    may: beyond that a server is overloaded anyway, and would only have more to finish afterwards.
    """
    in_flight = MAX_CONNECTIONS if limit_s is None else math.ceil(2 * rate_per_s * limit_s)
    return RequestRate(
        rate_per_s=rate_per_s,
        duration_s=window_s,
        warmup_s=WARMUP_SHARE * window_s,
        seed=seed,
        max_connections=min(MAX_CONNECTIONS, max(FEWEST_CONNECTIONS, in_flight)),
    )


def clients_load(clients: int, window_s: float) -> Concurrency:
    """A closed loop."""
    return Concurrency(clients=clients, duration_s=window_s, warmup_s=WARMUP_SHARE * window_s)


def refused_of(tried: Sequence[Tried]) -> str:
    """Why the server does not take a configuration; empty when it does."""
    return next((t.refused for t in tried if t.refused), "")
