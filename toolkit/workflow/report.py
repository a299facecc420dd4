"""From a run folder to its decision and its report: everything is read back from the folder, nothing is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from toolkit.artifact import Artifact
from toolkit.errors import ConfigurationError
from toolkit.export.arrays import read_arrays
from toolkit.export.made_arrays import ARRAYS_FILE
from toolkit.export.parity import LiveParity, ParityResult
from toolkit.index.recall import IndexRecall
from toolkit.load.drift import Drift, drift_between
from toolkit.load.slo import Slo
from toolkit.load.verdict import Outcome
from toolkit.poc import read_resolved
from toolkit.records import digest_of_value, read_json, write_json, write_text
from toolkit.report.html import render_html
from toolkit.report.redact import redacted
from toolkit.report.report import BundleOmitted, BundleWritten, ExportParity, PipelineStep, Quality, Report
from toolkit.report.report import write_report as write_report_json
from toolkit.repository.entry import RepositoryEntry, read_entries
from toolkit.repository.pipeline import composing_models
from toolkit.size.plan import CapacityPlan, PlanOmitted
from toolkit.size.roofline import ModelRoofline, Rooflines
from toolkit.tune.decision import Decision, Rejection, Trial, decide
from toolkit.tune.tuned import Tuned
from toolkit.workflow.build import read_artifacts
from toolkit.workflow.evidence import seal_evidence
from toolkit.workflow.measure import MEASUREMENT, ReadPoint, drift_key, read_point, read_trials, trial_key
from toolkit.workflow.runs import RESOLVED, Manifest, read_manifest, utc_now
from toolkit.workflow.variants import live_parity_of_variant, rejections_of

DECISION, PARITY = "decision.json", "parity/live.json"
HTML, SUMMARY = "report.html", "summary.html"
ROOFLINES, TUNED = "rooflines.json", "tuned.json"
PLAN, PLAN_OMITTED = "plan.json", "plan_omitted.json"
COMMANDS = (
    "toolkit report {run}",
    "toolkit audit {run}",
    "toolkit deploy {run} --target compose --output bundle",
)
NOT_SHOWN = {
    "CPU": "How fast a GPU is: every figure comes from a CPU.",
    "shared": "The network between a customer and the server: client and server shared this machine and its cores.",
    "imported": "The machine: the result of another tool was imported, and does not say where it was measured.",
    "remote": "The server's hardware: it ran on another machine, and the one described here drove the load.",
    "sizing": "Sizing and cost: no demand was given, so no replica count or price follows from this run.",
}


def decide_run(run: Path) -> Decision:
    """Judge what a run folder holds and write `decision.json`. Parity outweighs speed: without it nothing passes."""
    seal_evidence(run)
    decision = decision_of(run, read_manifest(run))
    write_json(run / DECISION, decision)
    return decision


def decision_of(run: Path, manifest: Manifest, *, read: ReadPoint = read_point) -> Decision:
    """The decision from what a run folder holds; nothing is written."""
    rejections = rejections_of(run, manifest.subject.candidates)
    out = {rejection.candidate for rejection in rejections}
    trials = tuple(t for t in trials_of(run, manifest, read=read) if t.candidate.name not in out)
    decision = decide(manifest.subject.slo, trials, device=manifest.device)
    decision = replace(decision, rejected=(*decision.rejected, *rejections))
    live = live_parity_of_variant(run, decision.candidate) or live_parity_of(run)
    return parity_weighed(decision, export_parities(run, read_artifacts(run)), live)


def parity_weighed(decision: Decision, exported: tuple[ExportParity, ...], live: LiveParity | None) -> Decision:
    """The decision, turned to FAIL where answers differ and to UNDECIDED where parity could not be proven."""
    failed = [f"{e.artifact}: {e.result.reason}" for e in exported if not e.result.passed]
    if failed:
        return _refused(decision, "FAIL", f"NO-GO: the exported model does not answer as the original ({failed[0]}).")
    if live is not None and live.outcome == "FAIL":
        return _refused(decision, "FAIL", f"NO-GO: the served model does not answer as the original ({live.reason}).")
    if live is not None and live.outcome == "INVALID" and decision.outcome == "PASS":
        return _refused(decision, "UNDECIDED", f"UNDECIDED: parity under batching is unproven ({live.reason}).")
    return decision


def _refused(decision: Decision, outcome: Outcome, sentence: str) -> Decision:
    """The decision without its choice, which joins the rejected."""
    chosen = (Rejection(candidate=decision.candidate, reason=sentence),) if decision.candidate else ()
    return replace(
        decision,
        outcome=outcome,
        sentence=sentence,
        candidate=None,
        load=None,
        throughput_per_s=None,
        rejected=(*chosen, *decision.rejected),
    )


def trials_of(run: Path, manifest: Manifest, *, read: ReadPoint = read_point) -> tuple[Trial, ...]:
    """The trials of a run as its manifest lists them."""
    subject = manifest.subject
    return read_trials(run, subject.slo, subject.candidates, subject.loads, read=read)


def drift_of(run: Path, *, read: ReadPoint = read_point) -> Drift | None:
    """How the first point of a sweep differs from the same one at its end; None where it was not measured again."""
    subject = read_manifest(run).subject
    candidate, load = subject.candidates[0], subject.loads[0]
    first, again = (run / key for key in (trial_key(candidate, load), drift_key(load)))
    if not ((first / MEASUREMENT).is_file() and (again / MEASUREMENT).is_file()):
        return None
    nothing_asked = Slo(criteria=())
    return drift_between(*(read(folder, nothing_asked, load).measurement for folder in (first, again)))


def live_parity_of(run: Path) -> LiveParity | None:
    """The live parity of a run, if it was checked."""
    return read_json(run / PARITY, LiveParity) if (run / PARITY).is_file() else None


def export_parities(run: Path, artifacts: tuple[Artifact, ...]) -> tuple[ExportParity, ...]:
    """The exporter's comparison for each artifact that has one."""
    places = [(a.name, run / "artifacts" / a.name / "parity.json") for a in artifacts]
    return tuple(ExportParity(artifact=n, result=read_json(p, ParityResult)) for n, p in places if p.is_file())


