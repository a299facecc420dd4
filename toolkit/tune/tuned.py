"""What a search comes to: the standing of every configuration that was tried, the choice, and why not the others. Pure.

In: the plan, the ledger and the space. Out: a Tuned, whose Decision is in the words of every other decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.load.pattern import Load, RequestRate
from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome
from toolkit.tune.decision import Decision, Rejection
from toolkit.tune.evidence import is_usable, rate_windows, sustained_by
from toolkit.tune.max_rate_fit import Estimate
from toolkit.tune.methods import best_at_load, over_memory, sustained_rate
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ledger, Why
from toolkit.tune.space import AS_CONFIGURED, Configuration, Space
from toolkit.tune.tuned_words import settings_text, why_not
from toolkit.tune.words import config_text, rate_text, target_text

#: Rivals that are named in the sentence.
MOST_RIVALS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One configuration that was tried. `rate_per_s` with its interval where it was found, `score` at a given load."""

    candidate: str
    settings: str
    windows: int
    spent_s: float
    rate_per_s: float | None
    low: float | None
    high: float | None
    score: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePoint:
    """One trial of the search: when it ended, what it was for, and the best rate that was known by then."""

    at_s: float
    why: Why
    candidate: str
    rate_per_s: float
    best_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The answer. `configurations` is the size of the space; `gain` the chosen rate over that of what is configured."""

    decision: Decision
    objective: str
    method: str
    standings: tuple[Standing, ...]
    trace: tuple[TracePoint, ...]
    configurations: int
    reloads: int
    spent_s: float
    budget_s: float
    gain: float | None
    gap: float | None = None


def tuned(plan: Plan, ledger: Ledger, space: Space, slo: Slo, *, method: str, device: str = "") -> Tuned:
    """Judge what was tried. The chosen one has the best rate, or the best figure at the given load, of the finalists.

    PASS when one was found, FAIL when everything tried misses the SLO, UNDECIDED when nothing could be judged.
    """
    by_name = {c.name: c for c in space.configurations}
    names = dict.fromkeys(t.ask.candidate.name for t in ledger.tried if t.ask.why != "probe")
    chosen = _chosen(plan, ledger, [by_name[n] for n in names])
    standings = tuple(_standing(plan, ledger, slo, by_name[n], chosen) for n in names)
    decision = _decision(plan, ledger, space, slo, standings, chosen, device)
    return Tuned(
        decision=decision,
        objective=plan.objective.name,
        method=method,
        standings=tuple(sorted(standings, key=lambda s: (s.candidate != decision.candidate, -(s.rate_per_s or 0)))),
        trace=_trace(plan, ledger),
        configurations=len(space.configurations),
        reloads=sum(t.reload_s > 0 for t in ledger.tried),
        spent_s=ledger.spent_s,
        budget_s=ledger.budget_s,
        gain=_gain(standings, decision.candidate),
    )


def _chosen(plan: Plan, ledger: Ledger, tried: list[Configuration]) -> Configuration | None:
    """Of the finalists the best; without any, of those whose rate was found. Who left the finals early is none."""
    if not plan.objective.seeks_rate:
        best = best_at_load(plan, ledger)
        measured_again = [c for c in best if ledger.of(c, "final")] or best
        return next((c for c in tried if measured_again and c.name == measured_again[0].name), None)
    found = [(r, c) for c in tried if (r := _found_rate(plan, ledger, c))]
    most = max((len(ledger.of(c.candidate, "final")) for _, c in found), default=0)
    finalists = [(r, c) for r, c in found if 2 * len(ledger.of(c.candidate, "final")) >= most]
    return max(finalists, key=lambda pair: pair[0])[1] if finalists else None


def _found_rate(plan: Plan, ledger: Ledger, configuration: Configuration) -> float | None:
    if not ledger.of(configuration.candidate, "rate", "final") or over_memory(plan, ledger, configuration.candidate):
        return None
    return sustained_rate(plan, ledger, configuration.candidate)


def _estimate(plan: Plan, ledger: Ledger, configuration: Configuration) -> Estimate | None:
    if _found_rate(plan, ledger, configuration) is None:
        return None
    return sustained_by(rate_windows(ledger, configuration.candidate), plan.bounds)


def _standing(
    plan: Plan, ledger: Ledger, slo: Slo, configuration: Configuration, chosen: Configuration | None
) -> Standing:
    tried = ledger.of(configuration.candidate)
    found = _estimate(plan, ledger, configuration) if plan.objective.seeks_rate else None
    best = _estimate(plan, ledger, chosen) if chosen and plan.objective.seeks_rate else None
    score = None if plan.objective.seeks_rate else plan.objective.score([t for t in tried if t.ask.why != "probe"])
    is_chosen = chosen is not None and chosen.name == configuration.name
    return Standing(
        candidate=configuration.name,
        settings=settings_text(configuration),
        windows=sum(t.ask.why != "probe" for t in tried),
        spent_s=sum(t.spent_s for t in tried),
        rate_per_s=found.rate_per_s if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        score=score,
        reason="chosen" if is_chosen else why_not(plan, ledger, slo, configuration, found, best, score),
    )


def _decision(
    plan: Plan,
    ledger: Ledger,
    space: Space,
    slo: Slo,
    standings: tuple[Standing, ...],
    chosen: Configuration | None,
    device: str,
) -> Decision:
    rejected = tuple(Rejection(candidate=s.candidate, reason=s.reason) for s in standings if s.reason != "chosen")
    here = f" on this {device}" if device else ""
    tail = f" {len(standings)} of {len(space.configurations)} configurations were tried in {ledger.spent_s:.0f} s."
    target = " and ".join(target_text(c) for c in slo.criteria)
    if chosen is None:
        usable = any(is_usable(t) for t in ledger.tried if t.ask.why != "probe")
        outcome: Outcome = "FAIL" if usable else "UNDECIDED"
        nothing = f"UNDECIDED: no configuration was measured within {ledger.budget_s:.0f} s; give it a longer --budget"
        head = f"NO-GO: no configuration that was tried meets {target}" if usable else nothing
        return Decision(
            outcome=outcome,
            sentence=f"{head}{here}.{tail}",
            candidate=None,
            load=None,
            throughput_per_s=None,
            rejected=(*rejected, *space.left_out),
        )
    standing = next(s for s in standings if s.candidate == chosen.name)
    load = _proven_load(ledger, chosen, standing)
    head = f"GO: '{chosen.name}' ({config_text(chosen.candidate.config)}) {_merit(plan, standing)} under {target}{here}"
    return Decision(
        outcome="PASS",
        sentence=f"{head}{_gain_text(standings, chosen.name)}.{_rivals_text(standings, standing)}{tail}",
        candidate=chosen.name,
        load=load,
        throughput_per_s=standing.rate_per_s,
        rejected=(*rejected, *space.left_out),
    )


def _merit(plan: Plan, standing: Standing) -> str:
    if standing.rate_per_s is None:
        return f"has {plan.objective.of_score(standing.score or 0.0)}"
    interval = f"95 % interval {rate_text(standing.low or 0.0)} to {rate_text(standing.high or 0.0)}"
    return f"sustains {plan.objective.of_rate(standing.rate_per_s)} ({interval})"


def _proven_load(ledger: Ledger, chosen: Configuration, standing: Standing) -> Load:
    """The load to rely on: the low end of the interval, or the given one."""
    if standing.low:
        return RequestRate(rate_per_s=standing.low)
    return ledger.of(chosen.candidate)[-1].ask.load


def _gain(standings: tuple[Standing, ...], chosen: str | None) -> float | None:
    rates = {s.candidate: s.rate_per_s for s in standings}
    base, best = rates.get(AS_CONFIGURED), rates.get(chosen or "")
    return best / base if base and best else None


def _gain_text(standings: tuple[Standing, ...], chosen: str) -> str:
    gain = _gain(standings, chosen)
    return f", {gain:.2f} times what is configured" if gain and chosen != AS_CONFIGURED else ""


def _rivals_text(standings: tuple[Standing, ...], chosen: Standing) -> str:
    """Those whose interval holds the chosen rate, which their windows do not tell apart from it."""
    others = [s for s in standings if s.candidate != chosen.candidate and s.low and s.high and chosen.rate_per_s]
    near = [f"'{s.candidate}'" for s in others if (s.high or 0.0) >= (chosen.rate_per_s or 0.0)]
    if not near:
        return ""
    return (
        f" Not told apart from it: {', '.join(near[:MOST_RIVALS])}{' and others' if len(near) > MOST_RIVALS else ''}."
    )


def _trace(plan: Plan, ledger: Ledger) -> tuple[TracePoint, ...]:
    """The trials at a rate in their order; the best is that of the rates found by then."""
    points, at_s, best = [], 0.0, 0.0
    until = Ledger(budget_s=ledger.budget_s)
    for tried in ledger.tried:
        until.tried.append(tried)
        at_s += tried.spent_s
        if not isinstance(tried.ask.load, RequestRate):
            continue
        if tried.ask.why in ("rate", "final"):
            best = max(best, sustained_rate(plan, until, tried.ask.candidate) or 0.0)
        points.append(
            TracePoint(
                at_s=at_s,
                why=tried.ask.why,
                candidate=tried.ask.candidate.name,
                rate_per_s=tried.ask.load.rate_per_s,
                best_per_s=best,
            )
        )
    return tuple(points)
