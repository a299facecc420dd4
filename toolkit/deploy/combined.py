"""Several proven models behind one server: their bundles become one, with one model repository.

In: a DeploymentSpec for each use case. Out: a validated Bundle for Docker Compose. Nothing here reads a run folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from toolkit.deploy.alert import Alert
from toolkit.deploy.alerts import alerts_for
from toolkit.deploy.bundle import Bundle, CopiedFile
from toolkit.deploy.compose import compose_bundle
from toolkit.deploy.contents import MODEL_REPOSITORY, figures_mark, kept_folders, lock_json, model_files
from toolkit.deploy.dashboard import dashboard_json, panels_for
from toolkit.deploy.rendering import render
from toolkit.deploy.servers import TRITON
from toolkit.deploy.smoke import smoke_files
from toolkit.deploy.spec import DeploymentSpec, default_memory_bytes
from toolkit.deploy.validate import refuse_unsound, validate_bundle
from toolkit.errors import UsageError
from toolkit.load.slo import Slo, criterion_text
from toolkit.records import to_data, to_json
from toolkit.tune.words import rate_text, target_text

DASHBOARDS = "observability/grafana/dashboards"


def combined_bundle(specs: Sequence[DeploymentSpec], *, name: str, title: str) -> Bundle:
    """One bundle that serves every spec's entries from one repository; of one spec, that spec's own under a new name.

    Raises UsageError where two specs hold different entries of one name, contradict each other in a Python package, or
    name different images; and what `compose_bundle` raises.
    """
    for one, other in combinations(specs, 2):
        _check_together(one, other)
    whole = _whole(specs, name, title)
    base = compose_bundle(whole)
    copies = dict(base.copies) | {path: file for spec in specs for path, file in model_files(spec).items()}
    files: dict[str, str | bytes] = dict(base.files)
    files |= {path: content for spec in specs for path, content in kept_folders(spec).items()}
    del files[f"{DASHBOARDS}/triton.json"]
    alerts = {"alerts": combined_alerts(specs)}
    files |= {
        "README.md": render("combined/README.md.j2", _readme_values(whole, specs)),
        "bundle.lock.json": _lock(whole, specs, copies),
        "observability/prometheus/rules.yml": render("observability/prometheus/rules.yml.j2", alerts),
        "observability/prometheus/rules_test.yml": render("observability/prometheus/rules_test.yml.j2", alerts),
        **{f"{DASHBOARDS}/{spec.slug}.json": _dashboard(spec) for spec in specs},
        **{path: content for spec in specs for path, content in _smoke(spec).items()},
    }
    bundle = Bundle(files=files, copies=copies)
    refuse_unsound(validate_bundle(bundle))
    return bundle


def _check_together(one: DeploymentSpec, other: DeploymentSpec) -> None:
    """Whether one server can hold both."""
    ours, theirs = model_files(one), model_files(other)
    for entry in sorted(set(one.entries) & set(other.entries)):
        if _digests(ours, entry) != _digests(theirs, entry):
            raise UsageError(
                f"{one.name} ({one.run_id}) and {other.name} ({other.run_id}) both hold an entry '{entry}', and they "
                "differ: a model repository has one entry of a name",
                mend="hand them over apart, or give the model another name in one poc.yaml and run that again",
            )
    if one.image != other.image:
        raise UsageError(
            f"{one.name} is for {one.image}, {other.name} for {other.image}", mend="run both with one version"
        )
    for a, b in ((a, b) for a in one.requirements for b in other.requirements):
        if a != b and "==" in a and "==" in b and a.split("==")[0].strip() == b.split("==")[0].strip():
            raise UsageError(f"{one.name} needs {a}, {other.name} needs {b}", mend="hand them over apart")


def _digests(files: dict[str, CopiedFile], entry: str) -> dict[str, str]:
    return {path: f.sha256 for path, f in files.items() if path.startswith(f"{MODEL_REPOSITORY}/{entry}/")}


def _whole(specs: Sequence[DeploymentSpec], name: str, title: str) -> DeploymentSpec:
    """The first spec with the needs of all. The memory limit is again an assumption from what lies on the disk."""
    files = {path: file for spec in specs for path, file in model_files(spec).items()}
    return replace(
        specs[0],
        name=name,
        title=title,
        run_id="+".join(spec.run_id for spec in specs),
        memory_bytes=default_memory_bytes(sum(file.source.stat().st_size for file in files.values())),
        gpu=any(spec.gpu for spec in specs),
        requirements=_each_once(line for spec in specs for line in spec.requirements),
        backends=_each_once(backend for spec in specs for backend in spec.backends),
        cpus=max(spec.cpus for spec in specs),
    )


def _each_once(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(lines)))


def combined_alerts(specs: Sequence[DeploymentSpec]) -> tuple[Alert, ...]:
    """The alerts of every model, and those on all of them once, with the strictest limit that any objective sets."""
    every = Slo(criteria=tuple(c for spec in specs for c in spec.slo.criteria))
    own = {spec.model: alerts_for(spec.model, spec.slo) for spec in specs}
    shared = tuple(
        a for a in alerts_for(specs[0].model, every, gpu=any(s.gpu for s in specs)) if a.labels.get("model") not in own
    )
    return (*shared, *(a for model, alerts in own.items() for a in alerts if a.labels.get("model") == model))


def _dashboard(spec: DeploymentSpec) -> str:
    return dashboard_json(spec.title, spec.slug, panels_for(spec.model, gpu=spec.gpu))


def _smoke(spec: DeploymentSpec) -> dict[str, str | bytes]:
    files = smoke_files(spec.model, spec.smoke, ready=TRITON.ready)
    return {f"smoke/{spec.slug}/{name}": content for name, content in files.items()}


def _lock(whole: DeploymentSpec, specs: Sequence[DeploymentSpec], copies: dict[str, CopiedFile]) -> str:
    """The lock of the whole, and of each use case what was measured."""
    cases = [
        {
            "name": spec.name,
            "title": spec.title,
            "run": spec.run_id,
            "model": spec.model,
            "slo": [{"metric": c.metric, "statistic": c.statistic, "limit": c.limit} for c in spec.slo.criteria],
            "figures": None if spec.figures is None else to_data(spec.figures) | {"mark": figures_mark(spec)},
        }
        for spec in specs
    ]
    return to_json(json.loads(lock_json(whole, copies)) | {"use_cases": cases})


def _readme_values(whole: DeploymentSpec, specs: Sequence[DeploymentSpec]) -> dict[str, Any]:
    return {
        "title": whole.title,
        "toolkit_version": whole.toolkit_version,
        "device": "GPU" if whole.gpu else "CPU",
        "image": whole.image,
        "recipe": whole.has_recipe,
        "memory_mib": whole.memory_bytes // 2**20,
        "cases": [_case(spec) for spec in specs],
        "alerts": combined_alerts(specs),
    }


def _case(spec: DeploymentSpec) -> dict[str, Any]:
    figures = spec.figures
    return {
        "slug": spec.slug,
        "title": spec.title,
        "model": spec.model,
        "run_id": spec.run_id,
        "slo": ",".join(map(criterion_text, spec.slo.criteria)),
        "criteria": "; ".join(map(target_text, spec.slo.criteria)) or "none",
        "outcome": figures.outcome if figures else "not proven",
        "rate": f"{rate_text(figures.throughput_per_s)} requests/s with {figures.load}" if figures else "none",
        "mark": figures_mark(spec),
    }
