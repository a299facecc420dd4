"""What a run proved, apart from its figures: answers, configuration, completeness. Reads the run folder only."""

from __future__ import annotations

from pathlib import Path

from toolkit.repository.lint import lint_repository
from toolkit.workflow.ahead import ahead_of
from toolkit.workflow.build import read_artifacts
from toolkit.workflow.report import export_parities, live_parity_of
from toolkit.workflow.runs import repository_of


def proofs(run: Path) -> tuple[str, ...]:
    """One line each, PASS, FAIL or OPEN first."""
    exported = export_parities(run, read_artifacts(run))
    good = sum(p.result.passed for p in exported)
    live, repository, ahead = live_parity_of(run), repository_of(run), ahead_of(run)
    errors = [r for r in lint_repository(repository) if r.severity == "error"] if repository else []
    return (
        f"{_verdict(good == len(exported))}: {good} of {len(exported)} exported models answer as their originals",
        f"{live.outcome if live else 'OPEN'}: answers through the live server, compared under concurrency",
        f"{_verdict(not errors)}: {len(errors)} errors by the linter",
        f"{'PASS' if ahead.measured == ahead.points else 'OPEN'}: every configuration measured at every load",
    )


def _verdict(holds: bool) -> str:
    return "PASS" if holds else "FAIL"
