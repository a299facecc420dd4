"""`toolkit run`: a PoC folder goes in, a run folder with a decision comes out. Every stage is a resumable step.

export -> repository -> serve -> live parity -> trials -> decision -> bundle -> model_repo -> report
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from toolkit.artifact import read_artifact
from toolkit.environment import environment_here
from toolkit.models.source import Source
from toolkit.poc import Poc
from toolkit.records import step, to_data, write_json, write_text
from toolkit.repository.entry import RepositoryEntry, read_entries
from toolkit.repository.pipeline import composing_models
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Candidate, Decision
from toolkit.workflow.build import build_all, build_repository, fill_repository, sources_of
from toolkit.workflow.deploy import deploy_run
from toolkit.workflow.index_recall import measure_recall
from toolkit.workflow.jobs import Job, Watch, do_jobs, embedded, trial_jobs
from toolkit.workflow.live_parity import check_live_parity
from toolkit.workflow.measure import driving_of
from toolkit.workflow.report import decide_run, write_report
from toolkit.workflow.requests import questions_folder, questions_of, sample_requests, write_requests
from toolkit.workflow.roofline import draw_rooflines
from toolkit.workflow.runs import RESOLVED, Progress, Subject, finish_run, locked, new_run, resumable_run
from toolkit.workflow.size import size_poc
from toolkit.workflow.variants import LIVE, chosen_precisions, comparing_of, rejections_of

PAYLOADS = 32


def run_poc(
    poc: Poc,
    *,
    command: str,
    root: Path,
    resume: bool = False,
    publish: Path | None = None,
    progress: Progress = lambda text: None,
    watch: Watch = lambda run: None,
) -> tuple[Path, Decision]:
    """Run every stage of a PoC. Returns the run folder and the decision, whatever its outcome.

    resume: continue the newest run of the same PoC with the same configuration and models, if there is one.
    publish: the model repository that gets the chosen configuration after a PASS.
    watch: called with the run folder after each measured point.
    Raises what the stages raise; whatever was finished by then stays in the run folder.
    """
    run, sources = _opened(poc, command=command, root=root, resume=resume, progress=progress)
    with locked(run):
        folders, repository = _built(poc, run, sources, progress)
        if repository is not None:
            jobs = _jobs(poc, run, repository, folders)
            do_jobs(run, jobs, embedded(repository, run / "triton.log", progress), repository, progress, watch)
            draw_rooflines(run)
        decision = decide_run(run)
        if decision.outcome == "PASS":
            _deliver(poc, run, folders, decision, publish, progress)
        if poc.file.size is not None and decision.candidate is not None:
            size_poc(poc, run, progress)
        progress("writing the report")
        write_report(run)
        finish_run(run)
    return run, decision


def build_poc(
    poc: Poc, *, command: str, root: Path, resume: bool = False, progress: Progress = lambda text: None
) -> tuple[Path, Path | None]:
    """The first stages of a PoC alone: what it exports, and its repository.

    Returns the run folder, which `run_poc` with `resume` goes on in, and the repository; None where the parity of an
    export failed, so that nothing is served. Raises what the stages raise.
    """
    run, sources = _opened(poc, command=command, root=root, resume=resume, progress=progress)
    with locked(run):
        return run, _built(poc, run, sources, progress)[1]


def _opened(poc: Poc, *, command: str, root: Path, resume: bool, progress: Progress) -> tuple[Path, dict[str, Source]]:
    """The run folder, new or gone on with, and the sources of what is built in it."""
    sources = sources_of(poc)
    digests = {name: s.sha256 for name, s in sources.items()}
    config = to_data(poc.file)
    run = resumable_run(root, poc.name, config=config, models=digests) if resume else None
    run = run or new_run(root, poc.name, command, subject_of(poc), config=config, models=digests)
    progress(f"run folder: {run}")
    return run, sources


def _built(poc: Poc, run: Path, sources: dict[str, Source], progress: Progress) -> tuple[dict[str, Path], Path | None]:
    """What was exported and made, by name; and the repository, where every exported model answers as its original."""
    _write_resolved(run, poc)
    folders = build_all(poc, run, sources, progress)
    if any(read_artifact(folders[name]).parity == "failed" for name in poc.file.models):
        return folders, None
    return folders, build_repository(poc, run, folders, progress)


def subject_of(poc: Poc) -> Subject:
    """What a PoC measures, and against which objective."""
    # The statistics of a BLS model hold the whole time of the models that it calls, queues too; an ensemble's do not.
    is_ensemble = poc.file.pipeline is not None and poc.file.pipeline.kind == "ensemble"
    stages = tuple(s.model for s in poc.file.pipeline.steps) if poc.file.pipeline and is_ensemble else ()
    return Subject(
        title=poc.file.title,
        family=poc.family.name,
        inference=poc.family.inference,
        measured=poc.measured,
        models=(poc.measured, *stages),
        slo=poc.slo,
        candidates=poc.candidates,
        loads=poc.file.loads,
    )


def _write_resolved(run: Path, poc: Poc) -> None:
    import yaml

    write_text(run / RESOLVED, yaml.safe_dump(to_data(poc.file), sort_keys=False, allow_unicode=True))


def _jobs(poc: Poc, run: Path, repository: Path, folders: dict[str, Path]) -> tuple[Job, ...]:
    """Live parity under the first configuration, then every candidate at every load."""
    entries, questions = read_entries(repository), questions_folder(poc, folders)
    batching = tuple(e.name for e in entries if _batches(poc, e))
    measured = next(e.config for e in entries if e.name == poc.measured)
    served = [(e.name, e.artifact_sha256, e.config) for e in entries]

    def keep_requests(folder: Path) -> None:
        write_requests(folder, sample_requests(poc, questions, PAYLOADS, measured))

    def parity(candidate: Candidate, endpoint: Endpoint, folder: Path) -> None:
        asked_with = questions_of(poc, questions, measured)
        live = check_live_parity(
            endpoint,
            batching,
            replace(asked_with, comparing=comparing_of(poc, candidate, asked_with.comparing)),
            clients=poc.file.parity.clients,
            tolerance=poc.file.models[poc.model].export.tolerance,
            task=poc.family.task,
        )
        write_json(folder / "live.json", live)

    asked = {"questions": questions.name, "served": served, "workload": poc.file.workload}
    requests = step(run, "requests", asked, keep_requests)
    rejected = {r.candidate for r in rejections_of(run, poc.candidates)}
    standing = tuple(c for c in poc.candidates if c.name not in rejected)
    asked_live = dict(zip(("parity",), standing, strict=False))
    asked_live |= {f"{LIVE}/{c.name}": c for c in standing[1:] if chosen_precisions(c)}
    parities = tuple(
        Job(
            key=key,
            inputs={"served": served, "options": poc.file.parity, "environment": environment_here()},
            text="checking parity through the live server",
            do=partial(parity, candidate),
            candidate=candidate,
        )
        for key, candidate in asked_live.items()
    )
    recalls = tuple(_recall_job(poc, entry, folders, served) for entry in poc.served_indexes)
    subject = subject_of(poc)
    trials = trial_jobs(
        run,
        subject.models,
        requests,
        standing,
        subject.loads,
        depends_on=served,
        driving=driving_of(poc.family),
    )
    return *parities, *recalls, *trials


def _batches(poc: Poc, entry: RepositoryEntry) -> bool:
    """Whether live parity has to see that an entry batched."""
    is_asked = poc.family.asking is not None and entry.name == poc.measured
    return is_asked or (entry.config.max_batch_size > 1 and not composing_models(entry.config))


def _recall_job(poc: Poc, entry: str, folders: dict[str, Path], served: object) -> Job:
    def measure(endpoint: Endpoint, folder: Path) -> None:
        write_json(folder / "recall.json", measure_recall(endpoint, poc, entry, folders))

    return Job(
        key=f"recall/{entry}",
        inputs={"served": served, "options": poc.file.indexes, "environment": environment_here()},
        text=f"comparing {entry} with exact search",
        do=measure,
        candidate=poc.candidates[0],
    )


def _deliver(
    poc: Poc, run: Path, folders: dict[str, Path], decision: Decision, publish: Path | None, progress: Progress
) -> None:
    """After a PASS: the chosen configuration as a repository, published and bundled."""
    chosen = next(c.config for c in poc.candidates if c.name == decision.candidate)

    def fill(folder: Path) -> None:
        fill_repository(poc, folder, folders, chosen=chosen)

    step(run, "chosen_repository", {"chosen": chosen, "base": read_entries(run / "repository")}, fill)
    progress("writing the deployment bundle")
    deploy_run(run, run / "deploy", replace=True)
    if publish is not None:
        progress(f"publishing to {publish}")
        fill_repository(poc, publish, folders, chosen=chosen, keep_versions=True)
