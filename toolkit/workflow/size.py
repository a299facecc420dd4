"""`toolkit size`: a run folder and a demand go in, `plan.json` and a report that holds it come out.

It gathers what the run folder knows (curves, how the models were served, what a replica used) and hands it to
size/capacity.py. `--verify` measures the recommended rate of one replica on the run's own repository.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.families import FAMILIES
from toolkit.load.pattern import Load, RequestRate
from toolkit.load.slo import Criterion, Slo, slo_from_text
from toolkit.poc import Poc
from toolkit.records import files_below, read_json, write_json
from toolkit.size.capacity import plan_of
from toolkit.size.demand import demand_from
from toolkit.size.footprint import Footprint, load_times_s
from toolkit.size.plan import Asked, CapacityPlan, PlanOmitted, Verification
from toolkit.size.prices import EXAMPLE, PriceBook, price_book
from toolkit.tune.decision import Candidate, Decision, Trial, ranked
from toolkit.workflow.build import read_artifacts
from toolkit.workflow.evidence import add_evidence
from toolkit.workflow.measure import (
    ReadPoint,
    configurations,
    driving_of,
    load_changes,
    measure_into,
    read_point,
    read_trials,
)
from toolkit.workflow.report import DECISION, PLAN, PLAN_OMITTED, export_parities, live_parity_of, write_report
from toolkit.workflow.requests import read_requests
from toolkit.workflow.runs import Manifest, Progress, locked, read_manifest, repository_of
from toolkit.workflow.served import configs_of, response_bytes, served_of

VERIFICATION = "verification"


def size_run(
    run: Path,
    asked: Asked,
    *,
    prices: str | None = None,
    slo: str | None = None,
    candidate: str | None = None,
    verify_s: float | None = None,
    progress: Progress = lambda text: None,
) -> CapacityPlan:
    """Make the plan of a run, keep it as `plan.json`, and write the run's report again.

    prices: a price book's path, or `example`. slo: in place of the run's. candidate: in place of the chosen one.
    verify_s: measure the recommended rate of one replica for so long. Raises UsageError where nothing can be sized.
    """
    manifest = read_manifest(run)
    wanted = slo_from_text(slo) if slo else manifest.subject.slo
    progress("simulating the fitted queues")
    book = price_book(prices) if prices else None
    plan, chosen = make_plan(run, manifest, wanted, asked, prices=book, candidate=candidate)
    with locked(run):
        if verify_s is not None:
            plan = replace(plan, verification=_verified(run, manifest, chosen, plan, verify_s, progress))
            add_evidence(run, VERIFICATION)
        write_json(run / PLAN, plan)
        (run / PLAN_OMITTED).unlink(missing_ok=True)
        if (run / DECISION).is_file():
            write_report(run)
    return plan


def size_poc(poc: Poc, run: Path, progress: Progress) -> None:
    """The plan that poc.yaml asks for under `size`, as `plan.json`; where none can be made, why, in its place."""
    options = poc.file.size
    assert options is not None
    progress("planning machines for the demand")
    try:
        trace = poc.folder / options.trace if options.trace else None
        demand = demand_from(options.rate_per_s, trace=trace, growth=options.growth, headroom=options.headroom)
        asked = Asked(demand=demand, headroom=options.headroom, spare=options.spare)
        prices = options.prices if options.prices in (None, EXAMPLE) else str(poc.folder / options.prices)
        book = price_book(prices) if prices else None
        plan, _ = make_plan(run, read_manifest(run), poc.slo, asked, prices=book)
    except UsageError as err:
        write_json(run / PLAN_OMITTED, PlanOmitted(reason=err.message))
        (run / PLAN).unlink(missing_ok=True)
    else:
        write_json(run / PLAN, plan)
        (run / PLAN_OMITTED).unlink(missing_ok=True)


def plan_again(run: Path, plan: CapacityPlan, *, read: ReadPoint) -> CapacityPlan:
    """A plan that was made, made again from the same question with the points as `read` gives them."""
    manifest = read_manifest(run)
    made, _ = make_plan(run, manifest, plan.slo, plan.asked, prices=plan.prices, candidate=plan.candidate, read=read)
    if (found := plan.verification) is None:
        return made
    folder = run / VERIFICATION / found.load.name
    return replace(made, verification=verification_of(folder, found.load, found.criterion, made, read=read))


def make_plan(
    run: Path,
    manifest: Manifest,
    slo: Slo,
    asked: Asked,
    *,
    prices: PriceBook | None = None,
    candidate: str | None = None,
    read: ReadPoint = read_point,
) -> tuple[CapacityPlan, Candidate]:
    """The plan from what a run folder holds, and the configuration that it is of. Nothing is written."""
    trial = _trial(run, manifest, slo, candidate, read)
    configs = configs_of(run, trial.candidate)
    plan = plan_of(
        run.name,
        manifest.subject.measured,
        trial,
        slo,
        served_of(configs, gpus=len(manifest.environment.gpus)),
        footprint_of(run, manifest, trial, configs),
        asked,
        prices=prices,
    )
    return replace(plan, assumptions=(*_reservations(run), *plan.assumptions)), trial.candidate


def _trial(run: Path, manifest: Manifest, slo: Slo, candidate: str | None, read: ReadPoint) -> Trial:
    """The trial to size from: the one named, the chosen one, or the nearest to the SLO. Raises UsageError."""
    subject = manifest.subject
    live, exported = live_parity_of(run), export_parities(run, read_artifacts(run))
    if (live and live.outcome == "FAIL") or any(not p.result.passed for p in exported):
        raise UsageError(f"{run}: the served model does not answer as the original; there is nothing to size")
    trials = read_trials(run, slo, subject.candidates, subject.loads, read=read)
    chosen = read_json(run / DECISION, Decision).candidate if (run / DECISION).is_file() else None
    name = candidate or chosen
    named = [t for t in trials if t.candidate.name == name]
    standing = named or ([] if candidate else [trial for trial, _ in ranked(trials)])
    if not standing:
        known = ", ".join(t.candidate.name for t in trials) or "none"
        raise UsageError(f"{run} has no valid measurement of '{name or 'any configuration'}' (measured: {known})")
    return standing[0]


def _reservations(run: Path) -> tuple[str, ...]:
    """What the run's own decision says against it."""
    if not (run / DECISION).is_file():
        return ()
    decision = read_json(run / DECISION, Decision)
    return () if decision.outcome == "PASS" else (f"The run itself is {decision.outcome}: {decision.sentence}",)


