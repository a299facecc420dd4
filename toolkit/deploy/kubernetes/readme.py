"""The README of a Kubernetes bundle: build, apply, verify, roll back, sizes, overlays and what they exclude.

In: a DeploymentSpec and what its templates print. Out: Markdown.
"""

from __future__ import annotations

from typing import Any

from toolkit.deploy.kubernetes.overlays import OVERLAYS, Overlay, components_of, exclusions
from toolkit.deploy.kubernetes.values import PodValues
from toolkit.deploy.observed import is_watched_in
from toolkit.deploy.readme import figure_rows
from toolkit.deploy.rendering import render
from toolkit.deploy.sizing import Setting
from toolkit.deploy.spec import MIB, DeploymentSpec
from toolkit.tune.words import target_text

#: The template, which is not where its text goes.
README = "kubernetes/README.md.j2"
#: The overlay that was chosen: what README.md applies.
CHOSEN = "custom"


def readme(spec: DeploymentSpec, pod: PodValues, chosen: tuple[Overlay, ...]) -> str:
    """The text of README.md."""
    values: dict[str, Any] = {
        "title": spec.title,
        "name": spec.name,
        "toolkit_version": spec.toolkit_version,
        "device": "GPU" if spec.gpu else "CPU",
        "recipe": spec.has_recipe,
        "is_placeholder": spec.registry.endswith(".invalid"),
        "overlay": CHOSEN,
        "components": components_of(chosen),
        "fetches": not {"s3", "gs", "on-prem-pvc"} & {overlay.name for overlay in chosen},
        "criteria": tuple(map(target_text, spec.slo.criteria)),
        "not_alerted": tuple(target_text(c) for c in spec.slo.criteria if not is_watched_in(spec, c)),
        "figures": () if spec.figures is None else figure_rows(spec.figures),
        "measured": spec.is_measured_on_target,
        "sizes": _sizes(pod),
        "overlays": tuple(_row(overlay) for overlay in OVERLAYS),
        "pod": pod,
    }
    return render(README, values)


def _sizes(pod: PodValues) -> tuple[tuple[str, str, str], ...]:
    """Setting, value, where it comes from."""
    settings = pod.settings

    def row(name: str, setting: Setting, unit: str = "", scale: int = 1) -> tuple[str, str, str]:
        return name, f"{setting.value // scale:,} {unit}".rstrip(), setting.note

    return (
        row("replicas", settings.replicas),
        row("replicas at most, with an autoscaler", settings.most_replicas),
        row("memory", settings.memory_bytes, "MiB", MIB),
        row("shared memory, of it", settings.shm_bytes, "MiB", MIB),
        ("CPU request", pod.cpu, f"the cores that run {pod.run_id} had; {pod.mark}"),
        row("start-up allowed", settings.startup_s, "s"),
        row("queue per request, scale above", settings.queue_us, "us"),
        ("batching, instances", "config.pbtxt", f"run {pod.run_id}; {pod.mark}"),
    )


def _row(overlay: Overlay) -> tuple[str, str, str, str]:
    """Name, purpose, what it needs, what it excludes."""
    needs = (overlay.cluster, f"overlay {' or '.join(overlay.needs)}" if overlay.needs else "")
    return (
        overlay.name,
        overlay.purpose,
        "; ".join(filter(None, needs)) or "nothing",
        ", ".join(exclusions(overlay.name)) or "none",
    )
