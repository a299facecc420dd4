"""`toolkit sweep`: a served model, or the repository of a run, measured at several loads into a run folder.

In: what to send where, the loads, and how they are driven. Out: the run folder and what came of each load. It does not
know how loads are typed (loads.py) or shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit.errors import ServerTrouble, UsageError
from toolkit.export.arrays import read_arrays
from toolkit.families import FAMILIES, family_of_entry
from toolkit.load.drift import Drift
from toolkit.load.loadgen import ScenarioResult
from toolkit.load.loadgen_scenario import Scenario
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo, slo_from_text
from toolkit.load.verdict import Outcome
from toolkit.records import digest_of_value
from toolkit.serve.client import endpoint_from_url, model_config, model_metadata, model_signature
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint, is_on_loopback
from toolkit.tensor import BATCH, Signature, TensorSpec, random_tensor, tensor_from_text
from toolkit.tune.decision import Candidate, Point
from toolkit.workflow.jobs import Job, already_there, do_jobs, trial_jobs
from toolkit.workflow.measure import Driving, drift_key, driving_of
from toolkit.workflow.referee import Engine, referee_for, referee_points, with_referee
from toolkit.workflow.report import decide_run, drift_of, trials_of, write_report
from toolkit.workflow.requests import read_requests, requests_from, write_requests
from toolkit.workflow.runs import (
    MANIFEST,
    Progress,
    Subject,
    finish_run,
    locked,
    new_run,
    read_manifest,
    repository_of,
    resumable_run,
    run_from_text,
)
from toolkit.workflow.scenarios import outcome_with, scenario_job, scenario_of
from toolkit.workflow.served import write_served
from toolkit.workflow.workload import Sent, workload_requests

AS_SERVED = Candidate(name="as-served", config={})
PAYLOADS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What `toolkit sweep` was asked: a run or a model, where it is served, what is sent, and how.

    `drift_check`: of several loads the first is measured again at the end. `resume`: go on with the newest sweep of
    the same model, loads and requests. `scenario`: LoadGen decides what is sent when, and there are no other loads.
    `engine`: who drives each closed loop once more after us, ourselves alone by default.
    """

    target: str
    url: str | None
    repository: Path
    samples: Path | None
    inputs: tuple[str, ...]
    slo: str | None
    driving: Driving = field(default_factory=Driving)
    drift_check: bool = True
    resume: bool = False
    scenario: Scenario | None = None
    engine: Engine = "toolkit"
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is swept: the model with those it is composed of, and the requests sent in rotation."""

    subject: Subject
    requests: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of a sweep: its run folder, its points with their verdicts, and whether the machine kept its pace."""

    run: Path
    points: tuple[Point, ...]
    outcome: Outcome
    drift: Drift | None
    scenario: ScenarioResult | None = None
    referee: tuple[Measurement, ...] = ()


def run_sweep(spec: Sweep, loads: Sequence[Load], *, command: str, root: Path, progress: Progress) -> Swept:
    """Measure what was asked at every load.

    The run folder gets measurements, decision and report; after Ctrl-C, or the death of the server, it keeps every
    point that was finished, and the records of the unfinished one. Raises UsageError for a target that cannot be
    found, ServerTrouble for a server that does not answer or is gone.
    """
    if not loads and spec.scenario is None:
        raise UsageError("there is no load to measure", mend="give --concurrency, --rate, --ramp or --trace")
    referee_for(spec.engine, loads, spec.driving.protocol)
    slo = slo_from_text(spec.slo) if spec.slo else None
    endpoint = endpoint_from_url(spec.url) if spec.url else None
    is_run = spec.target.startswith("latest:") or Path(spec.target, MANIFEST).is_file()
    if is_run and spec.driving.protocol != "http":
        raise UsageError(
            f"{spec.target} keeps its requests as HTTP; they cannot be sent over {spec.driving.protocol}",
            mend="serve its repository, and sweep the model by its name with --url and --samples",
        )
    of_run = target_from_run(run_from_text(spec.target, root), slo) if is_run else None
    with serving(of_run[1] if of_run else spec.repository, endpoint, progress) as server:
        target = of_run[0] if of_run else target_from_model(server, spec, slo)
        spec = replace(spec, driving=driving_of(FAMILIES.get(target.subject.family), spec.driving))
        return _measured(server, target, spec, loads, command=command, root=root, progress=progress)


