"""The highest rate that holds an SLO: probes until the budget is spent, and what all of them together say.

In: an SLO, a time budget, a first guess, and `measure`, which drives an open loop at a rate. Out: a MaxRate with its
95 % interval and every probe. Pure but for `measure`; it starts no server and sends nothing.

The search is a probabilistic bisection (Waeber, Frazier and Henderson 2013); max_rate_search.py says where the next
probe goes. No probe has to be decided on its own: at the edge none ever is. max_rate_fit.py puts all of them together,
whatever their own verdicts were.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome
from toolkit.tune import max_rate_words as words
from toolkit.tune.max_rate_fit import Bound, Estimate, Evidence
from toolkit.tune.max_rate_probe import Observation, bound_of
from toolkit.tune.max_rate_search import LOWEST, Probe, Search, learn, next_probes

#: (rate per second, warm-up in seconds, window in seconds) to what was seen. All three are what the load must have.
Measure = Callable[[float, float, float], Observation]
Progress = Callable[[str], None]

#: Half the interval as a share of the rate, from which on the rate counts as found.
AIM = 0.10
#: So many probes in a row that cannot be used end the search; fewer may be the machine's other work.
MOST_SPOILED = 5


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
    search = Search(
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
    for rate, warmup_s, duration_s in next_probes(search):
        seen = measure(rate, warmup_s, duration_s)
        search.spent_s += seen.spent_s
        spoiled_in_a_row = spoiled_in_a_row + 1 if seen.spoiled else 0
        if seen.spoiled and spoiled_in_a_row < MOST_SPOILED:
            progress(words.again(rate, seen.spoiled))
            continue
        if seen.spoiled:
            return _answer(search, "UNDECIDED", words.spoiled(rate, seen.spoiled))
        learn(search, rate, warmup_s, duration_s, seen)
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


def _outside(search: Search) -> MaxRate | None:
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


def _is_lowest(search: Search, evidence: tuple[Evidence, ...]) -> bool:
    return evidence[0].rate_per_s <= search.lowest_per_s


def _conclusion(search: Search, aim: float) -> MaxRate:
    found = search.found
    if found is None:
        return _answer(search, "UNDECIDED", words.nothing_measured())
    warnings = _doubts(search, found)
    if found.half_width <= aim and not warnings:
        return _answer(search, "PASS", words.found_text(search.slo, found), rate=found.rate_per_s)
    needed_s = search.budget_s * max(1.5, (found.half_width / aim) ** 2)
    sentence = words.undecided(search.slo, found, aim, needed_s)
    return _answer(search, "UNDECIDED", sentence, rate=found.rate_per_s, needed_s=needed_s, warnings=warnings)


def _doubts(search: Search, found: Estimate) -> tuple[str, ...]:
    """What an interval of the fit alone does not see: an edge that was never driven over, or never under."""
    rates = [e[0].rate_per_s for e in search.evidence]
    doubts = []
    if not any(search.over):
        doubts.append(f"no probe was over the limit up to {max(rates):.6g}/s, so nothing bounds the rate from above")
    if all(search.over):
        doubts.append(f"every probe was over the limit down to {min(rates):.6g}/s, so nothing bounds it from below")
    return tuple(doubts)


def _answer(
    search: Search,
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
