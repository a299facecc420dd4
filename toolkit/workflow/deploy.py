"""`toolkit deploy`: the deployment bundle of a run, from what the run folder holds."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from toolkit.artifact import read_artifact
from toolkit.deploy.bundle import Bundle, write_bundle
from toolkit.deploy.compose import compose_bundle
from toolkit.deploy.kubernetes import has_gpu, kubernetes_bundle
from toolkit.deploy.servers import TRITON, server_named
from toolkit.deploy.sizing import Sizing
from toolkit.deploy.smoke import SmokeGeneration, SmokeRequest
from toolkit.deploy.spec import (
    IMAGE_BACKENDS,
    NO_REGISTRY,
    TRITON_IMAGE,
    DeploymentSpec,
    Figures,
    Target,
    default_memory_bytes,
    requirements_below,
)
from toolkit.deploy.validate import Finding, validate_folder
from toolkit.errors import UsageError
from toolkit.export.parity import Tolerance
from toolkit.poc import Poc, read_resolved
from toolkit.records import files_below, read_json, writing
from toolkit.repository.entry import RepositoryEntry, read_entries
from toolkit.repository.model_config import config_data
from toolkit.serve.backend_directory import OURS
from toolkit.tune.decision import Decision
from toolkit.workflow.deploy_figures import figures_of, figures_of_target
from toolkit.workflow.deploy_llm import LlmWishes, generation, with_llm_server
from toolkit.workflow.report import DECISION
from toolkit.workflow.requests import first_question
from toolkit.workflow.runs import RESOLVED, read_manifest, repository_of

#: A GPU or another build of the runtime rounds differently; a smoke test looks for a wrong model, not for rounding.
SMOKE_TOLERANCE = Tolerance(absolute=1e-3, relative=1e-2)
#: So far apart are the two best logits of a token that rounding on another machine does not exchange them, by the
#: precision of the entry; of the others no token is certain, since their weights are not the original's.
CERTAIN_LOGITS = {"fp32": 1e-2}


#: What makes the bundle of each target.
BUNDLES: dict[str, Callable[[DeploymentSpec], Bundle]] = {
    "compose": compose_bundle,
    "kubernetes": kubernetes_bundle,
    "kserve": kubernetes_bundle,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What `toolkit deploy` was asked. `overlays` and `registry` are for Kubernetes; see DeploymentSpec.

    `measured` is a run of `toolkit sweep` on a deployment of the same model: its figures take the place of the run's.
    """

    target: str = "compose"
    llm: LlmWishes = field(default_factory=LlmWishes)
    overlays: tuple[str, ...] = ()
    registry: str = ""
    allow_unproven: bool = False
    measured: Path | None = None


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
    with tempfile.TemporaryDirectory() as work:
        spec = deployment_spec(run, asked)
        if asked.llm.server != TRITON.name:
            poc = read_resolved(run / RESOLVED, spec.name)
            spec = with_llm_server(spec, asked.llm, poc, run, Path(work))
        bundle = BUNDLES[asked.target](spec)
        if replace:
            with writing(output):
                shutil.rmtree(output, ignore_errors=True)
        write_bundle(bundle, output)
    return validate_folder(output)


def deployment_spec(run: Path, asked: Deployment) -> DeploymentSpec:
    """What is deployed: the chosen configuration of a run, or its base configuration where nothing was chosen."""
    server_named(asked.llm.server, asked.llm.image)
    if asked.target == "kserve" and asked.llm.server != TRITON.name:
        raise UsageError(
            f"--target kserve serves Triton's repositories, and --server {asked.llm.server} is another server",
            mend="--target kubernetes, or compose",
        )
    manifest = read_manifest(run)
    decision = read_json(run / DECISION, Decision)
    if decision.outcome != "PASS" and not asked.allow_unproven:
        raise UsageError(f"{run}: this run is {decision.outcome}, so nothing is proven", mend="add --allow-unproven")
    repository = repository_of(run)
    if repository is None or not (run / RESOLVED).is_file():
        raise UsageError(f"{run} holds no repository to deploy", mend="name a run that `toolkit run` made")
    described = read_entries(repository)
    entries = tuple(e.name for e in described)
    backends = tuple(sorted({e.config.backend for e in described} & _own_backends()))
    brought = (*(repository / entry for entry in entries), *(OURS / backend for backend in backends))
    measured = next(e for e in described if e.name == manifest.subject.measured)
    model_bytes = sum((repository / f).stat().st_size for f in files_below(repository))
    gpu = has_gpu(asked.overlays, measured_on_gpu=manifest.environment.device == "GPU")
    figures, sizing = _figures(run, asked, measured.name, image=TRITON_IMAGE, gpu=gpu)
    return DeploymentSpec(
        name=manifest.name,
        title=manifest.subject.title,
        repository=repository,
        entries=entries,
        model=manifest.subject.measured,
        run_id=run.name,
        slo=manifest.subject.slo,
        figures=figures,
        smoke=_smoke(run, read_resolved(run / RESOLVED, manifest.name), measured),
        memory_bytes=default_memory_bytes(model_bytes),
        gpu=gpu,
        requirements=requirements_below(brought),
        backends=backends,
        cpus=manifest.environment.cores,
        sizing=sizing,
        load=decision.load,
        registry=asked.registry or NO_REGISTRY,
        overlays=asked.overlays,
        target=cast(Target, asked.target),
        image=asked.llm.image if asked.llm.image and asked.llm.server == TRITON.name else TRITON.image,
    )


def _figures(run: Path, asked: Deployment, model: str, *, image: str, gpu: bool) -> tuple[Figures | None, Sizing]:
    """Those of the run, or of what was measured on the target."""
    if asked.measured is None:
        return figures_of(run)
    return figures_of_target(asked.measured, model, image=image, device="GPU" if gpu else "CPU")


def _own_backends() -> set[str]:
    """The backends that come with the toolkit and with no image."""
    return {path.name for path in OURS.iterdir() if (path / "model.py").is_file()} - set(IMAGE_BACKENDS)


def _smoke(run: Path, poc: Poc, entry: RepositoryEntry) -> SmokeRequest | SmokeGeneration:
    """The first question, as a customer would send it, and the answer that the original gives to it."""
    if (asking := poc.family.asking) is not None:
        artifact = run / "artifacts" / poc.model
        answer = asking.certain(artifact, CERTAIN_LOGITS.get(read_artifact(artifact).precision, math.inf))
        return generation(entry.name, config_data(entry.config), answer)
    inputs, expected = first_question(poc, run)
    return SmokeRequest(inputs=inputs, expected=expected, tolerance=SMOKE_TOLERANCE)