def report_run(run: Path, *, read: ReadPoint = read_point) -> Report:
    """Gather the Report of a run folder, its points by `read`."""
    manifest = read_manifest(run)
    subject, environment = manifest.subject, manifest.environment
    artifacts, live = read_artifacts(run), live_parity_of(run)
    return Report(
        title=subject.title,
        poc=manifest.name,
        family=subject.family,
        run=run.name,
        created=utc_now(),
        environment=environment,
        decision=read_json(run / DECISION, Decision),
        slo=subject.slo,
        trials=trials_of(run, manifest, read=read),
        artifacts=artifacts,
        export_parity=export_parities(run, artifacts),
        live_parity=live,
        drift=drift_of(run, read=read),
        accuracy=live.result.task if live and live.result else None,
        quality=_quality(run),
        index_recall=tuple(read_json(p, IndexRecall) for p in sorted(run.glob("recall/*/recall.json"))),
        pipeline=_pipeline_text(manifest),
        steps=_steps(run, subject.models),
        remote=subject.remote,
        not_shown=tuple(text for key, text in NOT_SHOWN.items() if key not in _not_said(run, manifest)),
        commands=(manifest.command, *(text.format(run=run) for text in COMMANDS)),
        versions={"poc-toolkit": manifest.toolkit_version, "commit": manifest.commit} | environment.packages,
        seeds={"requests": manifest.seed},
        bundle=_bundle(run),
        sizing=plan_in(run),
        rooflines=rooflines_in(run),
        search=read_json(run / TUNED, Tuned).trace if (run / TUNED).is_file() else (),
        evidence_sha256=digest_of_value(manifest.evidence) if manifest.evidence else "",
    )


def rooflines_in(run: Path) -> tuple[ModelRoofline, ...]:
    """The rooflines of a run; empty where none were drawn."""
    return read_json(run / ROOFLINES, Rooflines).models if (run / ROOFLINES).is_file() else ()


