"""`toolkit handover`: what several runs decided, as one report and one deployment bundle.

A run that is not there, not finished or not proven is said on the first page and left out of the bundle.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.deploy.bundle import write_bundle
from toolkit.deploy.combined import combined_bundle
from toolkit.deploy.spec import DeploymentSpec
from toolkit.deploy.validate import Finding, validate_folder
from toolkit.errors import ToolkitError, UsageError
from toolkit.records import write_json, write_text, writing
from toolkit.report.handover_page import HandoverPage, render_handover
from toolkit.report.redact import redacted
from toolkit.report.report import Report
from toolkit.workflow.deploy import Deployment, deployment_spec
from toolkit.workflow.report import DECISION, report_run
from toolkit.workflow.runs import RUNS, read_manifest, run_from_text, utc_now

FILE, PAGE, BUNDLE = "handover.json", "handover.html", "bundle"
TITLE = "Handover"

Outcome = Literal["PASS", "FAIL", "UNDECIDED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """What came of one run that was asked for. `outcome` is empty for a run that is missing, and `said` says why."""

    asked: str
    run: str
    title: str
    outcome: str
    said: str
    in_bundle: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What was written below `output`: `page`, and `bundle` where one could be made, else the reason in `no_bundle`."""

    output: Path
    page: Path
    runs: tuple[HandedOver, ...]
    bundle: Path | None
    no_bundle: str
    validation: tuple[Finding, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """PASS where every run is there and passed and the bundle is written, FAIL where one failed."""
        found = {run.outcome for run in self.runs}
        if "FAIL" in found:
            return "FAIL"
        return "PASS" if found == {"PASS"} and self.bundle is not None else "UNDECIDED"


def hand_over(
    asked: Sequence[str],
    output: Path,
    *,
    root: Path = RUNS,
    title: str = TITLE,
    allow_unproven: bool = False,
    redact: bool = False,
    words: tuple[str, ...] = (),
) -> Handover:
    """Write `handover.html`, `handover.json` and `bundle/` of the runs into `output`; an earlier handover is replaced.

    asked: run folders, or `latest:<name>` of `root`. allow_unproven: runs that did not pass go into the bundle, too.
    redact: the report without the customer's names, `words` being further ones; the bundle keeps what it serves.
    Raises UsageError for an `output` that holds something else, and where no run was named.
    """
    if not asked:
        raise UsageError("no run is named", mend="toolkit handover latest:vision latest:llm --output handover")
    _check_free(output)
    found = {text: run_or_reason(text, root) for text in dict.fromkeys(asked)}
    runs = {text: run for text, run in found.items() if isinstance(run, Path)}
    missing = {text: reason for text, reason in found.items() if isinstance(reason, str)}
    with writing(output):
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
    proven, unproven = _proven(runs, allow_unproven)
    bundle, no_bundle = _write_bundle(tuple(proven.values()), output / BUNDLE, title)
    reports = {text: report_run(run) for text, run in runs.items()}
    rows = tuple(
        _row(text, reports.get(text), missing.get(text, ""), text in proven and bundle is not None) for text in found
    )
    page = _page(title, reports, missing, _bundle_lines(rows, no_bundle, unproven), redact=redact, words=words)
    write_text(output / PAGE, render_handover(page))
    handover = Handover(
        output=output,
        page=output / PAGE,
        runs=rows,
        bundle=bundle,
        no_bundle=no_bundle,
        validation=validate_folder(bundle) if bundle else (),
    )
    if not redact:
        write_json(output / FILE, handover)
    return handover


def _check_free(output: Path) -> None:
    """An output that holds something must be an earlier handover."""
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file", mend="give --output a folder")
    if output.is_dir() and any(output.iterdir()) and not (output / PAGE).is_file():
        raise UsageError(f"{output} holds something that is no handover", mend="give --output a new or empty folder")


def run_or_reason(text: str, root: Path) -> Path | str:
    """The run folder, or why there is none to hand over."""
    try:
        run = run_from_text(text, root)
        manifest = read_manifest(run)
    except ToolkitError as err:
        return err.message.replace(f"{root}/", "runs/")  # the report is read on other machines
    if not (run / DECISION).is_file():
        return f"{run.name} was not decided: `{manifest.command}` has not come to its end"
    return run


def _proven(runs: dict[str, Path], allow_unproven: bool) -> tuple[dict[str, DeploymentSpec], dict[str, str]]:
    """What is deployed of the runs that can be, and why the others cannot; two texts for one run are one."""
    proven: dict[str, DeploymentSpec] = {}
    unproven, seen = {}, set[Path]()
    for text, run in runs.items():
        try:
            spec = deployment_spec(run, Deployment(allow_unproven=allow_unproven))
        except ToolkitError as err:
            unproven[text] = err.message
            continue
        if run.resolve() not in seen:
            proven[text] = spec
        seen.add(run.resolve())
    return proven, unproven


def _write_bundle(specs: Sequence[DeploymentSpec], place: Path, title: str) -> tuple[Path | None, str]:
    """The bundle of what is proven, or the reason why there is none."""
    if not specs:
        return None, "no run passed, so nothing is proven that could be deployed"
    try:
        write_bundle(combined_bundle(specs, name="-".join(s.name for s in specs), title=title), place)
    except UsageError as err:
        return None, str(err).replace("\n  mend: ", "; ")
    return place, ""


def _row(text: str, report: Report | None, reason: str, in_bundle: bool) -> HandedOver:
    if report is None:
        return HandedOver(asked=text, run="", title=text, outcome="", said=reason, in_bundle=False)
    decision = report.decision
    outcome = decision.outcome if decision.outcome in ("PASS", "FAIL") else "UNDECIDED"
    return HandedOver(
        asked=text,
        run=report.run,
        title=report.title,
        outcome=outcome,
        said=decision.sentence,
        in_bundle=in_bundle,
    )


def _bundle_lines(rows: tuple[HandedOver, ...], no_bundle: str, unproven: dict[str, str]) -> tuple[str, ...]:
    served = [row.title for row in rows if row.in_bundle]
    first = f"None: {no_bundle}." if no_bundle else f"In {BUNDLE}/ beside this page, for Docker Compose: one Triton "
    if served:
        first += f"with one model repository for {', '.join(served)}. Each was measured alone on the machine."
    return (first, *(f"Not in it: {reason}." for reason in unproven.values()))


def _page(
    title: str,
    reports: dict[str, Report],
    missing: dict[str, str],
    bundle: tuple[str, ...],
    *,
    redact: bool,
    words: tuple[str, ...],
) -> HandoverPage:
    """The page; redacted, a missing run is told by its place alone, and the bundle by its number of use cases."""
    shown = tuple(redacted(r, words) if redact or words else r for r in reports.values())
    absent = tuple(missing.items())
    if redact or words:
        absent = tuple((f"run {n}", "is not there, or was not decided") for n, _ in enumerate(absent, 1))
        bundle = ("It is delivered apart: it holds the names that its server needs.",)
        title = TITLE
    return HandoverPage(title=title, created=utc_now(), reports=shown, missing=absent, bundle=bundle)
