"""How the search for the highest rate looks: a line a probe and the answer, and its `--json` document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli.show import COLOURS, document, out, table
from toolkit.records import to_data

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.tune.max_rate import MaxRate
    from toolkit.tune.max_rate_search import Probe

COLUMNS = ("rate [1/s]", "window [s]", "requests []", "independent []", "criterion", "measured []", "allowed []")


def max_rate(run: Path, answer: MaxRate, *, as_json: bool) -> None:
    """The probes in their order and the answer in a sentence."""
    if as_json:
        document(max_rate_document(run, answer))
        return
    table((*COLUMNS, "verdict"), [_row(probe) for probe in answer.probes])
    out.print()
    out.print(answer.sentence, markup=False, style=f"bold {COLOURS.get(answer.outcome, 'yellow')}")
    for warning in answer.warnings:
        out.print(f"! {warning}", markup=False)
    out.print(f"run: {run}", markup=False)


def max_rate_document(run: Path, answer: MaxRate) -> dict[str, Any]:
    """The JSON document, units in the keys."""
    return {
        "run": run,
        "outcome": answer.outcome,
        "sentence": answer.sentence,
        "rate_per_s": answer.rate_per_s,
        "rate_interval_per_s": [answer.low, answer.high],
        "spent_s": answer.spent_s,
        "budget_s": answer.budget_s,
        "seconds_needed": answer.seconds_needed,
        "warnings": answer.warnings,
        "probes": [to_data(probe) for probe in answer.probes],
    }


def _row(probe: Probe) -> list[str]:
    return [
        f"{probe.rate_per_s:.6g}",
        f"{probe.duration_s:.3g}",
        str(probe.samples),
        f"{probe.effective_samples:.0f}",
        probe.criterion,
        *(f"{100 * v:.3g} %" if probe.is_share else f"{1e3 * v:.4g} ms" for v in (probe.measured, probe.allowed)),
        probe.outcome,
    ]
