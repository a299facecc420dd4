"""The compose target: one machine, Triton and its observability, for `docker compose` and docker-compose 1.29.

In: a DeploymentSpec. Out: a validated Bundle. This module starts nothing and writes nothing.
"""

from __future__ import annotations

import re
from typing import Any

from toolkit.deploy.bundle import Bundle
from toolkit.deploy.compose_service import llm_files, service_of
from toolkit.deploy.contents import (
    backend_files,
    images,
    kept_folders,
    lock_json,
    model_files,
    observability_files,
    recipe_files,
    smoke_test_files,
    start_files,
)
from toolkit.deploy.readme import readme
from toolkit.deploy.rendering import render
from toolkit.deploy.spec import MIB, DeploymentSpec
from toolkit.deploy.validate import refuse_unsound, validate_bundle


def compose_bundle(spec: DeploymentSpec) -> Bundle:
    """The bundle that `docker compose` applies: profiles `serving` and `observability`.

    It is a function of `spec` and of the files it names alone. Raises RepositoryError for a repository that cannot be
    copied, ConfigurationError for a template that cannot be filled or yields a file that its own parser refuses.
    """
    copies = {**model_files(spec), **backend_files(spec)}
    files: dict[str, str | bytes] = {
        "README.md": readme(spec),
        "bundle.lock.json": lock_json(spec, copies),
        "compose/.env": render("compose/env.j2", _variables(spec)),
        "compose/docker-compose.yaml": render("compose/docker-compose.yaml.j2", _compose_values(spec)),
        "compose/docker-compose.gpu.yaml": render("compose/docker-compose.gpu.yaml.j2", _devices(spec)),
        **llm_files(spec),
        **kept_folders(spec),
        **observability_files(spec),
        **smoke_test_files(spec),
        **(start_files() if spec.entries else {}),
        **recipe_files(spec),
    }
    bundle = Bundle(files=files, copies=copies)
    refuse_unsound(validate_bundle(bundle))
    return bundle


def _compose_files(spec: DeploymentSpec) -> tuple[str, ...]:
    return ("docker-compose.yaml", "docker-compose.gpu.yaml") if spec.gpu else ("docker-compose.yaml",)


def _compose_values(spec: DeploymentSpec) -> dict[str, Any]:
    return {
        "images": {service if service != spec.server else "server": image for service, image in images(spec).items()},
        "service": service_of(spec),
        "recipe": f"poc-toolkit/{spec.slug}:{_tag(spec.run_id)}" if spec.has_recipe else "",
        "memory": f"{spec.memory_bytes // MIB}m",
        "shared_memory": f"{spec.shm_bytes // MIB}m",
        "labels": {"poc-toolkit.name": spec.name, "poc-toolkit.run": spec.run_id, "poc-toolkit.model": spec.model},
    }


def _variables(spec: DeploymentSpec) -> dict[str, Any]:
    service = service_of(spec)
    return {
        "slug": spec.slug,
        "compose_files": ":".join(_compose_files(spec)),
        "llm": spec.llm is not None,
        "ports": service.ports,
        "variable": service.variable,
    }


def _devices(spec: DeploymentSpec) -> dict[str, Any]:
    return {"service": spec.server, "devices": 1 if spec.llm is None else spec.llm.limits.devices}


def _tag(run_id: str) -> str:
    """A run id as an image tag: letters, digits and '-', 60 characters at most."""
    return re.sub(r"[^A-Za-z0-9]+", "-", run_id).strip("-")[:60].rstrip("-") or "latest"
