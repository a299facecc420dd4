"""The tables about speed: criteria, every load point, the time split, warnings. Pure: a Report in, Tables out."""

from __future__ import annotations

from toolkit.load.measurement import Measurement
from toolkit.report.descriptions import PARTS, part_s, percentile
from toolkit.report.report import Report
from toolkit.report.table import VERDICT, Column, Table, number_columns, text_columns
from toolkit.tune.decision import Point, Trial
from toolkit.tune.words import amount_text, interval_text, load_text, target_text

#: What stands where there is no figure.
NONE = "–"
PERCENTILES = (0.50, 0.90, 0.95, 0.99)


def criteria_table(report: Report) -> Table:
    """Each criterion of the SLO: target, measured, interval, effective samples, verdict."""
    verdicts = report.leader[1].verdicts if report.leader else ()
    rows = [
        (
            target_text(v.criterion),
            NONE if v.measured is None else amount_text(v.criterion, v.measured),
            interval_text(v),
            f"{v.effective_samples:,.0f} of {v.samples:,}",
            v.outcome,
        )
        for v in verdicts
    ] or [(target_text(c), NONE, NONE, NONE, "NOT JUDGED") for c in report.slo.criteria]
    figures = number_columns("Measured", "95 % interval", "Effective samples")
    return Table(
        caption="Criteria, as written down before the run",
        columns=(Column(title="Target"), *figures, VERDICT),
        rows=tuple(rows),
    )


def reasons(report: Report) -> tuple[str, ...]:
    """What the statistics say about each criterion."""
    verdicts = report.leader[1].verdicts if report.leader else ()
    return tuple(f"{target_text(v.criterion)}: {v.reason}." for v in verdicts if v.reason)


def points_table(report: Report) -> Table:
    """Every load point of every candidate; the judged one is marked."""
    labelled = labelled_points(report)
    judged = report.leader[1] if report.leader else None
    return Table(
        caption="Every load point of every configuration",
        columns=(
            *text_columns("Configuration", "Load"),
            *number_columns("Throughput", unit="requests/s"),
            *number_columns(*(f"p{100 * q:g}" for q in PERCENTILES), "mean", unit="ms"),
            *number_columns("Failed", "Mean batch"),
            *number_columns("Client CPU", unit="% of a core"),
            VERDICT,
        ),
        rows=tuple(_point_row(trial, point) for trial, point in labelled),
        marked=next((i for i, (_, point) in enumerate(labelled) if point is judged), None),
    )


def labelled_points(report: Report) -> tuple[tuple[Trial, Point], ...]:
    """Every point with its trial, in the order in which they were given."""
    return tuple((trial, point) for trial in report.trials for point in trial.points)


def _point_row(trial: Trial, point: Point) -> tuple[str, ...]:
    m = point.measurement
    quantiles = [percentile(m, q) for q in PERCENTILES]
    return (
        trial.candidate.name,
        load_text(point.load),
        f"{m.throughput_per_s:,.1f}",
        *(NONE if v is None else milliseconds(v.value_s) for v in quantiles),
        milliseconds(m.latency.mean_s),
        f"{m.failed_requests:,}",
        mean_batch_text(m),
        f"{100 * m.client.cpu_share:.0f}",
        point.outcome,
    )


def milliseconds(seconds: float) -> str:
    """A time for a column headed ms: two decimals, so that the points line up."""
    return f"{1e3 * seconds:,.2f}"


def mean_batch_text(measurement: Measurement) -> str:
    """The mean batch size of the model that batched most; a dash where no execution was counted."""
    sizes = [
        sum(b.size * b.executions for b in model.batches) / sum(b.executions for b in model.batches)
        for model in measurement.models
        if any(b.executions for b in model.batches)
    ]
    return f"{max(sizes):.1f}" if sizes else NONE


def split_table(trial: Trial) -> Table:
    """The mean request of each load taken apart, in milliseconds; the parts add up to the total."""
    rows = [
        (load_text(point.load), *(milliseconds(part_s(split, part)) for part in PARTS), milliseconds(split.latency_s))
        for point in trial.points
        if (split := point.measurement.split) is not None
    ]
    columns = (Column(title="Load"), *number_columns(*PARTS, "total", unit="ms"))
    return Table(caption=f"Mean time per request of '{trial.candidate.name}'", columns=columns, rows=tuple(rows))


def warnings_table(report: Report) -> Table:
    """Every warning of every load point."""
    rows = [
        (f"{trial.candidate.name}, {load_text(point.load)}", w.kind, w.text, "not judged" if w.invalid else "judged")
        for trial, point in labelled_points(report)
        for w in point.measurement.warnings
    ]
    columns = text_columns("Where", "Warning", "Cause and remedy", "The point was")
    return Table(caption="Warnings of the measurements", columns=columns, rows=tuple(rows))


def rejected_table(report: Report) -> Table:
    """The configurations that were not chosen, each with its reason."""
    rows = tuple((r.candidate, r.reason) for r in report.decision.rejected)
    return Table(caption="Configurations not chosen", columns=text_columns("Configuration", "Why not"), rows=rows)
