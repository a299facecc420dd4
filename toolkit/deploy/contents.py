"""What the bundle of every target holds: the model repository, the lock, observability, the smoke test, the recipe.

In: a DeploymentSpec. Out: texts by their path in the bundle. This module does not know how a target starts servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.deploy.bundle import CopiedFile, empty_folders, repository_files
from toolkit.deploy.dashboard import dashboard_json
from toolkit.deploy.observed import alerts_of, panels_of
from toolkit.deploy.rendering import render
from toolkit.deploy.servers import SERVERS
from toolkit.deploy.sizing import NOT_MEASURED
from toolkit.deploy.smoke import smoke_files
from toolkit.deploy.spec import DeploymentSpec
from toolkit.load.slo import Criterion, criterion_text
from toolkit.records import SCHEMA, to_data, to_json
from toolkit.serve.backend_directory import OURS as OUR_BACKENDS

#: Source: github.com/prometheus/prometheus releases (long-term support) and github.com/grafana/grafana releases.
PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
GRAFANA_IMAGE = "grafana/grafana:12.3.1"

MODEL_REPOSITORY = "model_repository"


def model_files(spec: DeploymentSpec) -> dict[str, CopiedFile]:
    """The files of the deployed entries, by their path in the bundle."""
    files = repository_files(spec.repository, spec.entries)
    return {f"{MODEL_REPOSITORY}/{path}": file for path, file in files.items()}


def backend_files(spec: DeploymentSpec) -> dict[str, CopiedFile]:
    """The files of the backends that the image is given, by their path in the bundle."""
    files = repository_files(OUR_BACKENDS, spec.backends)
    return {f"triton/backends/{path}": file for path, file in files.items()}


def kept_folders(spec: DeploymentSpec) -> dict[str, str | bytes]:
    """A file in each empty folder: Triton needs an ensemble's version, and a copy of the bundle (git, S3) loses it."""
    return {f"{MODEL_REPOSITORY}/{path}/.keep": "" for path in empty_folders(spec.repository, spec.entries)}


def images(spec: DeploymentSpec) -> dict[str, str]:
    """The image of each service, by tag or digest."""
    return {spec.server: spec.image, "prometheus": PROMETHEUS_IMAGE, "grafana": GRAFANA_IMAGE}


def lock_json(spec: DeploymentSpec, copies: Mapping[str, CopiedFile]) -> str:
    """bundle.lock.json: exactly what is deployed, from which run, and the numbers that were used."""
    figures = None if spec.figures is None else to_data(spec.figures) | {"mark": figures_mark(spec)}
    lock: dict[str, Any] = {
        "schema": SCHEMA,
        "toolkit": spec.toolkit_version,
        "name": spec.name,
        "title": spec.title,
        "run": spec.run_id,
        "target": spec.target,
        "model": spec.model,
        "server": spec.server,
        "images": images(spec),
        "requirements": spec.requirements,
        "backends": spec.backends,
        "slo": [_criterion(c) for c in spec.slo.criteria],
        "figures": figures,
        "limits": {"memory_bytes": spec.memory_bytes, "shm_bytes": spec.shm_bytes, "gpu": spec.gpu},
        "files": {path: copied.sha256 for path, copied in sorted(copies.items())},
    }
    return to_json(lock if spec.llm is None else lock | {"llm": to_data(spec.llm)})


def _criterion(criterion: Criterion) -> dict[str, Any]:
    """A criterion in parts, for other programs, and as `--slo` takes it, for ours."""
    parts = {"metric": criterion.metric, "statistic": criterion.statistic, "limit": criterion.limit}
    return parts | {"text": criterion_text(criterion)}


def figures_mark(spec: DeploymentSpec) -> str:
    """What must be said wherever a measured figure stands."""
    return "measured on the target's image and device" if spec.is_measured_on_target else NOT_MEASURED


def observability_files(spec: DeploymentSpec) -> dict[str, str | bytes]:
    """Prometheus' configuration, rules and rule tests; Grafana's provisioning and dashboard."""
    alerts = {"alerts": alerts_of(spec)}
    verbatim = (
        "observability/grafana/provisioning/datasources/prometheus.yaml",
        "observability/grafana/provisioning/dashboards/dashboards.yaml",
    )
    return {
        **{path: render(path) for path in verbatim},
        "observability/prometheus/prometheus.yml": render("observability/prometheus/prometheus.yml.j2", _scraped(spec)),
        "observability/prometheus/rules.yml": render("observability/prometheus/rules.yml.j2", alerts),
        "observability/prometheus/rules_test.yml": render("observability/prometheus/rules_test.yml.j2", alerts),
        f"observability/grafana/dashboards/{spec.server}.json": dashboard_json(
            spec.title, spec.slug, panels_of(spec), tag=spec.server
        ),
    }


def _scraped(spec: DeploymentSpec) -> dict[str, Any]:
    server = SERVERS[spec.server]
    return {"job": server.name, "target": f"{server.name}:{server.port('metrics')}", "path": server.metrics_path}


def smoke_test_files(spec: DeploymentSpec) -> dict[str, str | bytes]:
    """The request, the answer that it must get, and the program that compares."""
    files = smoke_files(spec.model, spec.smoke, ready=SERVERS[spec.server].ready)
    return {f"smoke/{name}": content for name, content in files.items()} | {"smoke/smoke.py": render("smoke/smoke.py")}


def start_files() -> dict[str, str | bytes]:
    """The program that compares the model files with the lock before it becomes Triton."""
    return {"start/start.py": render("start/start.py")}


def recipe_files(spec: DeploymentSpec) -> dict[str, str | bytes]:
    """The image recipe, where the repository needs what the stock image does not have; else nothing."""
    if not spec.has_recipe:
        return {}
    return {
        "triton/Dockerfile": render("triton/Dockerfile.j2", {"image": spec.image, "backends": spec.backends}),
        "triton/requirements.txt": "".join(f"{line}\n" for line in spec.requirements),
    }