def _measured(
    endpoint: Endpoint,
    target: Target,
    spec: Sweep,
    loads: Sequence[Load],
    *,
    command: str,
    root: Path,
    progress: Progress,
) -> Swept:
    loads = (spec.scenario.load,) if spec.scenario else tuple(loads)
    subject = replace(target.subject, loads=loads, candidates=(AS_SERVED,), remote=remote_address(endpoint))
    configs = {m: served_config(endpoint, m) for m in subject.models}
    models = {m: digest_of_value(config) for m, config in configs.items()}
    asked = {"loads": loads, "slo": subject.slo, "protocol": spec.driving.protocol, "scenario": spec.scenario}
    run = resumable_run(root, subject.measured, config=asked, models=models) if spec.resume else None
    run = run or new_run(root, subject.measured, command, subject, config=asked, models=models)
    progress(f"run folder: {run}")
    with locked(run):
        write_requests(run / "requests", target.requests, spec.driving.protocol)
        write_served(run, configs)
        try:
            do_jobs(run, _jobs(run, subject, spec, models), already_there(endpoint), None, progress)
        finally:
            decision = decide_run(run)
        progress("writing the report")
        write_report(run)
        finish_run(run)
    points = trials_of(run, read_manifest(run))[0].points
    referee = referee_points(run, loads)
    swept = Swept(run=run, points=points, outcome=decision.outcome, drift=drift_of(run), referee=referee)
    if spec.scenario is None:
        return swept
    result = scenario_of(run, AS_SERVED, spec.scenario)
    return replace(swept, scenario=result, outcome=outcome_with(result, swept.outcome))


def _jobs(run: Path, subject: Subject, spec: Sweep, models: dict[str, str]) -> tuple[Job, ...]:
    """Every load, and of several the first one again at the end; or the scenario."""
    if spec.scenario is not None:
        job = scenario_job(run, subject.models, AS_SERVED, spec.scenario, depends_on=models, driving=spec.driving)
        return (job,)
    jobs = trial_jobs(
        run,
        subject.models,
        run / "requests",
        subject.candidates,
        subject.loads,
        depends_on=models,
        driving=spec.driving,
    )
    referee = referee_for(spec.engine, subject.loads, spec.driving.protocol)
    all_jobs = with_referee(jobs, run, subject.measured, subject.loads, referee) if referee else jobs
    if not spec.drift_check or len(jobs) < 2:
        return tuple(all_jobs)
    again = replace(jobs[0], key=drift_key(subject.loads[0]), text="measuring the first load again, for drift")
    return (*all_jobs, again)


@contextmanager
def serving(repository: Path, endpoint: Endpoint | None, progress: Progress) -> Iterator[Endpoint]:
    """The endpoint that was given, else an embedded Triton on `repository` for as long as the context lasts."""
    if endpoint is not None:
        yield endpoint
        return
    progress(f"starting the embedded Triton on {repository}")
    with serve_embedded(repository) as server:
        yield server.endpoint


def target_from_run(run: Path, slo: Slo | None) -> tuple[Target, Path]:
    """The target of a finished run and the repository to serve: its chosen configuration, its own requests."""
    manifest = read_manifest(run)
    repository = repository_of(run)
    requests = read_requests(run / "requests")
    if repository is None or not requests:
        raise UsageError(f"{run} holds no repository with requests", mend="toolkit run POC --resume finishes it")
    subject = replace(manifest.subject, slo=slo or manifest.subject.slo)
    return Target(subject=subject, requests=requests), repository


def target_from_model(endpoint: Endpoint, spec: Sweep, slo: Slo | None) -> Target:
    """The target that a served model is: requests from the samples given, else seeded from its inputs."""
    config = served_config(endpoint, spec.target)
    steps = config.get("ensemble_scheduling", {}).get("step", ())
    subject = Subject(
        title=f"Sweep of {spec.target}",
        family="",
        inference="request",
        measured=spec.target,
        models=(spec.target, *(s["model_name"] for s in steps)),
        slo=slo or Slo(criteria=()),
        candidates=(),
        loads=(),
    )
    family = family_of_entry(config)
    if family is not None and spec.samples is None and not spec.inputs:
        own = None if spec.url else spec.repository / spec.target / "1"
        protocol = driving_of(family, spec.driving).protocol
        requests = workload_requests(family, config, spec.sent, own=own, protocol=protocol)
        return Target(subject=replace(subject, family=family.name), requests=requests)
    if spec.sent.workload is not None:
        raise UsageError(
            f"{spec.target} does not generate text, so it has no workload", mend="give --samples or --input"
        )
    arrays = read_arrays(spec.samples) if spec.samples else None
    if arrays is None:
        given = tuple(tensor_from_text(t) for t in spec.inputs)
        arrays = seeded_inputs(model_signature(endpoint, spec.target), given, PAYLOADS)
    return Target(subject=subject, requests=requests_from(spec.target, arrays, spec.driving.protocol))


def served_config(endpoint: Endpoint, model: str) -> dict[str, Any]:
    """The ModelConfig of a served model; of a server that has none (KServe v2 but not Triton), its metadata.

    Raises ServerTrouble for a model that is not served.
    """
    metadata = model_metadata(endpoint, model)
    try:
        return model_config(endpoint, model)
    except ServerTrouble:
        return metadata


def remote_address(endpoint: Endpoint) -> str:
    """The address of a server on another machine, empty for one on this machine's loopback."""
    return "" if is_on_loopback(endpoint) else endpoint.http


def seeded_inputs(signature: Signature, given: tuple[TensorSpec, ...], count: int) -> dict[str, Any]:
    """`count` rows for each input: as `given` describes it, else as the served model does.

    Raises UsageError for a free axis other than the batch.
    """
    described = {t.name: t for t in given}
    return {t.name: random_tensor(described.get(t.name, t), {BATCH: count}, seed=0) for t in signature.inputs}
