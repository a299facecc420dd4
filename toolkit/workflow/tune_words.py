"""What a search says while it goes on. Pure: values in, text out."""

from __future__ import annotations

import math

from toolkit.load.duration import seconds_text
from toolkit.load.slo import Slo
from toolkit.tune.evidence import holds_on_average
from toolkit.tune.methods import LOOKS, RATE_WINDOWS
from toolkit.tune.plan import Plan
from toolkit.tune.search import WARMUP_SHARE, Ledger
from toolkit.tune.space import Space
from toolkit.tune.words import target_text, under_text

ABOUT = {"rate": "looking for its rate", "challenge": "challenge", "final": "again", "probe": "probe", "load": "look"}


def forecast_text(space: Space, method: str, budget_s: float, window_s: float) -> str:
    """Before anything is measured: how many configurations there are, and how many the budget is about enough for."""
    per_window_s = 1.5 + (1 + WARMUP_SHARE) * window_s
    windows = (RATE_WINDOWS + LOOKS) / 2 if method != "race" else 1.2
    enough = max(1, int(0.7 * budget_s / (per_window_s * windows)))
    left = ", ".join(f"{r.candidate} ({r.reason})" for r in space.left_out)
    return (
        f"{len(space.configurations)} configurations; {seconds_text(budget_s)} are enough for about "
        f"{min(enough, len(space.configurations))} of them by {method}{f'; left out: {left}' if left else ''}"
    )


def trial_text(plan: Plan, slo: Slo, ledger: Ledger) -> str:
    """The trial that has just ended, and what is left."""
    last = ledger.tried[-1]
    if last.refused:
        found = f"not loaded: {last.refused}"
    elif last.observation.spoiled:
        found = f"not usable: {last.observation.spoiled}"
    else:
        kept = holds_on_average((last,), plan.bounds)
        target = " and ".join(target_text(c) for c in slo.criteria)
        found = f"{target} {'kept' if kept else 'missed'}, {last.throughput_per_s:,.0f}/s answered"
    left = "" if math.isinf(ledger.budget_s) else _left_text(plan, ledger)
    what = f"{last.ask.candidate.name}: {ABOUT[last.ask.why]} at {under_text(last.ask.load)}"
    return f"{len(ledger.tried)}. {what}: {found}{left}"


def _left_text(plan: Plan, ledger: Ledger) -> str:
    left_s = max(0.0, ledger.left_s)
    return f"; {left_s:.0f} s left, about {int(left_s / max(plan.cost_s(ledger, 1e6), 0.1))} trials"
