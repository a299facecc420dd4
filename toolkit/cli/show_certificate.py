"""How a certification looks: line by line with its bounds, percentiles beside the log's, and its `--json` document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toolkit.cli.show import coloured, document, out, table
from toolkit.records import to_data

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.load.certify.accuracy import Comparison
    from toolkit.load.certify.certification import Certification

NONE = "-"


def certification(found: Certification, stored: Path | None, *, as_json: bool) -> None:
    """The verdict with all its lines, and where it lies; `stored` is None of a quick look, which is not kept."""
    if as_json:
        document(certification_document(found, stored))
        return
    rows = [
        (f.what, _text(f.value, f.unit), NONE if f.bound is None else _text(f.bound, f.unit), "ok" if f.ok else "FAIL")
        for f in found.findings
    ]
    table(("what", "figure", "at most", "ok"), rows)
    table(("server, share of the rate", "percentile", "engine [ms]", "log [ms]", "error [us]"), _compared(found))
    out.print(coloured("PASS" if found.passed else "FAIL"), end="")
    place = f"kept in {stored}" if stored else "a quick look is not kept: toolkit certify"
    out.print(f" in {found.took_s:.0f} s; {place}", markup=False)
    if found.remedy:
        out.print(f"! {found.remedy}", markup=False)


def certification_document(found: Certification, stored: Path | None) -> dict[str, Any]:
    """The JSON document: everything that was found, all rounds."""
    verdict = {"passed": found.passed, "certificate": to_data(found.certificate), "findings": to_data(found.findings)}
    everything: dict[str, Any] = to_data(found)
    return {"stored": stored} | verdict | everything | {"remedy": found.remedy}


def _compared(found: Certification) -> list[tuple[str, ...]]:
    from toolkit.load.certify.accuracy import judged

    return [
        (f"{behaviour}, {share:.0%}", f"{quantity} p{100 * q:g}", *_sides(comparison))
        for (behaviour, share, quantity, q), comparison in judged(found.points).items()
    ]


def _sides(found: Comparison) -> tuple[str, str, str]:
    return f"{found.measured_s * 1e3:.3f}", f"{found.true_s * 1e3:.3f}", f"{found.error_s * 1e6:+.0f}"


def _text(value: float, unit: str) -> str:
    if unit == "share":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value * 1e3:,.1f} ms" if value >= 0.01 else f"{value * 1e6:,.0f} us"
    return f"{value:,.0f}{' 1/s' if unit == '1/s' else ''}"
