"""`toolkit audit`: every figure of a run's report computed again from its records, and compared to the last digit.

In: a run folder. Out: an Audit: which files of evidence were altered, and where report.json or report.html say another
thing than the evidence. `measurement.json`, `decision.json` and `plan.json` are not trusted for any figure: points come
from records.npz and observation.json, the decision and the plan from the points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit import __version__
from toolkit.errors import ConfigurationError, UsageError
from toolkit.records import SCHEMA, from_data, read_json, to_data
from toolkit.report.html import render_html
from toolkit.report.report import FILE, Report, read_report
from toolkit.size.plan import CapacityPlan
from toolkit.tune.decision import Decision
from toolkit.tune.max_rate import MaxRate
from toolkit.tune.tuned import Tuned
from toolkit.workflow.evidence import altered_evidence
from toolkit.workflow.max_rate import FILE as MAX_RATE
from toolkit.workflow.max_rate import rate_decision
from toolkit.workflow.measure import MEASUREMENT, OBSERVATION, computed_point
from toolkit.workflow.report import HTML, SUMMARY, TUNED, decision_of, report_run
from toolkit.workflow.runs import Manifest, read_manifest
from toolkit.workflow.size import plan_again

#: Of an HTML page, so many characters on both sides of the first difference are shown.
CONTEXT = 40
MOST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A place where the report says `reported` and the evidence `computed`."""

    where: str
    reported: str
    computed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What came of an audit. `figures` numbers of the report were compared, `files` of evidence hashed.

    `taken` names what does not follow from request records: it was taken from sealed files as it stands there.
    """

    run: str
    passed: bool
    points: int
    figures: int
    files: int
    altered: dict[str, str]
    differences: tuple[Difference, ...]
    taken: tuple[str, ...]


def audit_run(run: Path) -> Audit:
    """Compute the report of a run again and compare. Raises ConfigurationError for a run that cannot be audited."""
    manifest = read_manifest(run)
    altered = altered_evidence(run)
    _check_records(run)
    reported = _document(run / FILE)
    computed = computed_report(run, manifest, read_report(run / FILE))
    data = json.loads(json.dumps({"schema": SCHEMA} | to_data(computed)))
    differences = [
        *_differences(reported, data, FILE),
        *_html_differences(run / HTML, render_html(computed), computed),
        *_html_differences(run / SUMMARY, render_html(computed, summary=True), computed),
    ]
    return Audit(
        run=run.name,
        passed=not altered and not differences,
        points=len(computed.measurements),
        figures=sum(1 for _ in _numbers(data)),
        files=len(manifest.evidence),
        altered=altered,
        differences=tuple(differences),
        taken=_taken(run, computed),
    )


def computed_report(run: Path, manifest: Manifest, reported: Report) -> Report:
    """The report as the evidence has it.

    Of what was reported only what is no result is used: the moment, the commands, and what the plan was asked.
    """
    report = report_run(run, read=computed_point)
    sizing = reported.sizing
    if isinstance(sizing, CapacityPlan):
        sizing = plan_again(run, sizing, read=computed_point)
    report = replace(report, created=reported.created, commands=reported.commands)
    report = replace(report, decision=_decision(run, manifest), sizing=sizing)
    # As it is read back from a file, where a whole number in the place of a fraction has become one.
    return from_data(Report, to_data(report), FILE)


def _decision(run: Path, manifest: Manifest) -> Decision:
    """From the points; what a search concludes from its trials stands in a sealed file of its own."""
    if (run / MAX_RATE).is_file():
        return rate_decision(read_json(run / MAX_RATE, MaxRate), manifest.subject.loads)
    if (run / TUNED).is_file():
        return read_json(run / TUNED, Tuned).decision
    return decision_of(run, manifest, read=computed_point)


def _check_records(run: Path) -> None:
    """Whether every point can be computed again. Raises ConfigurationError."""
    for path in sorted(run.glob(f"trials/*/*/{MEASUREMENT}")):
        if not path.with_name(OBSERVATION).is_file():
            raise ConfigurationError(
                f"{path.parent} has no records to compute its figures from: another tool's result was imported",
                mend="measure with toolkit sweep, or import a result that holds each request",
            )


def _document(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise UsageError(f"{path} cannot be read: {err}", mend="toolkit report RUN writes it again") from err


def _differences(reported: Any, computed: Any, where: str) -> Iterator[Difference]:
    """Every leaf that differs."""
    if isinstance(reported, dict) and isinstance(computed, dict):
        for key in dict.fromkeys((*reported, *computed)):
            yield from _differences(reported.get(key), computed.get(key), f"{where}.{key}")
    elif isinstance(reported, list) and isinstance(computed, list) and len(reported) == len(computed):
        for i, (ours, theirs) in enumerate(zip(reported, computed, strict=True)):
            yield from _differences(ours, theirs, f"{where}[{i}]")
    elif reported != computed:
        yield Difference(where=where, reported=_short(reported), computed=_short(computed))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 2 * CONTEXT else text[: 2 * CONTEXT] + " ..."


def _html_differences(page: Path, rendered: str, computed: Report) -> Iterator[Difference]:
    """Where a page is not what the evidence renders to: its differing lines, each round the first other character."""
    if not page.is_file():
        return
    lines, wanted = page.read_text(encoding="utf-8").splitlines(), rendered.splitlines()
    note = "" if computed.versions.get("poc-toolkit") == __version__ else " (another version of the toolkit wrote it)"
    differing = [i for i, pair in enumerate(zip(lines, wanted, strict=False)) if pair[0] != pair[1]]
    for i in differing[:MOST_LINES]:
        begin = _first_difference(lines[i], wanted[i])
        reported, right = (_around(text[i], begin) for text in (lines, wanted))
        yield Difference(where=f"{page.name}:{i + 1}{note}", reported=reported, computed=right)
    if len(lines) != len(wanted):
        yield Difference(where=page.name + note, reported=f"{len(lines)} lines", computed=f"{len(wanted)} lines")


def _first_difference(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _around(text: str, place: int) -> str:
    return text[max(0, place - CONTEXT) : place + CONTEXT]


def _numbers(data: Any) -> Iterator[float]:
    if isinstance(data, dict):
        data = list(data.values())
    if isinstance(data, list):
        for value in data:
            yield from _numbers(value)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        yield data


def _taken(run: Path, report: Report) -> tuple[str, ...]:
    """What of the report rests on sealed files other than request records."""
    found = {
        "the server's statistics, processes and GPUs (observation.json)": bool(report.measurements),
        "the exporter's comparison (artifacts/*/parity.json)": bool(report.export_parity),
        "the comparison through the server (parity/live.json)": report.live_parity is not None,
        "recall of the indexes (recall/*/recall.json)": bool(report.index_recall),
        "rooflines (rooflines.json)": bool(report.rooflines),
        "quality figures (data/*/arrays.npz)": bool(report.quality),
        "the search of the highest rate (max_rate.json)": (run / MAX_RATE).is_file(),
        "the search of the best configuration (tuned.json)": (run / TUNED).is_file(),
        "machine, versions and commands (manifest.json)": True,
    }
    return tuple(name for name, is_there in found.items() if is_there)
