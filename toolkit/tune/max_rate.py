"""The highest rate that holds an SLO: where to probe next, for how long, and what all probes together say.

In: an SLO, a time budget, a first guess, and `measure`, which drives an open loop at a rate. Out: a MaxRate with its
95 % interval and every probe. Pure but for `measure`; it starts no server and sends nothing.

The search is a probabilistic bisection (Waeber, Frazier and Henderson 2013): each probe goes to the middle of what is
still likely, first in short windows that bracket the edge from both sides, then in longer ones just above and just
below it, where a request says most. No probe has to be decided on its own: at the edge none ever is. max_rate_fit.py
puts all of them together, whatever their own verdicts were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome
from toolkit.tune import max_rate_words as words
from toolkit.tune.max_rate_fit import Bound, Estimate, Evidence, estimate, is_overloaded, lowest
from toolkit.tune.max_rate_probe import Observation, Seen, bound_of

#: (rate per second, warm-up in seconds, window in seconds) to what was seen. All three are what the load must have.
Measure = Callable[[float, float, float], Observation]
Progress = Callable[[str], None]

#: Half the interval as a share of the rate, from which on the rate counts as found.
AIM = 0.10
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
#: So many probes in a row that cannot be used end the search; fewer may be the machine's other work.
MOST_SPOILED = 5
#: No rate below this share of the first one is tried.
LOWEST = 1 / 50


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxRate:
    """The answer. PASS: found; FAIL: not even the lowest rate holds the SLO; else UNDECIDED.

    `low` and `high` bound the 95 % interval of the rate at which the SLO is met exactly in the long run; None where
    nothing bounds that end. `seconds_needed` is the budget that would decide, None when this one did or none can.
    """

    outcome: Outcome
    sentence: str
    rate_per_s: float | None
    low: float | None
    high: float | None
    probes: tuple[Probe, ...]
    spent_s: float
    budget_s: float
    seconds_needed: float | None
    warnings: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Search:
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


def max_rate(
    measure: Measure,
    slo: Slo,
    *,
    first_per_s: float,
    budget_s: float,
    aim: float = AIM,
    from_per_s: float | None = None,
    to_per_s: float | None = None,
    progress: Progress = lambda text: None,
) -> MaxRate:
    """Search within `budget_s` seconds of measuring, from a first guess that the server should hold.

    Rates outside `from_per_s` to `to_per_s` are not driven. Found is a rate whose half interval is at most `aim` of it.
    A budget that cannot decide whatever is measured is refused beforehand: UNDECIDED, without a probe.
    Raises UsageError for an SLO with a throughput, and whatever `measure` raises.
    """
    bounds = tuple(bound_of(criterion) for criterion in slo.criteria)
    needed_s = least_budget_s(bounds, to_per_s or first_per_s)
    progress(words.forecast(slo, first_per_s, budget_s, needed_s))
    search = _Search(
        slo=slo,
        bounds=bounds,
        first_per_s=first_per_s,
        budget_s=budget_s,
        lowest_per_s=from_per_s or LOWEST * first_per_s,
        highest_per_s=to_per_s or math.inf,
    )
    if needed_s > budget_s:
        return _answer(search, "UNDECIDED", words.too_short(slo, first_per_s, budget_s, needed_s), needed_s=needed_s)
    spoiled_in_a_row = 0
    for rate, warmup_s, duration_s in _next_probes(search):
        seen = measure(rate, warmup_s, duration_s)
        search.spent_s += seen.spent_s
        spoiled_in_a_row = spoiled_in_a_row + 1 if seen.spoiled else 0
        if seen.spoiled and spoiled_in_a_row < MOST_SPOILED:
            progress(words.again(rate, seen.spoiled))
            continue
        if seen.spoiled:
            return _answer(search, "UNDECIDED", words.spoiled(rate, seen.spoiled))
        _learn(search, rate, warmup_s, duration_s, seen)
        progress(words.probe_text(len(search.probes), search.probes[-1], search.found))
        if outside := _outside(search):
            return outside
    return _conclusion(search, aim)


def least_budget_s(bounds: Sequence[Bound], rate_per_s: float) -> float:
    """Seconds at `rate_per_s` below which no outcome could decide, however the requests turn out.

    One probe below the edge without a single miss, all requests independent, shows with 97.5 % confidence that the
    share is within the bound from ln(0.025) / ln(1 - bound) requests on (368 for a p99), and one above it must follow.
    """
    shares = [bound.limit for bound in bounds if bound.is_share]
    requests = max((math.log(0.025) / math.log1p(-share) for share in shares), default=50.0)
    return 2 * requests / rate_per_s


def _next_probes(search: _Search) -> Iterator[tuple[float, float, float]]:
    """Rate, warm-up and window of each probe until the budget is spent."""
    while True:
        rate = _next_rate(search)
        window_s = _window_s(search, rate)
        warmup_s = _warmup_s(search, rate, window_s)
        left_s = search.budget_s - search.spent_s - warmup_s
        if left_s < min(window_s, SHORT * search.budget_s):
            return
        yield rate, warmup_s, min(window_s, left_s)


def _next_rate(search: _Search) -> float:
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


def _window_s(search: _Search, rate: float) -> float:
    is_long = len(search.probes) >= SHORT_PROBES
    share, misses = (LONG, LONG_REQUESTS) if is_long else (SHORT, SHORT_REQUESTS)
    rarest = min((bound.limit for bound in search.bounds if bound.is_share), default=0.1)
    return max(share * search.budget_s, min(misses / rarest / rate, search.budget_s / 6))


def _warmup_s(search: _Search, rate: float, window_s: float) -> float:
    """Near saturation a queue takes long to settle, as long as its latencies resemble each other."""
    shortest_s, longest_s = LEAST_WARMUP * window_s, MOST_WARMUP * window_s
    if not search.evidence:
        return shortest_s
    nearest = min(search.evidence, key=lambda e: abs(math.log(e[0].rate_per_s / rate)))
    tau_s = max(evidence.tau / evidence.rate_per_s for evidence in nearest)
    return min(max(WARMUP_TAUS * tau_s, shortest_s), longest_s)


def _learn(search: _Search, rate: float, warmup_s: float, duration_s: float, seen: Observation) -> None:
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


def _probe(search: _Search, rate: float, warmup_s: float, duration_s: float, seen: Observation) -> Probe:
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


def _outside(search: _Search) -> MaxRate | None:
    """The answer when the edge is beyond the rates that may be driven, with the confidence of the interval."""
    found, driven = search.found, [probe.rate_per_s for probe in search.probes]
    if found is None:
        return None
    if found.low >= search.highest_per_s and search.highest_per_s in driven:
        return _answer(search, "PASS", words.holds_at_top(search.slo, search.highest_per_s), rate=search.highest_per_s)
    at_lowest = [over for e, over in zip(search.evidence, search.overloaded, strict=True) if _is_lowest(search, e)]
    if at_lowest and (any(at_lowest) or found.high <= search.lowest_per_s):
        worst = min(search.probes, key=lambda probe: probe.rate_per_s)
        return _answer(search, "FAIL", words.nothing_holds(search.slo, worst))
    return None


def _is_lowest(search: _Search, evidence: tuple[Evidence, ...]) -> bool:
    return evidence[0].rate_per_s <= search.lowest_per_s


def _conclusion(search: _Search, aim: float) -> MaxRate:
    found = search.found
    if found is None:
        return _answer(search, "UNDECIDED", words.nothing_measured())
    warnings = _doubts(search, found)
    if found.half_width <= aim and not warnings:
        return _answer(search, "PASS", words.found_text(search.slo, found), rate=found.rate_per_s)
    needed_s = search.budget_s * max(1.5, (found.half_width / aim) ** 2)
    sentence = words.undecided(search.slo, found, aim, needed_s)
    return _answer(search, "UNDECIDED", sentence, rate=found.rate_per_s, needed_s=needed_s, warnings=warnings)


def _doubts(search: _Search, found: Estimate) -> tuple[str, ...]:
    """What an interval of the fit alone does not see: an edge that was never driven over, or never under."""
    rates = [e[0].rate_per_s for e in search.evidence]
    doubts = []
    if not any(search.over):
        doubts.append(f"no probe was over the limit up to {max(rates):.6g}/s, so nothing bounds the rate from above")
    if all(search.over):
        doubts.append(f"every probe was over the limit down to {min(rates):.6g}/s, so nothing bounds it from below")
    return tuple(doubts)


def _answer(
    search: _Search,
    outcome: Outcome,
    sentence: str,
    *,
    rate: float | None = None,
    needed_s: float | None = None,
    warnings: tuple[str, ...] = (),
) -> MaxRate:
    found = search.found
    at_top = outcome == "PASS" and rate == search.highest_per_s
    return MaxRate(
        outcome=outcome,
        sentence=sentence,
        rate_per_s=rate,
        low=rate if at_top else found.low if found and outcome != "FAIL" else None,
        high=None if at_top or found is None else found.high,
        probes=tuple(search.probes),
        spent_s=search.spent_s,
        budget_s=search.budget_s,
        seconds_needed=needed_s,
        warnings=warnings,
    )
