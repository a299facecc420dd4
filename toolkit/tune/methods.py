"""Methods of search, each a generator of trials: the challenge race, everything, and the best figure at a given load.

In: a Plan (the candidates in the order of what a model expects of them) and the ledger of what was tried. Out: trials,
until the candidates or the budget are spent; tuned.py says what they come to.

The race keeps an incumbent and the rate that it sustains. Challengers come by their chance to win (likeliest.py), which
every window changes. Each gets one short open-loop window at MARGIN times that rate, and a second one when the first is
not clear; only a winner gets windows of its own to find its rate. So losers, which nearly all are, cost one window. At
the end the best are measured again, in turn.
"""

from __future__ import annotations

from collections.abc import Generator

from toolkit.load.pattern import Load
from toolkit.tune.decision import Candidate
from toolkit.tune.evidence import (
    challenge,
    holds_on_average,
    is_usable,
    overloaded,
    rate_of,
    rate_windows,
    sustained,
    sustained_by,
)
from toolkit.tune.likeliest import likeliest
from toolkit.tune.max_rate_fit import Estimate
from toolkit.tune.plan import MOST_OF_BUDGET, Plan
from toolkit.tune.search import WARMUP_SHARE, Ask, Ledger, Search, Tried, Why, clients_load, rate_load, refused_of

#: A challenger is asked whether it sustains so many times the incumbent's rate.
MARGIN = 1.03
#: Windows of a challenge, and of the search for one rate, at most.
LOOKS, RATE_WINDOWS = 2, 6
#: A rate is known well enough when half its interval is at most this share of it.
AIM = 0.08
#: Where the search for a rate begins, as a share of what is expected; how far one step goes up or down.
FIRST, GROWTH, FALL = 0.8, 1.4, 3.0
#: What is tried of a configuration of which nothing is expected.
SLOWEST_PER_S = 1.0
#: A configuration that is overloaded at this share of what was expected of it sustains nothing.
HOPELESS = 1 / 30
#: The best so many are measured again, in so many rounds at most, in turn.
SEMIFINALISTS, FINALISTS, FINAL_ROUNDS = 7, 3, 24
#: Of the budget, what is kept for the finals: so much, more for each candidate that was tried, and at most so much. The
#: more there are, the luckier is the luckiest, and the more windows tell it from the best.
FINAL_SHARE, FINAL_SHARE_EACH, MOST_FINAL_SHARE = 0.2, 0.015, 0.5
#: At a given load, the share of the budget for the first look at every candidate, and what is kept for the finals.
FIRST_LOOKS, LAST_LOOKS = 0.6, 1 / 3


def race(plan: Plan, ledger: Ledger) -> Search:
    """The challenge race, the likeliest to win next, and the finals."""
    best: tuple[Candidate, float] | None = None
    left = list(plan.ranked)
    while left and (best is None or _can_afford(plan, ledger, best[1])):
        expected = left[0] if best is None else likeliest(plan, ledger, left, MARGIN * best[1])
        if expected is None:
            break
        left.remove(expected)
        if best is None:
            first = FIRST * max(expected.rate_per_s, SLOWEST_PER_S)
            found = yield from find_rate(plan, ledger, expected.candidate, first)
        else:
            found = yield from _challenged(plan, ledger, expected.candidate, MARGIN * best[1])
        if found and (best is None or found > best[1]) and not over_memory(plan, ledger, expected.candidate):
            best = expected.candidate, found
    yield from finals(plan, ledger)


def exhaustive(plan: Plan, ledger: Ledger) -> Search:
    """The rate of every candidate, as far as the budget goes, and the finals."""
    yield from every_rate(plan, ledger)
    yield from finals(plan, ledger)


def every_rate(plan: Plan, ledger: Ledger) -> Search:
    """The rate of every candidate, as far as the budget goes."""
    for expected in plan.ranked:
        rate = max(expected.rate_per_s, SLOWEST_PER_S)
        if ledger.left_s < plan.cost_s(ledger, rate):
            break
        yield from find_rate(plan, ledger, expected.candidate, FIRST * rate)


