"""The compose target: one machine, Triton and its observability, for `docker compose` and docker-compose 1.29.

In: a DeploymentSpec. Out: a validated Bundle. This module starts nothing and writes nothing.
"""

from __future__ import annotations

import re
from typing import Any

from toolkit.deploy.alerts import alerts_for, is_alerted
from toolkit.deploy.bundle import Bundle
from toolkit.deploy.contents import (
    CHECKED_COMMAND,
    backend_files,
    figures_mark,
    images,
    kept_folders,
    lock_json,
    model_files,
    observability_files,
    recipe_files,
    smoke_test_files,
    start_files,
)
from toolkit.deploy.rendering import render
from toolkit.deploy.spec import MIB, DeploymentSpec, Figures, StreamFigures
from toolkit.deploy.validate import refuse_unsound, validate_bundle
from toolkit.load.slo import criterion_text
from toolkit.tune.words import rate_text, target_text, time_text


def compose_bundle(spec: DeploymentSpec) -> Bundle:
    """The bundle that `docker compose` applies: profiles `serving` and `observability`.

    It is a function of `spec` and of the files it names alone. Raises RepositoryError for a repository that cannot be
    copied, ConfigurationError for a template that cannot be filled or yields a file that its own parser refuses.
    """
    copies = {**model_files(spec), **backend_files(spec)}
    files: dict[str, str | bytes] = {
        "README.md": render("compose/README.md.j2", _readme_values(spec)),
        "bundle.lock.json": lock_json(spec, copies),
        "compose/.env": render("compose/env.j2", {"slug": spec.slug, "compose_files": ":".join(_compose_files(spec))}),
        "compose/docker-compose.yaml": render("compose/docker-compose.yaml.j2", _compose_values(spec)),
        "compose/docker-compose.gpu.yaml": render("compose/docker-compose.gpu.yaml"),
        **kept_folders(spec),
        **observability_files(spec),
        **smoke_test_files(spec),
        **start_files(),
        **recipe_files(spec),
    }
    bundle = Bundle(files=files, copies=copies)
    refuse_unsound(validate_bundle(bundle))
    return bundle


def _compose_files(spec: DeploymentSpec) -> tuple[str, ...]:
    return ("docker-compose.yaml", "docker-compose.gpu.yaml") if spec.gpu else ("docker-compose.yaml",)


def _compose_values(spec: DeploymentSpec) -> dict[str, Any]:
    return {
        "images": images(spec),
        "recipe": f"poc-toolkit/{spec.slug}:{_tag(spec.run_id)}" if spec.has_recipe else "",
        "command": CHECKED_COMMAND,
        "memory": f"{spec.memory_bytes // MIB}m",
        "shared_memory": f"{spec.shm_bytes // MIB}m",
        "labels": {"poc-toolkit.name": spec.name, "poc-toolkit.run": spec.run_id, "poc-toolkit.model": spec.model},
    }


def _tag(run_id: str) -> str:
    """A run id as an image tag: letters, digits and '-', 60 characters at most."""
    return re.sub(r"[^A-Za-z0-9]+", "-", run_id).strip("-")[:60].rstrip("-") or "latest"


def _readme_values(spec: DeploymentSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "name": spec.name,
        "model": spec.model,
        "run_id": spec.run_id,
        "toolkit_version": spec.toolkit_version,
        "device": "GPU" if spec.gpu else "CPU",
        "image": spec.image,
        "recipe": spec.has_recipe,
        "memory_mib": spec.memory_bytes // MIB,
        "shared_memory_mib": spec.shm_bytes // MIB,
        "slo": ",".join(map(criterion_text, spec.slo.criteria)),
        "criteria": tuple(map(target_text, spec.slo.criteria)),
        "not_alerted": tuple(target_text(c) for c in spec.slo.criteria if not is_alerted(c)),
        "alerts": alerts_for(spec.model, spec.slo),
        "figures": () if spec.figures is None else figure_rows(spec.figures),
        "mark": figures_mark(spec),
        "measured": spec.is_measured_on_target,
    }


def figure_rows(figures: Figures) -> tuple[tuple[str, str], ...]:
    """Label and value of each figure, for a README."""
    return (
        ("verdict", figures.outcome),
        ("load", figures.load),
        ("throughput", f"{rate_text(figures.throughput_per_s)} requests/s"),
        ("p99 latency", _time(figures.latency_p99_s)),
        *(() if figures.streams is None else _stream_rows(figures.streams)),
        ("server", figures.server),
        ("device", figures.device),
        ("machine", figures.environment),
    )


def _stream_rows(streams: StreamFigures) -> tuple[tuple[str, str], ...]:
    return (
        ("p99 time to first token", _time(streams.ttft_p99_s)),
        ("p99 time per output token", _time(streams.tpot_p99_s)),
        ("output", f"{rate_text(streams.tokens_per_s)} tokens/s"),
    )


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else time_text(seconds)
