"""What a search says while it goes on."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from toolkit.load.slo import slo_from_text
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_probe import Observation, Seen, bound_of
from toolkit.tune.objective import Objective
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ask, Ledger, Tried, rate_load
from toolkit.workflow.tune_words import trial_text

SLO = slo_from_text("p95=50ms")
PLAN = Plan(ranked=(), bounds=tuple(bound_of(c) for c in SLO.criteria), objective=Objective(), budget_s=100.0)
ASK = Ask(candidate=Candidate(name="b8-i1", config={}), load=rate_load(100.0, 1.0, seed=0), why="challenge")
SEEN = Seen(mean=0.01, samples=100, effective_samples=100.0)
TRIED = Tried(
    ask=ASK, observation=Observation(seen=(SEEN,), outcome="PASS", spent_s=2.0), reload_s=1.0, throughput_per_s=99.0
)


@pytest.mark.parametrize(
    ("tried", "text"),
    [
        (TRIED, "p95 ≤ 50 ms kept, 99/s answered"),
        (replace(TRIED, observation=replace(TRIED.observation, seen=(replace(SEEN, mean=0.2),))), "p95 ≤ 50 ms missed"),
        (replace(TRIED, refused="out of memory"), "not loaded: out of memory"),
        (replace(TRIED, observation=replace(TRIED.observation, spoiled="late")), "not usable: late"),
    ],
)
def test_a_trial_in_a_line(tried: Tried, text: str) -> None:
    said = trial_text(PLAN, SLO, Ledger(budget_s=100.0, tried=[tried]))
    assert said.startswith("1. b8-i1: challenge at 100 requests/s offered (poisson): ")
    assert text in said and "97 s left, about 43 trials" in said


def test_without_a_budget_nothing_is_said_of_what_is_left() -> None:
    assert "left" not in trial_text(PLAN, SLO, Ledger(budget_s=math.inf, tried=[TRIED]))