def at_load(plan: Plan, ledger: Ledger) -> Search:
    """The best figure at the load of the objective: a window each, a second for the better third, then the finals."""
    load = _given_load(plan)
    cost_s = (1 + WARMUP_SHARE) * load.duration_s
    for expected in plan.ranked:
        if ledger.spent_s + ledger.reload_s + cost_s > FIRST_LOOKS * plan.budget_s and ledger.tried:
            break
        yield from _look(plan, ledger, expected.candidate, load, "load")
    for candidate in best_at_load(plan, ledger)[: max(FINALISTS, len(plan.ranked) // 3)]:
        if ledger.left_s > ledger.reload_s + cost_s + LAST_LOOKS * plan.budget_s:
            yield from _look(plan, ledger, candidate, load, "load")
    for _ in range(FINAL_ROUNDS):
        for candidate in best_at_load(plan, ledger)[:FINALISTS]:
            if ledger.left_s > ledger.reload_s + cost_s:
                yield from _look(plan, ledger, candidate, load, "final")


def find_rate(
    plan: Plan, ledger: Ledger, candidate: Candidate, first_per_s: float, *, windows: int = RATE_WINDOWS
) -> Generator[Ask, Tried, float | None]:
    """Windows around the rate that a candidate sustains; returns the rate, None where it sustains none."""
    for _ in range(windows):
        rate = _next_rate(plan, ledger, candidate, first_per_s)
        if rate < HOPELESS * first_per_s or ledger.left_s < plan.cost_s(ledger, rate):
            break
        done = yield Ask(candidate=candidate, load=_rate_load(plan, ledger, rate), why="rate")
        if done.refused or _is_settled(plan, ledger, candidate, first_per_s):
            break
    return sustained_rate(plan, ledger, candidate)


def sustained_rate(plan: Plan, ledger: Ledger, candidate: Candidate) -> float | None:
    """The rate that a candidate's windows come to; None unless one of them kept the SLO."""
    tried = rate_windows(ledger, candidate)
    if not any(holds_on_average((t,), plan.bounds) for t in tried):
        return None
    found = sustained_by(tried, plan.bounds)
    return found.rate_per_s if found else None


def finals(plan: Plan, ledger: Ledger) -> Search:
    """The most hopeful again, in turn, at the rate that each was found to sustain; then three, chosen anew each round.

    The highest of many noisy rates is high by luck as well: more than three are given a second look, and who was
    measured little counts with a deviation more than was found, so that nobody wins or is dropped by one window.
    """
    for number in range(FINAL_ROUNDS):
        found = [(e, c.candidate) for c in plan.ranked if (e := _eligible(plan, ledger, c.candidate))]
        hopeful = sorted(found, key=lambda pair: -pair[0].rate_per_s * (1 + pair[0].half_width / 2))
        for estimate, candidate in hopeful[: FINALISTS if number else SEMIFINALISTS]:
            if ledger.left_s < plan.cost_s(ledger, estimate.rate_per_s):
                return
            yield Ask(candidate=candidate, load=_rate_load(plan, ledger, estimate.rate_per_s), why="final")


def over_memory(plan: Plan, ledger: Ledger, candidate: Candidate) -> int | None:
    """The memory that the server took with a candidate, where that is over the limit."""
    used = max((t.memory_bytes or 0 for t in ledger.of(candidate)), default=0)
    return used if plan.most_memory_bytes is not None and used > plan.most_memory_bytes else None


def best_at_load(plan: Plan, ledger: Ledger) -> list[Candidate]:
    """The candidates that keep the SLO at the given load, by their score."""
    scored = []
    for expected in plan.ranked:
        tried = ledger.of(expected.candidate, "load", "final")
        score = plan.objective.score(tried)
        if (
            score is not None
            and holds_on_average(tried, plan.bounds)
            and not over_memory(plan, ledger, expected.candidate)
        ):
            scored.append((score, expected.candidate))
    return [candidate for _, candidate in sorted(scored, key=lambda pair: -pair[0])]


def _challenged(plan: Plan, ledger: Ledger, candidate: Candidate, rate: float) -> Generator[Ask, Tried, float | None]:
    """One window or two at a rate; a winner's own rate, None of a loser."""
    tried: list[Tried] = []
    answer = "open"
    while answer == "open" and len(tried) < LOOKS and not refused_of(tried):
        tried.append((yield Ask(candidate=candidate, load=_rate_load(plan, ledger, rate), why="challenge")))
        usable = [t for t in tried if is_usable(t)]
        answer = challenge(usable, plan.bounds) if usable else "open"
    usable = [t for t in tried if is_usable(t)]
    if answer == "worse" or not usable or not holds_on_average(usable, plan.bounds):
        return None
    return (yield from find_rate(plan, ledger, candidate, rate, windows=RATE_WINDOWS - len(tried)))


def _next_rate(plan: Plan, ledger: Ledger, candidate: Candidate, first_per_s: float) -> float:
    """The rate that the windows so far come to, not far beyond what was driven; of overloaded ones what was served."""
    tried = rate_windows(ledger, candidate)
    found = sustained(tried, plan.bounds, first_per_s)
    if found is None:
        return first_per_s
    driven = [rate_of(t) for t in tried]
    if all(overloaded(t, plan.bounds) for t in tried):
        served = min(t.throughput_per_s for t in tried)
        return max(min(found.rate_per_s, 0.9 * served), min(driven) / FALL)
    return min(found.rate_per_s, GROWTH * max(driven))


def _is_settled(plan: Plan, ledger: Ledger, candidate: Candidate, first_per_s: float) -> bool:
    tried = rate_windows(ledger, candidate)
    found = sustained(tried, plan.bounds, first_per_s)
    sides = {holds_on_average((t,), plan.bounds) for t in tried}
    return found is not None and found.half_width <= AIM and len(sides) == 2


def _eligible(plan: Plan, ledger: Ledger, candidate: Candidate) -> Estimate | None:
    """What a candidate's windows tell, if it keeps within the memory; a lost challenge may have been bad luck."""
    if not ledger.of(candidate, "rate", "challenge") or over_memory(plan, ledger, candidate):
        return None
    tried = rate_windows(ledger, candidate)
    if all(overloaded(t, plan.bounds) for t in tried):
        return None
    return sustained_by(tried, plan.bounds)


def _look(plan: Plan, ledger: Ledger, candidate: Candidate, load: Load, why: Why) -> Search:
    if not refused_of(ledger.of(candidate)):
        yield Ask(candidate=candidate, load=load, why=why)


def _given_load(plan: Plan) -> Load:
    rate = plan.objective.rate_per_s
    if rate is None:
        return clients_load(plan.objective.clients, max(plan.window_s, MOST_OF_BUDGET / 2 * plan.budget_s))
    return rate_load(rate, plan.window_at(rate), seed=0)


def _rate_load(plan: Plan, ledger: Ledger, rate_per_s: float) -> Load:
    return rate_load(rate_per_s, plan.window_at(rate_per_s), seed=len(ledger.tried), limit_s=plan.limit_s)


def _can_afford(plan: Plan, ledger: Ledger, rate_per_s: float) -> bool:
    """Whether another challenge leaves what is kept for the finals."""
    tried = len({t.ask.candidate.name for t in ledger.tried if t.ask.why != "probe"})
    share = min(FINAL_SHARE + FINAL_SHARE_EACH * tried, MOST_FINAL_SHARE)
    return ledger.left_s - plan.cost_s(ledger, rate_per_s) > share * plan.budget_s