def plan_in(run: Path) -> CapacityPlan | PlanOmitted | None:
    """The plan of a run, why it could not be made, or None where none was asked for."""
    if (run / PLAN).is_file():
        return read_json(run / PLAN, CapacityPlan)
    return read_json(run / PLAN_OMITTED, PlanOmitted) if (run / PLAN_OMITTED).is_file() else None


def _quality(run: Path) -> tuple[Quality, ...]:
    """The figures that the data under `quality` in poc.yaml hold: `value` [metrics, systems] with the names of both.

    Raises ConfigurationError for arrays of another form.
    """
    resolved = run / RESOLVED
    name = read_resolved(resolved, run.name).file.quality if resolved.is_file() else None
    file = run / "data" / (name or "") / ARRAYS_FILE
    if name is None or not file.is_file():
        return ()
    arrays = read_arrays(file)
    try:
        metrics, systems = ([str(text) for text in arrays[key]] for key in ("metric", "system"))
        values = arrays["value"].reshape(len(metrics), len(systems)).tolist()
    except (KeyError, ValueError) as err:
        raise ConfigurationError(
            f"poc.yaml: quality: {name} makes {', '.join(arrays)}; expected metric, system and value [metrics, systems]"
        ) from err
    return tuple(
        Quality(metric=m, values=dict(zip(systems, row, strict=True))) for m, row in zip(metrics, values, strict=True)
    )


def _not_said(run: Path, manifest: Manifest) -> set[str]:
    """The keys of NOT_SHOWN that are not true of a run."""
    sized = {"sizing"} if (run / PLAN).is_file() else set()
    if not manifest.environment.is_known:
        return {"CPU", "shared", "remote"} | sized
    here_or_elsewhere = {"CPU", "shared", "imported"} if manifest.subject.remote else {"remote", "imported"}
    return here_or_elsewhere | sized | (set() if manifest.device == "CPU" else {"CPU"})


def write_report(run: Path, output: Path | None = None) -> Path:
    """Write `report.html`, its first page alone as `summary.html`, and `report.json`. Returns the path of the HTML.

    Another `output` has its first page beside it, NAME.summary.html.
    """
    report = report_run(run)
    html = output or run / HTML
    write_report_json(run / "report.json", report)
    write_text(html, render_html(report))
    first_page = html.with_name(f"{html.stem}.summary.html") if output else run / SUMMARY
    write_text(first_page, render_html(report, summary=True))
    return html


def write_redacted(run: Path, output: Path | None, words: tuple[str, ...]) -> Path:
    """Write the report without the customer's names and paths; the run's own report stays as it is."""
    html = output or run / "report.redacted.html"
    report = redacted(report_run(run), words)
    write_text(html, render_html(report))
    write_report_json(html.with_suffix(".json"), report)
    return html


def _bundle(run: Path) -> BundleWritten | BundleOmitted:
    if (run / "deploy").is_dir():
        return BundleWritten(path="deploy")
    return BundleOmitted(reason="a bundle is written after a PASS only; `toolkit deploy RUN --allow-unproven` insists")


def _pipeline_text(manifest: Manifest) -> str:
    subject = manifest.subject
    parts = " -> ".join(subject.models[1:])
    return f"One request of {subject.measured} carries one {subject.inference}" + (f": {parts}" if parts else "")


def _steps(run: Path, models: tuple[str, ...]) -> tuple[PipelineStep, ...]:
    if not (run / "repository").is_dir():
        return ()
    entries = {e.name: e for e in read_entries(run / "repository")}
    return tuple(_step(entries[m], entries) for m in models if m in entries)


def _step(entry: RepositoryEntry, entries: Mapping[str, RepositoryEntry]) -> PipelineStep:
    if composing_models(entry.config):
        backend = entry.config.backend or "ensemble"
        return PipelineStep(name=entry.name, backend=backend, role="the pipeline that a customer calls")
    role = "a preparing step" if entry.config.backend == "python" else "the exported model"
    return PipelineStep(name=entry.name, backend=entry.config.backend, role=role)
