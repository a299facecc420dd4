"""How bounds look on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.cli import show

if TYPE_CHECKING:
    from toolkit.size.llm_shape import LlmBounds, LlmShape
    from toolkit.size.roofline import ModelRoofline
    from toolkit.size.tables import TableFit

BOUND = "These are bounds by arithmetic from data sheets (dense rates); nothing was measured. A server reaches less."


def llm(shape: LlmShape, found: tuple[LlmBounds, ...], *, as_json: bool) -> None:
    """A row for each accelerator and precision."""
    if as_json:
        show.document({"bounds": True, "note": BOUND, "shape": shape, "accelerators": found})
        return
    from toolkit.tune.words import rate_text, time_text

    def rate(value: float | None) -> str:
        return "–" if value is None else rate_text(value)

    rows = tuple(
        (
            f"{b.devices} x {b.accelerator}",
            b.precision + ("" if b.computed_in == b.precision else f" (in {b.computed_in})"),
            f"{b.weight_bytes / 1e9:.3g}",
            f"{b.sequences:,}" if b.fits else "does not fit",
            rate(b.prefill_tokens_per_s),
            "–" if b.ttft_s is None else time_text(b.ttft_s),
            rate(b.decode_tokens_per_s),
            b.decode_limit,
            rate(b.one_stream_tokens_per_s),
            f"{b.power_w:g}",
        )
        for b in found
    )
    first = ("GPUs", "precision", "weights [GB]", "sequences []", "prefill [tokens/s]", "TTFT []")
    heads = (*first, "decode [tokens/s]", "limit", "one stream [tokens/s]", "TDP [W]")
    show.out.print(BOUND, markup=False, style="bold")
    show.table(heads, rows)
    for line in (
        dict.fromkeys((*found[0].arithmetic, *(f"{b.accelerator}: {b.source}" for b in found))) if found else ()
    ):
        show.out.print(f"- {line}", markup=False)


def tables(found: dict[str, TableFit], *, as_json: bool) -> None:
    """A row for each accelerator; the placement and the ways of the first."""
    if as_json:
        show.document({"bounds": True, "note": BOUND, "accelerators": found})
        return
    show.out.print(BOUND, markup=False, style="bold")
    rows = tuple(
        (name, str(fit.devices), f"{fit.total_bytes / 1e9:.4g}", f"{fit.usable_bytes / 1e9:.4g}", _gb(fit), _yes(fit))
        for name, fit in found.items()
    )
    show.table(("GPU", "devices []", "tables [GB]", "usable [GB]", "fullest [GB]", "one holds all"), rows)
    name, fit = next(iter(found.items()))
    placed = tuple(
        (p.table, p.cut, ", ".join(map(str, p.devices)), f"{p.bytes_each / 1e9:.4g}") for p in fit.placements
    )
    show.table(("table", "cut", "devices", "each [GB]"), placed, title=f"On {fit.devices} x {name}")
    ways = tuple((w.name, "yes" if w.possible else "no", w.text) for w in fit.ways)
    show.table(("way", "possible", "arithmetic"), ways)
    for line in fit.arithmetic:
        show.out.print(f"- {line}", markup=False)


def rooflines(found: tuple[ModelRoofline, ...], *, as_json: bool) -> None:
    """A row for each machine, model after model."""
    if as_json:
        show.document({"bounds": True, "note": BOUND, "models": found})
        return
    from toolkit.report.rooflines import roofline_table

    for line in found:
        table = roofline_table(line)
        heads = tuple(f"{c.title} [{c.unit}]" if c.kind == "number" else c.title for c in table.columns)
        show.table(heads, table.rows, title=table.caption)
        for note in line.notes:
            show.out.print(f"- {note}", markup=False)


def _gb(fit: TableFit) -> str:
    return f"{fit.bytes_per_device / 1e9:.4g}"


def _yes(fit: TableFit) -> str:
    return "yes" if fit.fits_one else "no"