def footprint_of(run: Path, manifest: Manifest, trial: Trial, configs: dict[str, dict[str, object]]) -> Footprint:
    """What one replica was seen to use at the points of a trial."""
    measurements = [p.measurement for p in trial.points]
    repository = repository_of(run)
    log = run / "triton.log"
    answered = response_bytes(configs.get(manifest.subject.measured, {}))
    return Footprint(
        environment=manifest.environment,
        request_bytes=tuple(float(len(r)) for r in read_requests(run / "requests")),
        response_bytes=answered,
        repository_bytes=sum((repository / f).stat().st_size for f in files_below(repository)) if repository else 0,
        memory_bytes=tuple(float(m.server.resident_bytes) for m in measurements if m.server),
        server_cores=tuple(m.server.cpu_share for m in measurements if m.server),
        client_cores=tuple(m.client.cpu_share * m.client.processes for m in measurements if m.client),
        power_w=tuple(sum(g.power_w for g in m.gpus) for m in measurements if m.gpus),
        load_s=load_times_s(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else (),
        shared=not manifest.subject.remote,
    )


def _verified(
    run: Path, manifest: Manifest, candidate: Candidate, plan: CapacityPlan, seconds: float, progress: Progress
) -> Verification:
    """Drive the rate of one replica at the peak, with the spare ones away, on the run's repository here."""
    from toolkit.serve.embedded import serve_embedded

    repository = run / "repository"
    if not (repository.is_dir() and plan.latency_s):
        raise UsageError(f"{run} has no repository or no latency percentile to verify", mend="leave --verify out")
    if environment_here() != manifest.environment:
        raise UsageError(
            "this is not the machine, or not the versions, that the run was measured on; a rate measured here proves "
            "nothing about it",
            mend="run --verify there",
        )
    criterion = next(c for c in plan.slo.criteria if c.quantile == plan.quantile)
    load = RequestRate(rate_per_s=round(plan.at_peak_per_s.high, 3), duration_s=seconds, warmup_s=0.2 * seconds, seed=7)
    folder = run / VERIFICATION / load.name
    progress(f"measuring {load.rate_per_s:,.6g} requests/s for {seconds:g} s on one replica")
    with serve_embedded(repository) as server:
        load_changes(server.endpoint, repository, candidate, configurations(repository))
        measure_into(
            folder,
            server.endpoint,
            manifest.subject.models,
            run / "requests",
            load,
            driving=driving_of(FAMILIES.get(manifest.subject.family)),
            interrupted=run / "interrupted",
        )
    return verification_of(folder, load, criterion, plan)


def verification_of(
    folder: Path, load: Load, criterion: Criterion, plan: CapacityPlan, *, read: ReadPoint = read_point
) -> Verification:
    """The measured point beside what the plan predicted for its rate."""
    point = read(folder, Slo(criteria=(criterion,)), load)
    verdict = point.verdicts[0]
    predicted = plan.busiest_latency_s
    assert predicted is not None
    measured = verdict.measured
    return Verification(
        load=load,
        criterion=criterion,
        predicted_s=predicted,
        measured_s=measured,
        low_s=verdict.low,
        high_s=verdict.high,
        within=measured is not None and predicted.low <= measured <= predicted.high,
        outcome=point.outcome,
    )
