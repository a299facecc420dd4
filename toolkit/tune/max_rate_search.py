"""What a search for the highest rate knows, and where it drives next. Pure.

Each probe goes to the middle of what is still likely: first in short windows that bracket the edge from both sides,
then in longer ones just above and just below it, where a request says most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome
from toolkit.tune import max_rate_words as words
from toolkit.tune.max_rate_fit import Bound, Estimate, Evidence, estimate, is_overloaded, lowest
from toolkit.tune.max_rate_probe import Observation, Seen

#: No rate below this share of the first one is tried.
LOWEST = 1 / 50
#: Windows as shares of the budget: of the first SHORT_PROBES, which are to bracket the edge, and of the others.
SHORT, LONG = 1 / 40, 1 / 16
SHORT_PROBES = 5
#: Windows in requests, as multiples of the requests among which one may miss.
SHORT_REQUESTS, LONG_REQUESTS = 0.5, 2.0
#: The next rate is at most this much above the highest one driven so far.
GROWTH = 1.5
#: and while every probe was overloaded, this much below the lowest one.
FALL = 3.0
#: Warm-up in autocorrelation times of the nearest probe; of a window, at least and at most these shares.
WARMUP_TAUS, LEAST_WARMUP, MOST_WARMUP = 3.0, 0.1, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One probe as it is kept. `measured` and `allowed` are of the criterion that is nearest to its bound.

    They are shares of requests where `is_share`, else seconds. `outcome` is the verdict on this probe alone.
    """

    rate_per_s: float
    warmup_s: float
    duration_s: float
    spent_s: float
    outcome: Outcome
    criterion: str
    is_share: bool
    measured: float
    allowed: float
    samples: int
    effective_samples: float


@dataclass(slots=True, kw_only=True)
class Search:
    """What is known so far."""

    slo: Slo
    bounds: tuple[Bound, ...]
    first_per_s: float
    budget_s: float
    lowest_per_s: float
    highest_per_s: float
    spent_s: float = 0.0
    probes: list[Probe] = field(default_factory=list)
    evidence: list[tuple[Evidence, ...]] = field(default_factory=list)
    found: Estimate | None = None
    binding: Bound | None = None
    long_probes: int = 0

    @property
    def overloaded(self) -> list[bool]:
        """Of each probe that had requests."""
        return [any(is_overloaded(e, b) for e, b in zip(p, self.bounds, strict=True)) for p in self.evidence]

    @property
    def over(self) -> list[bool]:
        """Of each probe that had requests, whether more than allowed missed a criterion."""
        return [any(e.mean > b.limit for e, b in zip(p, self.bounds, strict=True)) for p in self.evidence]

    @property
    def is_bracketed(self) -> bool:
        """Whether short probes lie on both sides of the edge, as far as one can see."""
        return len(self.probes) >= SHORT_PROBES and len(set(self.over)) == 2


def next_probes(search: Search) -> Iterator[tuple[float, float, float]]:
    """Rate, warm-up and window of each probe until the budget is spent."""
    while True:
        rate = _next_rate(search)
        window_s = _window_s(search, rate)
        warmup_s = _warmup_s(search, rate, window_s)
        left_s = search.budget_s - search.spent_s - warmup_s
        if left_s < min(window_s, SHORT * search.budget_s):
            return
        yield rate, warmup_s, min(window_s, left_s)


def _next_rate(search: Search) -> float:
    """The median while the edge is not bracketed, then by turns one unit of the link above and below it."""
    found, driven = search.found, [probe.rate_per_s for probe in search.probes]
    if found is None or search.binding is None:
        rate = search.first_per_s
    elif search.is_bracketed:
        search.long_probes += 1
        sign = 1 if search.long_probes % 2 else -1
        rate = found.rate_per_s * math.exp(sign * search.binding.unit / found.slope)
    elif all(search.overloaded):
        rate = min(found.rate_per_s, min(driven) / FALL)
    else:
        rate = min(found.rate_per_s, GROWTH * max(driven))
    return min(max(rate, search.lowest_per_s), search.highest_per_s)


def _window_s(search: Search, rate: float) -> float:
    is_long = len(search.probes) >= SHORT_PROBES
    share, misses = (LONG, LONG_REQUESTS) if is_long else (SHORT, SHORT_REQUESTS)
    rarest = min((bound.limit for bound in search.bounds if bound.is_share), default=0.1)
    return max(share * search.budget_s, min(misses / rarest / rate, search.budget_s / 6))


def _warmup_s(search: Search, rate: float, window_s: float) -> float:
    """Near saturation a queue takes long to settle, as long as its latencies resemble each other."""
    shortest_s, longest_s = LEAST_WARMUP * window_s, MOST_WARMUP * window_s
    if not search.evidence:
        return shortest_s
    nearest = min(search.evidence, key=lambda e: abs(math.log(e[0].rate_per_s / rate)))
    tau_s = max(evidence.tau / evidence.rate_per_s for evidence in nearest)
    return min(max(WARMUP_TAUS * tau_s, shortest_s), longest_s)


def learn(search: Search, rate: float, warmup_s: float, duration_s: float, seen: Observation) -> None:
    """Add a probe, and fit all of them together again."""
    evidence = tuple(
        Evidence(rate_per_s=rate, mean=s.mean, effective_samples=s.effective_samples, samples=s.samples)
        for s in seen.seen
    )
    search.probes.append(_probe(search, rate, warmup_s, duration_s, seen))
    if all(s.samples for s in seen.seen):
        search.evidence.append(evidence)
    columns = zip(*search.evidence, strict=True)
    estimates = [estimate(c, b, search.first_per_s) for c, b in zip(columns, search.bounds, strict=False)]
    if estimates:
        search.found = lowest(estimates)
        search.binding = min(zip(estimates, search.bounds, strict=True), key=lambda pair: pair[0].rate_per_s)[1]


def _probe(search: Search, rate: float, warmup_s: float, duration_s: float, seen: Observation) -> Probe:
    def excess(pair: tuple[Seen, Bound]) -> float:
        return pair[0].mean / pair[1].limit

    pairs = list(zip(seen.seen, search.bounds, strict=True))
    nearest = max(range(len(pairs)), key=lambda index: excess(pairs[index]))
    worst, bound = pairs[nearest]
    return Probe(
        rate_per_s=rate,
        warmup_s=warmup_s,
        duration_s=duration_s,
        spent_s=seen.spent_s,
        outcome=seen.outcome,
        criterion=words.criterion_name(search.slo.criteria[nearest]),
        is_share=bound.is_share,
        measured=worst.mean,
        allowed=bound.limit,
        samples=worst.samples,
        effective_samples=worst.effective_samples,
    )
