"""The Kubernetes target: templates to a validated Bundle, every overlay rendered from the same values.

In: a DeploymentSpec. Out: a Bundle. This module starts nothing, writes nothing, and knows no overlay by name.
"""

from __future__ import annotations

from toolkit.deploy.bundle import Bundle
from toolkit.deploy.contents import (
    backend_files,
    kept_folders,
    lock_json,
    model_files,
    observability_files,
    recipe_files,
    smoke_test_files,
    start_files,
)
from toolkit.deploy.kubernetes.layout import overlay_path, overlay_text, rendered_files
from toolkit.deploy.kubernetes.llm import llm_bundle
from toolkit.deploy.kubernetes.overlays import OVERLAYS, Overlay, components_of, overlays_from
from toolkit.deploy.kubernetes.readme import CHOSEN, README, readme
from toolkit.deploy.kubernetes.terraform import terraform_files
from toolkit.deploy.kubernetes.values import PodValues, pod_values
from toolkit.deploy.rendering import render, templates_below
from toolkit.deploy.spec import DeploymentSpec
from toolkit.deploy.validate import refuse_unsound, validate_bundle


def kubernetes_bundle(spec: DeploymentSpec) -> Bundle:
    """The bundle that `kubectl apply -k` applies: a base, components, an overlay of each, and the chosen one.

    It is a function of `spec` and of the files it names alone. Raises RepositoryError for a repository that cannot be
    copied, UsageError for overlays that exclude each other, ConfigurationError for a template that cannot be filled or
    yields what its reader would refuse.
    """
    if spec.llm is not None:
        return llm_bundle(spec, spec.llm)
    models, start = model_files(spec), start_files()
    copies = {**models, **backend_files(spec)}
    lock = lock_json(spec, copies)
    model_bytes = sum(copy.source.stat().st_size for copy in models.values())
    chosen = overlays_from(("kserve", *spec.overlays) if spec.target == "kserve" else spec.overlays, gpu=spec.gpu)
    kserve = any(overlay.name == "kserve" for overlay in chosen)
    pod = pod_values(spec, lock, str(start["start/start.py"]), model_bytes, kserve=kserve)
    files: dict[str, str | bytes] = {
        "README.md": readme(spec, pod, chosen),
        "bundle.lock.json": lock,
        **kept_folders(spec),
        **start,
        **kubernetes_files(spec, pod, chosen),
        **observability_files(spec),
        **smoke_test_files(spec),
        **recipe_files(spec),
        **(terraform_files(spec, model_bytes) if spec.gpu else {}),
        ".checkov.yaml": render("checkov.yaml"),
    }
    bundle = Bundle(files=files, copies=copies)
    refuse_unsound(validate_bundle(bundle))
    return bundle


def kubernetes_files(spec: DeploymentSpec, pod: PodValues, chosen: tuple[Overlay, ...]) -> dict[str, str | bytes]:
    """Everything below `kubernetes/` and `cluster/`: the filled templates, the overlays, and what each renders to."""
    wanted = {o.name: overlays_from((o.name,), gpu=spec.gpu) for o in OVERLAYS} | {CHOSEN: chosen}
    files = _filled(pod)
    files |= {overlay_path(name): _overlay(parts) for name, parts in wanted.items()}
    return files | rendered_files(files, wanted)


def _filled(pod: PodValues) -> dict[str, str | bytes]:
    """The templates, filled; those without variables as they are. No smoke job where its request is too large."""
    names = (*templates_below("kubernetes/"), *templates_below("cluster/"))
    left_out = (README, *(() if pod.jobs.smoke else ("kubernetes/smoke/",)))
    return {
        name.removesuffix(".j2"): render(name, {"pod": pod} if name.endswith(".j2") else None)
        for name in names
        if not name.startswith(left_out)
    }


def _overlay(parts: tuple[Overlay, ...]) -> str:
    return overlay_text("; ".join(part.purpose for part in parts) or "the base as it is", components_of(parts))
