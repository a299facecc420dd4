"""`toolkit deploy`: the deployment bundle of a run, from what the run folder holds."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from toolkit.deploy.bundle import Bundle, write_bundle
from toolkit.deploy.compose import compose_bundle
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.smoke import SmokeRequest
from toolkit.deploy.spec import (
    NO_REGISTRY,
    DeploymentSpec,
    Figures,
    Target,
    default_memory_bytes,
    step_requirements,
)
from toolkit.deploy.validate import Finding, validate_folder
from toolkit.environment import package_version
from toolkit.errors import UsageError
from toolkit.export.parity import Tolerance
from toolkit.poc import Poc, read_resolved
from toolkit.records import files_below, read_json, writing
from toolkit.repository.entry import read_entries
from toolkit.tune.decision import Decision
from toolkit.workflow.report import DECISION, trials_of
from toolkit.workflow.requests import first_question
from toolkit.workflow.runs import RESOLVED, Manifest, read_manifest, repository_of

#: A GPU or another build of the runtime rounds differently; a smoke test looks for a wrong model, not for rounding.
SMOKE_TOLERANCE = Tolerance(absolute=1e-3, relative=1e-2)


#: What makes the bundle of each target.
BUNDLES: dict[str, Callable[[DeploymentSpec], Bundle]] = {
    "compose": compose_bundle,
    "kubernetes": kubernetes_bundle,
    "kserve": kubernetes_bundle,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What `toolkit deploy` was asked. `overlays` and `registry` are for Kubernetes; see DeploymentSpec."""

    target: str = "compose"
    overlays: tuple[str, ...] = ()
    registry: str = ""
    allow_unproven: bool = False


def deploy_run(
    run: Path, output: Path, asked: Deployment | None = None, *, replace: bool = False
) -> tuple[Finding, ...]:
    """Write the bundle of a run into `output` and validate what was written. Returns what each validator found.

    asked: compose where nothing was. replace: an earlier bundle in `output` is replaced. Raises UsageError for a run
    that did not pass, unless that is allowed; for a run without a repository, an unknown target or overlay, overlays
    that exclude each other, or an `output` that is not empty.
    """
    asked = asked or Deployment()
    if asked.target not in BUNDLES:
        raise UsageError(f"--target {asked.target} is not known", mend=f"use one of: {', '.join(BUNDLES)}")
    bundle = BUNDLES[asked.target](deployment_spec(run, asked))
    if replace:
        with writing(output):
            shutil.rmtree(output, ignore_errors=True)
    write_bundle(bundle, output)
    return validate_folder(output)


def deployment_spec(run: Path, asked: Deployment) -> DeploymentSpec:
    """What is deployed: the chosen configuration of a run, or its base configuration where nothing was chosen."""
    manifest = read_manifest(run)
    decision = read_json(run / DECISION, Decision)
    if decision.outcome != "PASS" and not asked.allow_unproven:
        raise UsageError(f"{run}: this run is {decision.outcome}, so nothing is proven", mend="add --allow-unproven")
    repository = repository_of(run)
    if repository is None or not (run / RESOLVED).is_file():
        raise UsageError(f"{run} holds no repository to deploy", mend="name a run that `toolkit run` made")
    entries = tuple(e.name for e in read_entries(repository))
    model_bytes = sum((repository / f).stat().st_size for f in files_below(repository))
    return DeploymentSpec(
        name=manifest.name,
        title=manifest.subject.title,
        repository=repository,
        entries=entries,
        model=manifest.subject.measured,
        run_id=run.name,
        slo=manifest.subject.slo,
        figures=_figures(run, manifest, decision),
        smoke=_smoke_request(run, read_resolved(run / RESOLVED, manifest.name)),
        memory_bytes=default_memory_bytes(model_bytes),
        gpu=manifest.environment.device == "GPU",
        requirements=step_requirements(repository, entries),
        cpus=manifest.environment.cores,
        registry=asked.registry or NO_REGISTRY,
        overlays=asked.overlays,
        target=cast(Target, asked.target),
    )


def _figures(run: Path, manifest: Manifest, decision: Decision) -> Figures | None:
    """The figures of the chosen point; None where nothing was chosen."""
    points = [p for t in trials_of(run, manifest) if t.candidate.name == decision.candidate for p in t.points]
    point = next((p for p in points if p.load == decision.load), None)
    if point is None:
        return None
    return Figures(
        throughput_per_s=point.measurement.throughput_per_s,
        latency_p99_s=point.measurement.latency.at(0.99).value_s,
        load=point.load.name,
        outcome=point.outcome,
        environment=manifest.environment.summary(),
        device=manifest.environment.device,
        server=f"embedded Triton of nvidia-pytriton {package_version('nvidia-pytriton')}",
    )


def _smoke_request(run: Path, poc: Poc) -> SmokeRequest:
    """The first question, as a customer would send it, and the answer that the original gives to it."""
    inputs, expected = first_question(poc, run)
    return SmokeRequest(inputs=inputs, expected=expected, tolerance=SMOKE_TOLERANCE)
