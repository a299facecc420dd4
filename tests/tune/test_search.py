"""The methods of search on a simulated Triton that the model of the batcher does not know: what they find, and cost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
from simulated_triton import SimulatedTriton, Truth
from tuning_grid import recording

from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.slo import slo_from_text
from toolkit.records import from_data, to_data
from toolkit.repository.model_config import (
    ModelConfig,
    ModelDynamicBatching,
    ModelInstanceGroup,
    ModelParameter,
)
from toolkit.tune import methods
from toolkit.tune.comparison import climbed_to, hill_climb, tpe
from toolkit.tune.expect import expectations, laws_from_probes, probe_configurations, probing
from toolkit.tune.max_rate_probe import Observation, bound_of
from toolkit.tune.methods import at_load, exhaustive, race, sustained_rate
from toolkit.tune.objective import Objective
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ask, Ledger, Measure, Search, Tried, run_search
from toolkit.tune.space import AS_CONFIGURED, Ranges, Space, space_of
from toolkit.tune.tuned import Tuned, tuned

SLO = slo_from_text("p95=50ms")
CONFIG = ModelConfig(
    name="net",
    backend="onnxruntime",
    max_batch_size=4,
    instance_group=(ModelInstanceGroup(count=1),),
    dynamic_batching=ModelDynamicBatching(),
    parameters={"intra_op_thread_count": ModelParameter(string_value="1")},
)
RANGES = Ranges(
    max_batch_size=(1, 8, 16),
    instance_count=(1, 2),
    max_queue_delay_microseconds=(0, 5000),
    intra_op_thread_count=(1, 2),
)


@cache
def space() -> Space:
    return space_of({"net": CONFIG}, {"net": RANGES})


def triton(**truth: float) -> SimulatedTriton:
    costs = Truth(**({"fixed_s": 0.002, "row_s": 0.002} | truth))
    return SimulatedTriton(truths={"net": costs}, space=space(), slo=SLO)


def watched(ledger: Ledger) -> None:
    assert ledger.tried


def planned(ledger: Ledger, server: SimulatedTriton, objective: Objective | None = None) -> Plan:
    run_search(probing(space(), 1.0), ledger, server.measure, watched)
    known = laws_from_probes(space(), ledger, cores=2)
    return Plan(
        ranked=expectations(space(), known, SLO),
        bounds=tuple(bound_of(c) for c in SLO.criteria),
        objective=objective or Objective(),
        budget_s=ledger.budget_s,
    )


@cache
def true_rates() -> dict[str, float]:
    """The rate of every configuration by long windows."""
    server, ledger = triton(), Ledger(budget_s=1e9)
    plan = replace(planned(Ledger(budget_s=1e9), server), window_s=8.0)
    run_search(exhaustive(plan, ledger), ledger, server.measure, watched)
    return {c.name: sustained_rate(plan, ledger, c.candidate) or 0.0 for c in space().configurations}


def answer_of(search: str, seed: int, budget_s: float) -> tuple[Tuned, Ledger]:
    server, ledger = triton(), Ledger(budget_s=budget_s)
    plan = planned(ledger, server)
    method = {
        "race": lambda: race(plan, ledger),
        "exhaustive": lambda: exhaustive(plan, ledger),
        "optuna": lambda: tpe(plan, ledger, space(), seed=seed),
    }[search]
    run_search(method(), ledger, lambda ask, number: server.measure(ask, number, salt=seed), watched)
    return tuned(plan, ledger, space(), SLO, method=search, device="CPU"), ledger


@pytest.mark.parametrize(("method", "budget_s"), [("race", 150.0), ("optuna", 250.0), ("exhaustive", 400.0)])
def test_a_method_finds_one_of_the_best_within_its_budget(method: str, budget_s: float) -> None:
    best = max(true_rates().values())
    for seed in range(3):
        answer, ledger = answer_of(method, seed, budget_s)
        assert answer.decision.outcome == "PASS" and answer.decision.candidate
        assert true_rates()[answer.decision.candidate] >= 0.9 * best, answer.decision.sentence
        assert ledger.spent_s <= 1.05 * budget_s


def test_the_race_spends_its_windows_on_the_winners() -> None:
    answer, ledger = answer_of("race", 0, 250.0)
    whys = Counter((t.ask.candidate.name, t.ask.why) for t in ledger.tried)
    names = [s.candidate for s in answer.standings]
    losers = [n for n in names if not whys[n, "rate"] and not whys[n, "final"]]
    assert all(whys[name, "challenge"] <= methods.LOOKS for name in losers)
    assert len(names) < len(space().configurations), "what their neighbours came to speaks against the others"
    finals = [t.ask.candidate.name for t in ledger.tried if t.ask.why == "final"]
    assert finals[0] != finals[1], "the best are measured in turn"
    most = max(Counter(finals).values())
    assert answer.decision.candidate and 2 * finals.count(answer.decision.candidate) >= most


def test_the_race_unlearns_an_order_that_is_wrong() -> None:
    """The model is made to hope too much of two instances; the first that lose speak against the others like them."""
    server, ledger = triton(), Ledger(budget_s=150.0)
    plan = planned(ledger, server)
    hoped = (replace(e, rate_per_s=e.rate_per_s * (1.5 if "-i2-" in e.candidate.name else 1.0)) for e in plan.ranked)
    wrong = tuple(sorted(hoped, key=lambda e: (e.candidate.name != AS_CONFIGURED, -e.rate_per_s)))
    plan = replace(plan, ranked=wrong)
    run_search(race(plan, ledger), ledger, slow_in_pairs(server), watched)
    tried = list(dict.fromkeys(t.ask.candidate.name for t in ledger.tried if t.ask.why in ("rate", "challenge")))
    listed = [e.candidate.name for e in wrong]
    alone_tried, alone_listed = (next(n for n, name in enumerate(names[1:]) if "-i1-" in name)
                                 for names in (tried, listed))  # fmt: skip
    assert alone_tried < alone_listed, "one instance is tried before all of two instances are"
    assert sum("-i2-" in name for name in tried) < sum("-i2-" in name for name in listed)
    assert "-i2-" not in (tuned(plan, ledger, space(), SLO, method="race").decision.candidate or "")


def slow_in_pairs(server: SimulatedTriton) -> Measure:
    """The server, where two instances of a model hinder each other more than anybody expects."""
    hindered = 1.6

    def measure(ask: Ask, number: int) -> Tried:
        if "-i2-" not in ask.candidate.name or not isinstance(ask.load, RequestRate):
            return server.measure(ask, number)
        driven = server.measure(replace(ask, load=replace(ask.load, rate_per_s=hindered * ask.load.rate_per_s)), number)
        return replace(driven, ask=ask, throughput_per_s=driven.throughput_per_s / hindered)

    return measure


def test_the_model_puts_the_best_among_the_first() -> None:
    ledger = Ledger(budget_s=1e9)
    plan = planned(ledger, triton())
    order = [e.candidate.name for e in plan.ranked]
    best = max(true_rates(), key=lambda name: true_rates()[name])
    assert order.index(best) < len(order) / 3
    assert len(probe_configurations(space())) == 3, "one for each thread count, and one with the most instances"
    assert {t.ask.why for t in ledger.tried} == {"probe"}


def test_the_same_answers_give_the_same_search_so_that_a_journal_resumes_it() -> None:
    first, ledger = answer_of("race", 1, 100.0)
    journal = {number: tried for number, tried in enumerate(ledger.tried)}

    def from_journal(ask: Ask, number: int) -> Tried:
        assert journal[number].ask == ask
        return journal[number]

    again = Ledger(budget_s=100.0)
    run_search(probing(space(), 1.0), again, from_journal, watched)
    known = laws_from_probes(space(), again, cores=2)
    plan = Plan(
        ranked=expectations(space(), known, SLO),
        bounds=tuple(bound_of(c) for c in SLO.criteria),
        objective=Objective(),
        budget_s=100.0,
    )
    run_search(race(plan, again), again, from_journal, watched)
    assert tuned(plan, again, space(), SLO, method="race", device="CPU") == first
    assert from_data(Tuned, to_data(first), "tuned.json") == first


def test_an_interrupted_search_keeps_what_it_has() -> None:
    server, ledger = triton(), Ledger(budget_s=200.0)
    plan = planned(ledger, server)

    def stops(ask: Ask, number: int) -> Tried:
        if number > 14:
            raise KeyboardInterrupt
        return server.measure(ask, number)

    with pytest.raises(KeyboardInterrupt):
        run_search(race(plan, ledger), ledger, stops, watched)
    assert len(ledger.tried) == 15
    assert tuned(plan, ledger, space(), SLO, method="race").decision.outcome == "PASS"


def test_a_configuration_that_the_server_refuses_is_rejected_with_its_reason() -> None:
    server, ledger = triton(), Ledger(budget_s=120.0)

    def refuses(ask: Ask, number: int) -> Tried:
        if "-i2-" in ask.candidate.name:
            empty = Observation(seen=(), outcome="INVALID", spent_s=0.0)
            return Tried(ask=ask, observation=empty, reload_s=0.5, refused="out of memory")
        return server.measure(ask, number)

    plan = planned(ledger, server)
    run_search(race(plan, ledger), ledger, refuses, watched)
    answer = tuned(plan, ledger, space(), SLO, method="race")
    reasons = {r.candidate: r.reason for r in answer.decision.rejected}
    refused = [n for n in reasons if "-i2-" in n]
    assert refused and all(reasons[n] == "the server did not load it: out of memory" for n in refused)
    assert "-i2-" not in (answer.decision.candidate or "")


def test_a_limit_of_memory_is_kept() -> None:
    server, ledger = triton(), Ledger(budget_s=150.0)

    def measured(ask: Ask, number: int) -> Tried:
        count = 2 if "-i2-" in ask.candidate.name else 1
        return replace(server.measure(ask, number), memory_bytes=count << 30)

    plan = replace(planned(ledger, server), most_memory_bytes=3 << 29)
    run_search(race(plan, ledger), ledger, measured, watched)
    answer = tuned(plan, ledger, space(), SLO, method="race")
    assert "-i2-" not in (answer.decision.candidate or "")
    assert any(r.reason == "takes 2,048 MiB; the limit is 1,536 MiB" for r in answer.decision.rejected)


def test_an_slo_below_the_service_time_is_a_no_go() -> None:
    server, ledger = triton(fixed_s=0.2), Ledger(budget_s=60.0)
    plan = planned(ledger, server)
    run_search(exhaustive(plan, ledger), ledger, server.measure, watched)
    answer = tuned(plan, ledger, space(), SLO, method="exhaustive")
    assert answer.decision.outcome in ("FAIL", "UNDECIDED") and answer.decision.candidate is None
    assert answer.decision.sentence.startswith(("NO-GO", "UNDECIDED"))


def test_nothing_measured_is_undecided() -> None:
    plan = Plan(ranked=(), bounds=(), objective=Objective())
    answer = tuned(plan, Ledger(budget_s=1.0), space(), SLO, method="race")
    assert answer.decision.outcome == "UNDECIDED"


def test_the_best_latency_at_a_given_load_is_not_the_best_rate() -> None:
    objective = Objective(name="latency", rate_per_s=10.0)
    server, ledger = triton(row_s=0.010), Ledger(budget_s=400.0)
    plan = planned(ledger, server, objective)
    run_search(at_load(plan, ledger), ledger, server.measure, watched)
    answer = tuned(plan, ledger, space(), SLO, method="race")
    chosen = next(c for c in space().configurations if c.name == answer.decision.candidate).settings["net"]
    assert chosen.threads == 2 and chosen.delay_us == 0, "threads shorten an execution, a delay lengthens the queue"
    loads = {t.ask.load for t in ledger.tried if t.ask.why != "probe"}
    assert len(loads) == 1 and isinstance(next(iter(loads)), RequestRate)
    assert "has a tail of" in answer.decision.sentence


def test_the_quick_search_rule_climbs_by_closed_loops_alone() -> None:
    server, ledger = triton(), Ledger(budget_s=200.0)
    plan = planned(Ledger(budget_s=200.0), server)
    run_search(hill_climb(plan, ledger, space()), ledger, server.measure, watched)
    assert all(isinstance(t.ask.load, Concurrency) for t in ledger.tried)
    assert climbed_to(plan, ledger) is not None
    sizes = [t.ask.load.clients for t in ledger.tried if isinstance(t.ask.load, Concurrency)]
    assert sizes[0] == 2, "2 x max_batch_size x instances of the smallest"


def test_a_grid_is_recorded_by_the_same_loop() -> None:
    server, ledger = triton(), Ledger(budget_s=1e9)
    plan = planned(Ledger(budget_s=1e9), server)
    few = replace(space(), configurations=space().configurations[:3])
    search: Search = recording(plan, ledger, few)
    run_search(search, ledger, server.measure, watched)
    names = Counter(t.ask.candidate.name for t in ledger.tried if t.ask.why == "load")
    assert names == {c.name: 12 for c in few.configurations}
    assert AS_CONFIGURED in names
