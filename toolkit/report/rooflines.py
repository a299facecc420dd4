"""The table of a roofline: what each machine allows a model, and the share that was reached. Pure."""

from __future__ import annotations

from toolkit.report.report import Report
from toolkit.report.table import Table, number_columns, text_columns
from toolkit.size.roofline import ModelRoofline
from toolkit.tune.words import percent_text, rate_text


def roofline_table(line: ModelRoofline) -> Table:
    """A row for each machine; the share only where the peak and the rate were measured on the same one."""
    columns = (
        *text_columns("Machine", "Limited by"),
        *number_columns("Allows at most", unit="inferences/s"),
        *number_columns("Reached", unit="inferences/s"),
        *number_columns("Share"),
        *text_columns("Where the peak comes from"),
    )
    rows = tuple(
        (
            roof.machine,
            roof.limit,
            rate_text(roof.inferences_per_s),
            rate_text(line.reached_per_s) if roof.share is not None and line.reached_per_s is not None else "–",
            percent_text(roof.share) if roof.share is not None else "–",
            roof.source,
        )
        for roof in line.roofs
    )
    work = line.work
    intensity = f"{line.roofs[0].intensity:.3g} operations a byte" if line.roofs else "no machine to compare with"
    caption = (
        f"Bounds of {line.model} ({line.precision}): {work.flops / 1e6:,.4g} MFLOP and "
        f"{(work.weight_bytes + work.activation_bytes) / 1e6:,.4g} MB an inference; at batch {line.batch}, {intensity}"
    )
    return Table(caption=caption, columns=columns, rows=rows)


def roofline_notes(report: Report) -> tuple[str, ...]:
    """What the figures leave out, each once."""
    return tuple(dict.fromkeys(note for line in report.rooflines for note in line.notes))
