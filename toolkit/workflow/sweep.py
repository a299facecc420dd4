"""`toolkit sweep`: a served model, or the repository of a run, measured at several loads into a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.export.arrays import read_arrays
from toolkit.load.duration import seconds_from_text
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.slo import Slo, slo_from_text
from toolkit.load.verdict import Outcome
from toolkit.records import digest_of_value
from toolkit.serve.client import endpoint_from_url, model_config, model_signature
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.tensor import BATCH, Signature, TensorSpec, random_tensor, tensor_from_text
from toolkit.tune.decision import Candidate, Point
from toolkit.workflow.jobs import already_there, do_jobs, trial_jobs
from toolkit.workflow.report import decide_run, trials_of, write_report
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
    run_from_text,
)

AS_SERVED = Candidate(name="as-served", config={})
PAYLOADS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What `toolkit sweep` was asked: a run or a model, where it is served, and what is sent."""

    target: str
    url: str | None
    repository: Path
    samples: Path | None
    inputs: tuple[str, ...]
    slo: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is swept: the model with those it is composed of, and the requests sent in rotation."""

    subject: Subject
    requests: tuple[bytes, ...]


def closed_loops(concurrency: str, duration: str) -> tuple[Load, ...]:
    """Loads for `1,2,4` and `10s`. Raises UsageError."""
    try:
        clients = [int(n) for n in concurrency.split(",")]
    except ValueError as err:
        raise UsageError(f"--concurrency '{concurrency}' is not a list of numbers", mend="--concurrency 1,2,4") from err
    if min(clients) < 1:
        raise UsageError(f"--concurrency '{concurrency}': a closed loop needs at least one client")
    seconds = seconds_from_text(duration)
    return tuple(Concurrency(clients=n, duration_s=seconds, warmup_s=min(1.0, seconds / 4)) for n in clients)


def run_sweep(
    spec: Sweep, loads: Sequence[Load], *, command: str, root: Path, progress: Progress
) -> tuple[Path, tuple[Point, ...], Outcome]:
    """Measure what was asked at every load. Returns the run folder, its points and the outcome against the SLO.

    The run folder gets measurements, decision and report. Raises UsageError for a target that cannot be found.
    """
    slo = slo_from_text(spec.slo) if spec.slo else None
    endpoint = endpoint_from_url(spec.url) if spec.url else None
    is_run = spec.target.startswith("latest:") or Path(spec.target, MANIFEST).is_file()
    of_run = target_from_run(run_from_text(spec.target, root), slo) if is_run else None
    with serving(of_run[1] if of_run else spec.repository, endpoint, progress) as server:
        target = of_run[0] if of_run else target_from_model(server, spec, slo)
        return _measured(server, target, loads, command=command, root=root, progress=progress)


def _measured(
    endpoint: Endpoint, target: Target, loads: Sequence[Load], *, command: str, root: Path, progress: Progress
) -> tuple[Path, tuple[Point, ...], Outcome]:
    subject = replace(target.subject, loads=tuple(loads), candidates=(AS_SERVED,))
    served = {m: digest_of_value(model_config(endpoint, m)) for m in subject.models}
    run = new_run(root, subject.measured, command, subject, config={"loads": loads, "slo": subject.slo}, models=served)
    progress(f"run folder: {run}")
    with locked(run):
        write_requests(run / "requests", target.requests)
        jobs = trial_jobs(run, subject.models, run / "requests", (AS_SERVED,), loads, depends_on=served)
        do_jobs(run, jobs, already_there(endpoint), None, progress)
        outcome = decide_run(run).outcome
        write_report(run)
        finish_run(run)
    return run, trials_of(run, read_manifest(run))[0].points, outcome


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
    config = model_config(endpoint, spec.target)
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
    arrays = read_arrays(spec.samples) if spec.samples else None
    if arrays is None:
        given = tuple(tensor_from_text(t) for t in spec.inputs)
        arrays = seeded_inputs(model_signature(endpoint, spec.target), given, PAYLOADS)
    return Target(subject=subject, requests=requests_from(spec.target, arrays))


def seeded_inputs(signature: Signature, given: tuple[TensorSpec, ...], count: int) -> dict[str, Any]:
    """`count` rows for each input: as `given` describes it, else as the served model does.

    Raises UsageError for a free axis other than the batch.
    """
    described = {t.name: t for t in given}
    return {t.name: random_tensor(described.get(t.name, t), {BATCH: count}, seed=0) for t in signature.inputs}
