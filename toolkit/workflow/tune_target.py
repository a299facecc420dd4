"""What `toolkit tune` works on: a PoC folder, built as a run builds it, or a model that lies in a repository.

In: TARGET as it is typed. Out: a Tuning: the repository to serve, the space of configurations, what is sent, and what
to do with the chosen one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from toolkit.environment import environment_here
from toolkit.errors import RepositoryError, UsageError
from toolkit.load.slo import Slo, slo_from_text
from toolkit.poc import FILE as POC_FILE
from toolkit.poc import Poc, read_poc
from toolkit.records import digest_of_value, step, to_data
from toolkit.repository.entry import read_entries
from toolkit.repository.model_config import ModelConfig
from toolkit.repository.pipeline import composing_models
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate
from toolkit.tune.default_ranges import default_ranges
from toolkit.tune.space import Ranges, Space, Variant, space_of
from toolkit.workflow.build import build_all, build_repository, fill_repository, sources_of
from toolkit.workflow.requests import questions_folder, sample_requests
from toolkit.workflow.run import PAYLOADS, subject_of
from toolkit.workflow.runs import Progress, Subject, resumable_run
from toolkit.workflow.sweep import Sweep, target_from_model
from toolkit.workflow.tune_measure import tightest_limit_s
from toolkit.workflow.variants import measured_variants, with_measured


class Wishes(Protocol):
    """What of the command's options concerns the target."""

    @property
    def url(self) -> str | None: ...
    @property
    def samples(self) -> Path | None: ...
    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def accuracy_budget(self) -> float | None: ...
    @property
    def smoke(self) -> bool: ...
    @property
    def settings(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What is tuned. `requests` are made when a server is there; `deliver` writes the chosen repository of a PoC."""

    subject: Subject
    repository: Path
    space: Space
    digests: dict[str, str]
    endpoint: Endpoint | None
    requests: Callable[[Endpoint], tuple[bytes, ...]]
    deliver: Callable[[Path, Candidate], None]


def tuning_of(
    target: str, repository: Path, slo: str | None, wishes: Wishes, *, root: Path, progress: Progress
) -> Tuning:
    """Read TARGET; a PoC is built below `root`, or taken from where it was built before. Raises UsageError."""
    if (Path(target) / POC_FILE).is_file():
        if wishes.url:
            raise UsageError("a PoC is tuned on a server of our own", mend="leave --url out, or name a model")
        poc = read_poc(Path(target), smoke=wishes.smoke, settings=wishes.settings)
        return _of_poc(poc, slo, wishes, root, progress)
    if "/" in target or Path(target).is_dir():
        raise UsageError(f"{target} has no {POC_FILE}", mend="name a folder under pocs/, or a model of --repository")
    return _of_model(target, repository, slo, wishes)


def _of_poc(poc: Poc, slo: str | None, wishes: Wishes, root: Path, progress: Progress) -> Tuning:
    """The PoC exported and written as a repository: by a run of the same PoC, else in a folder that tunings share."""
    sources = sources_of(poc)
    run = resumable_run(root, poc.name, config=to_data(poc.file), models={n: s.sha256 for n, s in sources.items()})
    place = run if run is not None and (run / "repository").is_dir() else root / poc.measured / "built"
    folders = build_all(poc, place, sources, progress)
    repository = build_repository(poc, place, folders, progress)
    questions = questions_folder(poc, folders)
    measured = next(e.config for e in read_entries(repository) if e.name == poc.measured)

    def deliver(run: Path, chosen: Candidate) -> None:
        def fill(folder: Path) -> None:
            fill_repository(poc, folder, folders, chosen=chosen.config)

        step(run, "chosen_repository", {"chosen": chosen, "base": read_entries(repository)}, fill)

    subject = subject_of(poc)
    subject = _retitled(subject, slo_from_text(slo) if slo else poc.slo)
    return Tuning(
        subject=subject,
        repository=repository,
        space=_space_of_poc(poc, place, repository, subject, wishes.accuracy_budget),
        digests=_digests(repository),
        endpoint=None,
        requests=lambda endpoint: sample_requests(poc, questions, PAYLOADS, measured),
        deliver=deliver,
    )


def _of_model(model: str, repository: Path, slo: str | None, wishes: Wishes) -> Tuning:
    entries = {e.name: e for e in read_entries(repository)} if repository.is_dir() else {}
    if model not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise RepositoryError(f"{repository} has no entry '{model}'; there: {known}", mend="toolkit repo list")
    found = slo_from_text(slo) if slo else Slo(criteria=())
    subject = _retitled(_subject_of_model(model, entries[model].config), found)
    spec = Sweep(target=model, url=None, repository=repository, samples=wishes.samples, inputs=wishes.inputs, slo=None)
    return Tuning(
        subject=subject,
        repository=repository,
        space=space_here(repository, subject, {}, wishes.accuracy_budget),
        digests=_digests(repository),
        endpoint=endpoint_from_url(wishes.url) if wishes.url else None,
        requests=lambda endpoint: target_from_model(endpoint, spec, None).requests,
        deliver=lambda run, chosen: None,
    )


def _subject_of_model(model: str, config: ModelConfig) -> Subject:
    return Subject(
        title="",
        family="",
        inference="request",
        measured=model,
        models=(model, *composing_models(config)),
        slo=Slo(criteria=()),
        candidates=(),
        loads=(),
    )


def _retitled(subject: Subject, slo: Slo) -> Subject:
    return replace(subject, title=f"Tuning of {subject.measured}", slo=slo, candidates=(), loads=())


def _space_of_poc(poc: Poc, place: Path, repository: Path, subject: Subject, accuracy_budget: float | None) -> Space:
    """The space with the precisions that the PoC makes, each weighed by the loss that was measured after the export."""
    measured = {n: measured_variants(place, n, spec.export.precisions) for n, spec in poc.file.models.items()}
    variants = {name: found for name, (found, _) in measured.items()}
    space = space_here(repository, subject, poc.file.search.ranges, accuracy_budget, variants)
    rejected = tuple(rejection for _, found in measured.values() for rejection in found)
    return replace(space, left_out=(*space.left_out, *rejected))


def space_here(
    repository: Path,
    subject: Subject,
    ranges: dict[str, Ranges],
    accuracy_budget: float | None,
    variants: Mapping[str, dict[str, Variant]] | None = None,
) -> Space:
    """The space of the measured entry and what it is composed of: by the ranges given, else by defaults.

    `variants` are those that were made and judged, by entry. Defaults vary the models and, of a pipeline, only the
    instances of other steps, or the space would be their product.
    """
    configs = {e.name: e.config for e in read_entries(repository) if e.name in subject.models}
    ensembles = {n: c for n, c in configs.items() if c.is_ensemble}
    entries = {n: configs[n] for n in subject.models if n in configs and n not in ensembles}
    limit_s = tightest_limit_s(subject.slo)
    chosen = {n: ranges[n] for n in entries if n in ranges} if ranges else _defaults(entries, limit_s)
    chosen = {n: with_measured(r, (variants or {}).get(n, {}), named=bool(ranges)) for n, r in chosen.items()}
    return space_of(entries, chosen, accuracy_budget=accuracy_budget, ensembles=ensembles)


def _defaults(entries: dict[str, ModelConfig], limit_s: float | None) -> dict[str, Ranges]:
    here = environment_here()
    found = {n: default_ranges(c, here, limit_s) for n, c in entries.items()}
    if len(entries) == 1:
        return found
    models = [n for n, c in entries.items() if c.backend != "python"]
    return {n: r if n in models else Ranges(instance_count=r.instance_count) for n, r in found.items()}


def _digests(repository: Path) -> dict[str, str]:
    return {e.name: digest_of_value((e.artifact_sha256, e.config)) for e in read_entries(repository)}
