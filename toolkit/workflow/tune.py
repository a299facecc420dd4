"""`toolkit tune`: the configuration of a PoC, or of a model in a repository, that serves an SLO best.

In: what to tune, against which SLO and for which objective, by which method and within which budget. Out: a run folder
with every trial, `tuned.json`, the decision, the chosen configuration and a report. The search is tune/methods.py's;
here it gets a server, a journal and an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.families import FAMILIES
from toolkit.load.slo import Slo
from toolkit.records import write_json, write_text
from toolkit.repository.config import to_pbtxt, with_overrides
from toolkit.repository.entry import read_entries
from toolkit.serve.server import Endpoint
from toolkit.tune import methods
from toolkit.tune.comparison import tpe
from toolkit.tune.decision import Candidate
from toolkit.tune.expect import expectations, laws_from_probes, order_by_reloads, probing
from toolkit.tune.max_rate_probe import bound_of
from toolkit.tune.objective import Objective
from toolkit.tune.plan import PROBE_SHARE, Expected, Plan, window_for
from toolkit.tune.search import Ledger, Search, run_search
from toolkit.tune.space import AS_CONFIGURED, Space
from toolkit.tune.tuned import Tuned, tuned
from toolkit.workflow.evidence import seal_evidence
from toolkit.workflow.jobs import already_there, embedded
from toolkit.workflow.measure import Driving, driving_of
from toolkit.workflow.report import DECISION, TUNED, write_report
from toolkit.workflow.requests import write_requests
from toolkit.workflow.runs import MANIFEST, Progress, finish_run, locked, new_run, read_manifest, resumable_run
from toolkit.workflow.tune_measure import Bench, tightest_limit_s
from toolkit.workflow.tune_target import Tuning, tuning_of
from toolkit.workflow.tune_words import forecast_text, trial_text

Method = Literal["race", "exhaustive", "optuna"]
#: Called with the run folder and what its search comes to.
Watch = Callable[[Path, Tuned], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `toolkit tune` was asked. `target`: a PoC folder, or a model of `repository`.

    `accuracy_budget`: what a variant may lose of the task's metric; `memory_bytes`: what the server may take.
    """

    target: str
    slo: str | None
    repository: Path
    objective: Objective
    method: Method = "race"
    budget_s: float = 300.0
    url: str | None = None
    samples: Path | None = None
    inputs: tuple[str, ...] = ()
    memory_bytes: int | None = None
    accuracy_budget: float | None = None
    smoke: bool = False
    settings: tuple[str, ...] = ()
    exhaustive_check: bool = False
    resume: bool = False
    driving: Driving = field(default_factory=Driving)


def run_tune(
    asked: Asked, *, command: str, root: Path, progress: Progress, watch: Watch = lambda run, so_far: None
) -> tuple[Path, Tuned]:
    """Search the best configuration. Returns the run folder and the answer.

    watch: called after each trial with what the search comes to by then.

    After Ctrl-C, or the death of the server, the run folder keeps every finished trial and what they come to; the same
    command with `resume` goes on from there. Raises UsageError for a target or an SLO that makes no sense.
    """
    if not asked.budget_s > 0:
        raise UsageError(f"--budget is {asked.budget_s:g} seconds; expected more than 0", mend="--budget 5m")
    tuning = tuning_of(asked.target, asked.repository, asked.slo, asked, root=root, progress=progress)
    for criterion in tuning.subject.slo.criteria:
        bound_of(criterion)
    if not tuning.subject.slo.criteria:
        raise UsageError("there is no SLO to hold", mend="--slo p99=20ms")
    config = {"tune": replace(asked, resume=False, budget_s=0.0, exhaustive_check=False), "space": tuning.space}
    name, models = tuning.subject.measured, tuning.digests
    run = resumable_run(root, name, config=config, models=models) if asked.resume else None
    run = run or new_run(root, name, command, tuning.subject, config=config, models=models)
    progress(f"run folder: {run}")
    with locked(run):
        return run, _tuned(run, tuning, asked, progress, watch)


def _tuned(run: Path, tuning: Tuning, asked: Asked, progress: Progress, watch: Watch) -> Tuned:
    serving = (
        already_there(tuning.endpoint) if tuning.endpoint else embedded(tuning.repository, run / "triton.log", progress)
    )
    plan = plan_of(tuning, asked.objective, budget_s=asked.budget_s, memory_bytes=asked.memory_bytes)
    ledger = Ledger(budget_s=asked.budget_s)
    rates: dict[str, float] = {}
    try:
        with serving() as endpoint:
            requests = tuning.requests(endpoint)
            driving = driving_of(FAMILIES.get(tuning.subject.family), asked.driving)
            write_requests(run / "requests", requests, driving.protocol)
            bench = bench_of(run, endpoint, tuning, requests, driving)
            plan = _search(plan, ledger, bench, tuning, asked, progress, watch)
            if asked.exhaustive_check:
                rates = _every_rate(run, plan, _for_check(bench), tuning, progress)
    except BaseException:
        if ledger.tried:
            _keep(run, plan, ledger, tuning, asked, rates)
        raise
    answer = _keep(run, plan, ledger, tuning, asked, rates)
    finish_run(run)
    return answer


def bench_of(
    run: Path, endpoint: Endpoint, tuning: Tuning, requests: tuple[bytes, ...], driving: Driving, place: str = ""
) -> Bench:
    """The server of a search, its trials below `place` in the run folder."""
    return Bench(
        run=run,
        endpoint=endpoint,
        repository=tuning.repository,
        models=tuning.subject.models,
        requests=requests,
        slo=tuning.subject.slo,
        depends_on=tuning.digests,
        driving=driving,
        place=place,
    )


