"""`toolkit import`: the result file of another tool as a run folder, so that compare and report work on it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from toolkit.environment import UNKNOWN
from toolkit.errors import ConfigurationError
from toolkit.load.importers.read import read_results
from toolkit.load.importers.results import ImportedPoint, Results
from toolkit.load.slo import Slo
from toolkit.records import digest_of_file, write_json
from toolkit.tune.decision import Candidate
from toolkit.workflow.measure import MEASUREMENT, keep_point, trial_key
from toolkit.workflow.report import decide_run, write_report
from toolkit.workflow.runs import MANIFEST, Subject, finish_run, locked, new_run, read_manifest


def import_results(
    path: Path, *, format: str | None, model: str | None, command: str, root: Path
) -> tuple[Path, Results]:
    """Read a result file and write its run folder. Returns the folder and what the file held.

    Raises UsageError or ConfigurationError for a file that cannot be read, or that holds two results of one load.
    """
    results = read_results(path, format)
    candidates = _candidates(results)
    points = [(candidates[point.variant], point) for point in results.points]
    _check_unique(path, points)
    name = model or results.model or "imported"
    subject = Subject(
        title=f"Import of {path.name} ({results.engine})",
        family="",
        inference="request",
        measured=name,
        models=(name,),
        slo=Slo(criteria=()),
        candidates=tuple(candidates.values()),
        loads=tuple({point.measurement.load.name: point.measurement.load for point in results.points}.values()),
        remote=f"where {results.engine} found it",
    )
    digests = {path.name: digest_of_file(path)} if path.is_file() else {}
    run = new_run(root, _folder_name(name), command, subject, config={"engine": results.engine}, models=digests)
    with locked(run):
        write_json(run / MANIFEST, replace(read_manifest(run), environment=UNKNOWN))
        for candidate, point in points:
            _write_point(run / trial_key(candidate, point.measurement.load), point)
        decide_run(run)
        write_report(run)
        finish_run(run)
    return run, results


def _candidates(results: Results) -> Mapping[str, Candidate]:
    """A candidate for each variant: the tool with its version, and the name of the variant."""
    tool = re.sub(r"[^\w.-]+", "-", results.engine)
    names = {variant: f"{tool}-{variant}" if variant else tool for variant in (p.variant for p in results.points)}
    return {variant: Candidate(name=re.sub(r"[^\w.-]+", "-", name), config={}) for variant, name in names.items()}


def _check_unique(path: Path, points: list[tuple[Candidate, ImportedPoint]]) -> None:
    keys = Counter(trial_key(candidate, point.measurement.load) for candidate, point in points)
    key, count = keys.most_common(1)[0]
    if count > 1:
        same = key.removeprefix("trials/")
        raise ConfigurationError(f"{path} holds {count} results of {same}", mend="keep one of them in the file")


def _write_point(folder: Path, point: ImportedPoint) -> None:
    if point.records is None:
        write_json(folder / MEASUREMENT, point.measurement)
    else:
        keep_point(folder, point.measurement, point.records)


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "imported"
