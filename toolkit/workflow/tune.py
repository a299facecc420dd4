"""`toolkit tune`: the configuration of a PoC, or of a model in a repository, that serves an SLO best.

In: what to tune, against which SLO and for which objective, by which method and within which budget. Out: a run folder
with every trial, `tuned.json`, the decision, the chosen configuration and a report. The search is tune/methods.py's;
here it gets a server, a journal and an end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.families import FAMILIES
from toolkit.records import write_json, write_text
from toolkit.repository.config import to_pbtxt, with_overrides
from toolkit.repository.entry import read_entries
from toolkit.tune import methods
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_probe import bound_of
from toolkit.tune.objective import Objective
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ledger, run_search
from toolkit.tune.tuned import Tuned, tuned
from toolkit.workflow.evidence import seal_evidence
from toolkit.workflow.jobs import already_there, embedded
from toolkit.workflow.measure import Driving, driving_of
from toolkit.workflow.report import DECISION, TUNED, write_report
from toolkit.workflow.requests import write_requests
from toolkit.workflow.runs import MANIFEST, Progress, finish_run, locked, new_run, read_manifest, resumable_run
from toolkit.workflow.tune_measure import Bench
from toolkit.workflow.tune_search import Method, bench_of, plan_of, search_from_probes
from toolkit.workflow.tune_target import Tuning, tuning_of
from toolkit.workflow.tune_words import forecast_text, trial_text

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
    space, slo = tuning.space, tuning.subject.slo
    serving = (
        already_there(tuning.endpoint) if tuning.endpoint else embedded(tuning.repository, run / "triton.log", progress)
    )
    plan = plan_of(tuning, asked.objective, budget_s=asked.budget_s, memory_bytes=asked.memory_bytes)
    ledger = Ledger(budget_s=asked.budget_s)
    rates: dict[str, float] = {}

    def after_trial(plan: Plan) -> None:
        watch(run, tuned(plan, ledger, space, slo, method=asked.method, device=environment_here().device))

    try:
        with serving() as endpoint:
            requests = tuning.requests(endpoint)
            driving = driving_of(FAMILIES.get(tuning.subject.family), asked.driving)
            write_requests(run / "requests", requests, driving.protocol)
            bench = bench_of(run, endpoint, tuning, requests, driving)
            progress(forecast_text(space, asked.method, asked.budget_s, plan.window_s))
            plan = search_from_probes(
                plan, ledger, bench, space, method=asked.method, progress=progress, watch=after_trial
            )
            if asked.exhaustive_check:
                rates = _every_rate(run, plan, _for_check(bench), progress)
    except BaseException:
        if ledger.tried:
            _keep(run, plan, ledger, tuning, asked, rates)
        raise
    answer = _keep(run, plan, ledger, tuning, asked, rates)
    finish_run(run)
    return answer


def _for_check(bench: Bench) -> Bench:
    """The same server for another search, whose trials lie below `exhaustive/`."""
    return replace(bench, place="exhaustive/", names=type(bench.names)(), loaded=dict(bench.loaded))


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


def _every_rate(run: Path, plan: Plan, bench: Bench, progress: Progress) -> dict[str, float]:
    """The rate of every configuration, each measured for it. Raises UsageError where the objective is another."""
    if not plan.objective.seeks_rate:
        raise UsageError(f"--exhaustive-check compares rates; the objective is {plan.objective.name}")
    ledger = Ledger(budget_s=float("inf"))
    cost_s = len(plan.ranked) * (1.0 + methods.RATE_WINDOWS * 1.25 * plan.window_s)
    progress(f"--exhaustive-check: {len(plan.ranked)} configurations, about {cost_s / 60:.0f} minutes")

    def after_trial(ledger: Ledger) -> None:
        progress(trial_text(plan, bench.slo, ledger))

    run_search(methods.every_rate(plan, ledger), ledger, bench.measure, after_trial)
    rates = {e.candidate.name: methods.sustained_rate(plan, ledger, e.candidate) or 0.0 for e in plan.ranked}
    write_json(run / "exhaustive.json", {"rates_per_s": rates, "spent_s": ledger.spent_s})
    return rates


def _gap(rates: Mapping[str, float], chosen: str | None) -> float | None:
    """How far the chosen configuration is below the best of all; None where these were not measured, or none holds."""
    best = max(rates.values(), default=0.0)
    return 1 - rates.get(chosen or "", 0.0) / best if best else None
