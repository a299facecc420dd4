"""The lower precisions that a PoC names: made and judged after the export, and which candidates they rule out.

In: a PoC and its exported models. Out: the folders of the accepted ones, and a Rejection for every candidate that would
serve one which loses more than the budget, or whose live answers do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from toolkit.artifact import read_artifact
from toolkit.export.budget import compare_within_budget
from toolkit.export.ladder import RUNG_FILE, Rung, try_variant
from toolkit.export.parity import Comparing, LiveParity
from toolkit.export.spec import MODEL_FILE, precision_of, variant_file
from toolkit.poc import Poc
from toolkit.records import read_json, step
from toolkit.tune.decision import Candidate, Rejection
from toolkit.tune.space import Ranges, Variant
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


def measured_variants(
    run: Path, model: str, precisions: Sequence[str]
) -> tuple[dict[str, Variant], tuple[Rejection, ...]]:
    """The accepted precisions of a model as variants of its entry with the loss that was measured; and the others.

    `run` is the folder in which `build_variants` made them. Empty where the model has none besides float32.
    """
    files = {p: run / "variants" / model / p / RUNG_FILE for p in precisions if p != "fp32"}
    rungs = {p: read_json(file, Rung) for p, file in files.items() if file.is_file()}
    accepted = {
        p: Variant(
            config={"default_model_filename": variant_file(p)}, accuracy_loss=rung.loss.loss if rung.loss else None
        )
        for p, rung in rungs.items()
        if rung.accepted
    }
    rejected = tuple(
        Rejection(candidate=f"{model}: {p}", reason=rung.reason) for p, rung in rungs.items() if not rung.accepted
    )
    return ({"": Variant()} | accepted if accepted else {}), rejected


def with_measured(ranges: Ranges, found: Mapping[str, Variant], *, named: bool) -> Ranges:
    """The ranges with the variants that `measured_variants` found.

    Where poc.yaml has `named` variants of its own these are kept, with the measured loss of the file that they serve.
    """
    losses = {v.config["default_model_filename"]: v.accuracy_loss for v in found.values() if v.config}
    own = {
        name: v
        if v.accuracy_loss is not None
        else replace(v, accuracy_loss=losses.get(v.config.get("default_model_filename", "")))
        for name, v in ranges.variants.items()
    }
    return replace(ranges, variants=own if own and named else {**own, **found})


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
