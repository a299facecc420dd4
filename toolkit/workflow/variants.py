"""The lower precisions that a PoC names: made and judged after the export, and which candidates they rule out.

In: a PoC and its exported models. Out: the folders of the accepted ones, and a Rejection for every candidate that would
serve one which loses more than the budget, or whose live answers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from toolkit.artifact import read_artifact
from toolkit.export.budget import compare_within_budget
from toolkit.export.ladder import RUNG_FILE, Rung, try_variant
from toolkit.export.parity import Comparing, LiveParity
from toolkit.export.spec import MODEL_FILE, precision_of
from toolkit.poc import Poc
from toolkit.records import read_json, step
from toolkit.tune.decision import Candidate, Rejection
from toolkit.workflow.runs import Progress

LIVE = "variant_parity"


def build_variants(poc: Poc, run: Path, folders: Mapping[str, Path], progress: Progress) -> dict[str, Path]:
    """Make every precision besides float32 of every model; each is a step of the run, a rejected one too.

    Returns the folders of the accepted ones by `model/precision`. Nothing is made of a model whose parity failed.
    """
    made = {
        f"{name}/{precision}": _variant(poc, run, name, precision, folders[name], progress)
        for name, spec in poc.file.models.items()
        for precision in spec.export.precisions
        if precision != "fp32" and read_artifact(folders[name]).parity != "failed"
    }
    return {key: place for key, place in made.items() if read_json(place / RUNG_FILE, Rung).accepted}


def _variant(poc: Poc, run: Path, model: str, precision: str, base: Path, progress: Progress) -> Path:
    budget = poc.file.models[model].export.accuracy_budget

    def do(folder: Path) -> None:
        progress(f"{model} in {precision}")
        try_variant(base, folder, precision=precision, budget=budget, task=poc.family.task)

    return step(run, f"variants/{model}/{precision}", {"base": read_artifact(base).sha256, "budget": budget}, do)


def chosen_precisions(candidate: Candidate) -> dict[str, str]:
    """The precision in which a candidate serves an entry, for every entry whose model file it names."""
    files = {entry: config.get("default_model_filename", MODEL_FILE) for entry, config in candidate.config.items()}
    return {entry: precision_of(file) for entry, file in files.items() if file != MODEL_FILE}


def comparing_of(poc: Poc, candidate: Candidate, usual: Comparing) -> Comparing:
    """How the live answers of a candidate are judged: a lower precision by the largest budget of those it serves."""
    budgets = [
        poc.file.models[entry].export.accuracy_budget
        for entry in chosen_precisions(candidate)
        if entry in poc.file.models
    ]
    return partial(compare_within_budget, budget=max(budgets)) if budgets else usual


def rejections_of(run: Path, candidates: Sequence[Candidate]) -> tuple[Rejection, ...]:
    """The candidates that serve a variant which was rejected, or whose answers through the server were wrong."""
    reasons = {c.name: _why_not(run, c) for c in candidates}
    return tuple(Rejection(candidate=name, reason=reason) for name, reason in reasons.items() if reason)


def _why_not(run: Path, candidate: Candidate) -> str:
    for entry, precision in chosen_precisions(candidate).items():
        file = run / "variants" / entry / precision / RUNG_FILE
        rung = read_json(file, Rung) if file.is_file() else None
        if rung is not None and not rung.accepted:
            return f"{entry} in {precision} is not accurate enough: {rung.reason}"
    live = live_parity_of_variant(run, candidate.name)
    return f"its answers through the server: {live.reason}" if live is not None and live.outcome == "FAIL" else ""


def live_parity_of_variant(run: Path, candidate: str | None) -> LiveParity | None:
    """The live parity of a candidate that serves a lower precision; None for any other."""
    file = run / LIVE / (candidate or "") / "live.json"
    return read_json(file, LiveParity) if candidate and file.is_file() else None