def _for_check(bench: Bench) -> Bench:
    """The same server for another search, whose trials lie below `exhaustive/`."""
    return replace(bench, place="exhaustive/", names=type(bench.names)(), loaded=dict(bench.loaded))


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


def _search(
    plan: Plan, ledger: Ledger, bench: Bench, tuning: Tuning, asked: Asked, progress: Progress, watch: Watch
) -> Plan:
    """Probe, order, search. Returns the plan that was followed."""
    space, slo = tuning.space, tuning.subject.slo
    progress(forecast_text(space, asked.method, asked.budget_s, plan.window_s))
    probe_s = window_for(asked.budget_s, PROBE_SHARE)
    run_search(probing(space, probe_s), ledger, bench.measure, _watching(plan, slo, progress))
    plan = replace(plan, ranked=ranked(space, ledger, slo, progress))
    say = _watching(plan, slo, progress)

    def watching(ledger: Ledger) -> None:
        so_far = tuned(plan, ledger, space, slo, method=asked.method, device=environment_here().device)
        watch(bench.run, so_far)
        say(ledger)

    run_search(_method(asked.method, plan, ledger, space), ledger, bench.measure, watching)
    return plan


def ranked(space: Space, ledger: Ledger, slo: Slo, progress: Progress) -> tuple[Expected, ...]:
    """The candidates by what the model expects of them after the probes, behind the configured one, the baseline."""
    known = laws_from_probes(space, ledger, cores=environment_here().cores)
    expected = order_by_reloads(expectations(space, known, slo, progress=progress))
    return tuple(sorted(expected, key=lambda e: e.candidate.name != AS_CONFIGURED))


def _method(method: Method, plan: Plan, ledger: Ledger, space: Space) -> Search:
    if not plan.objective.seeks_rate:
        if method == "optuna":
            raise UsageError(f"optuna searches rates; the objective is {plan.objective.name}", mend="--method race")
        return methods.at_load(plan, ledger)
    if method == "optuna":
        return tpe(plan, ledger, space)
    return methods.exhaustive(plan, ledger) if method == "exhaustive" else methods.race(plan, ledger)


def _watching(plan: Plan, slo: Slo, progress: Progress) -> Callable[[Ledger], None]:
    return lambda ledger: progress(trial_text(plan, slo, ledger))


def _keep(run: Path, plan: Plan, ledger: Ledger, tuning: Tuning, asked: Asked, rates: Mapping[str, float]) -> Tuned:
    """Write what the trials come to: the answer, the decision, the chosen configuration and the report.

    The server has ended by now, so that its log is whole when it is sealed.
    """
    manifest = read_manifest(run)
    answer = tuned(plan, ledger, tuning.space, tuning.subject.slo, method=asked.method, device=manifest.device)
    answer = replace(answer, gap=_gap(rates, answer.decision.candidate))
    write_json(run / TUNED, answer)
    write_json(run / DECISION, answer.decision)
    shown = [s.candidate for s in answer.standings[: 1 if answer.decision.candidate else 4]]
    candidates = tuple(c.candidate for c in tuning.space.configurations if c.name in shown)
    loads = dict.fromkeys(t.ask.load for t in ledger.tried if t.ask.candidate.name in shown)
    subject = replace(manifest.subject, candidates=candidates, loads=tuple(loads))
    write_json(run / MANIFEST, replace(manifest, subject=subject))
    seal_evidence(run)
    if answer.decision.candidate:
        _write_chosen(run, tuning, next(c for c in candidates if c.name == answer.decision.candidate))
    if loads:
        write_report(run)
    return answer


def _write_chosen(run: Path, tuning: Tuning, chosen: Candidate) -> None:
    """`chosen/<entry>/config.pbtxt`, and of a PoC the whole repository with it."""
    for entry in read_entries(tuning.repository):
        config = with_overrides(entry.config, chosen.config.get(entry.name, {}))
        write_text(run / "chosen" / entry.name / "config.pbtxt", to_pbtxt(config))
    tuning.deliver(run, chosen)


def _every_rate(run: Path, plan: Plan, bench: Bench, tuning: Tuning, progress: Progress) -> dict[str, float]:
    """The rate of every configuration, each measured for it. Raises UsageError where the objective is another."""
    if not plan.objective.seeks_rate:
        raise UsageError(f"--exhaustive-check compares rates; the objective is {plan.objective.name}")
    ledger = Ledger(budget_s=float("inf"))
    cost_s = len(plan.ranked) * (1.0 + methods.RATE_WINDOWS * 1.25 * plan.window_s)
    progress(f"--exhaustive-check: {len(plan.ranked)} configurations, about {cost_s / 60:.0f} minutes")
    run_search(methods.every_rate(plan, ledger), ledger, bench.measure, _watching(plan, tuning.subject.slo, progress))
    rates = {e.candidate.name: methods.sustained_rate(plan, ledger, e.candidate) or 0.0 for e in plan.ranked}
    write_json(run / "exhaustive.json", {"rates_per_s": rates, "spent_s": ledger.spent_s})
    return rates


def _gap(rates: Mapping[str, float], chosen: str | None) -> float | None:
    """How far the chosen configuration is below the best of all; None where these were not measured, or none holds."""
    best = max(rates.values(), default=0.0)
    return 1 - rates.get(chosen or "", 0.0) / best if best else None
