"""From a PoC to a served repository: models exported, entries written, the whole linted. Steps of a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.artifact import Artifact, read_artifact
from toolkit.errors import RepositoryError
from toolkit.export.export import export
from toolkit.export.spec import ExportSpec
from toolkit.models.source import Source, source_from_path
from toolkit.poc import Poc, merged
from toolkit.records import step
from toolkit.repository.entry import add_artifact, add_step
from toolkit.repository.lint import lint_repository
from toolkit.repository.pipeline import add_pipeline
from toolkit.tensor import tensor_from_text
from toolkit.workflow.runs import Progress


def sources_of(poc: Poc) -> dict[str, Source]:
    """The models of a PoC as data. Naming a `.py` file in poc.yaml is consent to run it."""
    return {name: source_from_path(poc.source_of(name)) for name in poc.file.models}


def export_spec(poc: Poc, model: str) -> ExportSpec:
    """How one model of a PoC is exported."""
    spec = poc.file.models[model]
    return ExportSpec(
        inputs=tuple(tensor_from_text(t) for t in spec.export.inputs),
        samples=poc.folder / spec.samples if spec.samples else None,
        opset=spec.export.opset,
        tolerance=spec.export.tolerance,
        sample_count=spec.export.sample_count,
    )


def export_models(poc: Poc, run: Path, sources: Mapping[str, Source], progress: Progress) -> dict[str, Path]:
    """Export every model into `run/artifacts/<name>`. Returns the artifact folders by model name."""
    folders = {}
    for name, source in sources.items():
        spec = export_spec(poc, name)

        def do(folder: Path, name: str = name, source: Source = source, spec: ExportSpec = spec) -> None:
            progress(f"exporting {name}")
            export(source, spec, folder, name=name, task=poc.family.task)

        folders[name] = step(run, f"artifacts/{name}", {"source": source, "spec": spec}, do)
    return folders


def read_artifacts(run: Path) -> tuple[Artifact, ...]:
    """The artifacts of a run folder, by name."""
    return tuple(read_artifact(p.parent) for p in sorted((run / "artifacts").glob("*/artifact.json")))


def build_repository(poc: Poc, run: Path, artifacts: Mapping[str, Path], progress: Progress) -> Path:
    """Write `run/repository` from the artifacts and the steps of a PoC, and lint it.

    Raises RepositoryError when the linter finds an error.
    """
    digests = {name: read_artifact(folder).sha256 for name, folder in artifacts.items()}
    inputs = {"artifacts": digests, "models": poc.file.models, "steps": poc.file.steps, "pipeline": poc.file.pipeline}

    def do(folder: Path) -> None:
        progress("writing the model repository")
        fill_repository(poc, folder, artifacts)

    repository = step(run, "repository", inputs, do)
    errors = [r for r in lint_repository(repository) if r.severity == "error"]
    if errors:
        text = "; ".join(f"{r.rule} {r.entry}: {r.text}" for r in errors)
        raise RepositoryError(f"{repository}: {text}", mend=errors[0].remedy)
    return repository


def fill_repository(
    poc: Poc,
    repository: Path,
    artifacts: Mapping[str, Path],
    *,
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Write every entry of a PoC into `repository`, with the chosen configuration laid over poc.yaml's."""
    overlay = chosen or {}
    for name, spec in poc.file.models.items():
        config = merged(spec.config, overlay.get(name, {}))
        add_artifact(repository, artifacts[name], name=name, config=config, labels=spec.labels, replace=True)
    for name, step_spec in poc.file.steps.items():
        config = merged(step_spec.config, overlay.get(name, {}))
        parameters = config.pop("parameters", {})
        add_step(repository, step_spec.step, name=name, parameters=parameters, config=config, replace=True)
    if poc.file.pipeline is not None:
        add_pipeline(repository, poc.file.pipeline, replace=True)
