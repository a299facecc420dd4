"""A search on a real server: probes, an order by what they tell, then the method. `toolkit tune` and benchmarks use it.

In: a tuning, a bench that measures, a ledger with the budget. Out: the plan that was followed; the trials stand in the
ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.load.slo import Slo
from toolkit.serve.server import Endpoint
from toolkit.tune import methods
from toolkit.tune.comparison import tpe
from toolkit.tune.expect import expectations, laws_from_probes, order_by_reloads, probing
from toolkit.tune.max_rate_probe import bound_of
from toolkit.tune.objective import Objective
from toolkit.tune.plan import PROBE_SHARE, Expected, Plan, window_for
from toolkit.tune.search import Ledger, Search, run_search
from toolkit.tune.space import AS_CONFIGURED, Space
from toolkit.workflow.measure import Driving
from toolkit.workflow.runs import Progress
from toolkit.workflow.tune_measure import Bench, tightest_limit_s
from toolkit.workflow.tune_target import Tuning
from toolkit.workflow.tune_words import trial_text

Method = Literal["race", "exhaustive", "optuna"]


def bench_of(run: Path, endpoint: Endpoint, tuning: Tuning, requests: tuple[bytes, ...], driving: Driving) -> Bench:
    """The server of a search, which keeps its trials in the run folder."""
    return Bench(
        run=run,
        endpoint=endpoint,
        repository=tuning.repository,
        models=tuning.subject.models,
        requests=requests,
        slo=tuning.subject.slo,
        depends_on=tuning.digests,
        driving=driving,
    )


def plan_of(tuning: Tuning, objective: Objective, *, budget_s: float, memory_bytes: int | None = None) -> Plan:
    """Before anything is probed: in the order of the space."""
    return Plan(
        ranked=tuple(Expected(candidate=c.candidate, rate_per_s=1.0) for c in tuning.space.configurations),
        bounds=tuple(bound_of(c) for c in tuning.subject.slo.criteria),
        objective=objective,
        window_s=window_for(budget_s),
        most_memory_bytes=memory_bytes,
        budget_s=budget_s,
        limit_s=tightest_limit_s(tuning.subject.slo),
    )


def search_from_probes(
    plan: Plan,
    ledger: Ledger,
    bench: Bench,
    space: Space,
    *,
    method: Method,
    progress: Progress,
    watch: Callable[[Plan], None] = lambda plan: None,
) -> Plan:
    """Probe, order, search. Returns the plan that was followed.

    watch: called after each trial of the search with the plan. Raises UsageError for a method that cannot seek the
    plan's objective.
    """
    plan = probed(plan, ledger, bench, space, probe_s=window_for(plan.budget_s, PROBE_SHARE), progress=progress)

    def after_trial(ledger: Ledger) -> None:
        watch(plan)
        progress(trial_text(plan, bench.slo, ledger))

    run_search(_search_by(method, plan, ledger, space), ledger, bench.measure, after_trial)
    return plan


def probed(plan: Plan, ledger: Ledger, bench: Bench, space: Space, *, probe_s: float, progress: Progress) -> Plan:
    """The plan in the order that probes of `probe_s` seconds tell."""
    run_search(
        probing(space, probe_s), ledger, bench.measure, lambda ledger: progress(trial_text(plan, bench.slo, ledger))
    )
    return replace(plan, ranked=_ranked(space, ledger, bench.slo, progress))


def _ranked(space: Space, ledger: Ledger, slo: Slo, progress: Progress) -> tuple[Expected, ...]:
    """The candidates by what the model expects of them after the probes, behind the configured one, the baseline."""
    known = laws_from_probes(space, ledger, cores=environment_here().cores)
    expected = order_by_reloads(expectations(space, known, slo, progress=progress))
    return tuple(sorted(expected, key=lambda e: e.candidate.name != AS_CONFIGURED))


def _search_by(method: Method, plan: Plan, ledger: Ledger, space: Space) -> Search:
    if not plan.objective.seeks_rate:
        if method == "optuna":
            raise UsageError(f"optuna searches rates; the objective is {plan.objective.name}", mend="--method race")
        return methods.at_load(plan, ledger)
    if method == "optuna":
        return tpe(plan, ledger, space)
    return methods.exhaustive(plan, ledger) if method == "exhaustive" else methods.race(plan, ledger)
