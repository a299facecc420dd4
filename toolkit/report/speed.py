"""The tables about speed: criteria, every load point, the time split, warnings. Pure: a Report in, Tables out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from toolkit.load.measurement import Measurement
from toolkit.load.metric_table import METRICS, Metric, metric_named
from toolkit.load.pattern import load_text
from toolkit.report.report import Report
from toolkit.report.table import VERDICT, Column, Table, number_columns, text_columns
from toolkit.tune.decision import Trial
from toolkit.tune.words import amount_text, interval_text, sentence_text, target_text

#: What stands where there is no figure.
NONE = "–"


def criteria_table(report: Report) -> Table:
    """Each criterion of the SLO: target, measured, interval, effective samples, verdict."""
    verdicts = report.leader[1].verdicts if report.leader else ()
    rows: list[tuple[str, ...]] = [
        (
            target_text(v.criterion),
            NONE if v.measured is None else amount_text(v.criterion, v.measured),
            interval_text(v),
            f"{v.effective_samples:,.0f} of {v.samples:,}",
            v.outcome,
        )
        for v in verdicts
    ]
    if not rows:
        rows = [(target_text(c), NONE, NONE, NONE, "NOT JUDGED") for c in report.slo.criteria]
    figures = number_columns("Measured", "95 % interval", "Effective samples")
    return Table(
        caption="Criteria, as written down before the run",
        columns=(Column(title="Target"), *figures, VERDICT),
        rows=tuple(rows),
    )


def reasons(report: Report) -> tuple[str, ...]:
    """What the statistics say about each criterion."""
    verdicts = report.leader[1].verdicts if report.leader else ()
    return tuple(f"{target_text(v.criterion)}: {sentence_text(v.reason)}" for v in verdicts if v.reason)


def points_tables(report: Report) -> tuple[Table, ...]:
    """Every load point of every candidate, over every declared metric; the judged one is marked."""
    ours, streams = ("service", "client"), ("ttft", "tpot", "itl", "tokens")
    others = (*ours, *streams, "split")
    theirs = dict.fromkeys(_family(metric) for metric in METRICS if _family(metric) not in others)
    groups = (
        ("From the moment that a request was meant to be sent", tuple(theirs)),
        *([("Streamed answers, token by token", streams)] if any(m.streams for m in report.measurements) else []),
        ("From the moment that a request was really sent, and the load generator itself", ours),
    )
    return tuple(_points_table(report, caption, metrics_of(*families)) for caption, families in groups)


def metrics_of(*families: str) -> tuple[Metric, ...]:
    """The declared metrics whose name begins with one of `families`, in the order of their declaration."""
    return tuple(metric for metric in METRICS if _family(metric) in families)


def _points_table(report: Report, caption: str, metrics: tuple[Metric, ...]) -> Table:
    points = [(trial.candidate.name, point) for trial in report.trials for point in trial.points]
    judged = report.leader[1] if report.leader else None
    columns, figures = _metric_columns(metrics, [point.measurement for _, point in points], metric_title)
    rows = tuple(
        (name, load_text(point.load), *texts, point.outcome)
        for (name, point), texts in zip(points, figures, strict=True)
    )
    marked = next((i for i, (_, point) in enumerate(points) if point is judged), None)
    heads = (*text_columns("Configuration", "Load"), *columns, VERDICT)
    return Table(caption=caption, columns=heads, rows=rows, marked=marked)


def _metric_columns(
    metrics: Sequence[Metric],
    measurements: Sequence[Measurement],
    title: Callable[[Metric], str],
) -> tuple[tuple[Column, ...], tuple[tuple[str, ...], ...]]:
    """Columns for the metrics that have a value anywhere, and their texts for each measurement."""
    columns, by_metric = [], []
    for metric in metrics:
        values = [metric.value(m) for m in measurements]
        if any(value is not None for value in values):
            unit, scale, digits = _shown_in(metric.unit, _largest(metrics_of(_family(metric)), measurements))
            columns.append(Column(title=title(metric), unit=unit, kind="number"))
            by_metric.append([NONE if v is None else f"{scale * v:,.{digits}f}" for v in values])
    return tuple(columns), tuple(tuple(texts[i] for texts in by_metric) for i in range(len(measurements)))


def _family(metric: Metric) -> str:
    return metric.name.partition(".")[0]


def _largest(metrics: Sequence[Metric], measurements: Sequence[Measurement]) -> float:
    """The largest value among metrics in seconds that belong together, so that they share a unit of display."""
    values = (metric.value(m) for metric in metrics if metric.unit == "s" for m in measurements)
    return max((abs(value) for value in values if value is not None), default=0.0)


def metric_title(metric: Metric) -> str:
    """`Latency p99` for the metric latency.p99."""
    words = metric.name.replace(".", " ").replace("_", " ").replace("cpu", "CPU")
    first, *rest = words.split(" ")
    return " ".join((first.upper() if first in ("ttft", "tpot", "itl") else first[:1].upper() + first[1:], *rest))


def _part_title(metric: Metric) -> str:
    """`Queue` for split.queue."""
    return metric_title(replace(metric, name=metric.name.removeprefix("split.")))


def _shown_in(unit: str, largest: float) -> tuple[str, float, int]:
    """The unit, factor and decimals of whole columns, so that points line up and parts add up."""
    if unit == "s":
        return ("us", 1e6, 1) if largest < 1e-3 else ("ms", 1e3, 2)
    return {"ratio": ("%", 100.0, 2), "cores": ("cores", 1.0, 2)}.get(unit, (unit, 1.0, 1))


def split_table(trial: Trial) -> Table:
    """The mean request of each load taken apart; the parts add up to the mean latency."""
    points = [point for point in trial.points if point.measurement.split is not None]
    metrics = (*metrics_of("split"), metric_named("latency.mean"))
    columns, figures = _metric_columns(metrics, [point.measurement for point in points], _part_title)
    rows = tuple((load_text(point.load), *texts) for point, texts in zip(points, figures, strict=True))
    caption = f"Mean time per request of '{trial.candidate.name}'"
    return Table(caption=caption, columns=(Column(title="Load"), *columns), rows=rows)


def metrics_table() -> Table:
    """The glossary of the metrics: what each is, in which unit, and which direction is better."""
    rows = tuple((metric_title(m), m.unit, m.better or "neither", m.formula) for m in METRICS)
    return Table(caption="Metrics", columns=text_columns("Metric", "Unit", "Better", "Formula"), rows=rows)


def warnings_table(report: Report) -> Table:
    """Every warning of every load point."""
    found = ((t.candidate.name, p, w) for t in report.trials for p in t.points for w in p.measurement.warnings)
    rows = tuple(
        (f"{name}, {load_text(point.load)}", warning.kind, sentence_text(warning.text), _yes(not warning.invalid))
        for name, point, warning in found
    )
    if report.drift is not None and report.drift.warning is not None:
        text = sentence_text(report.drift.warning.text)
        rows = (("the whole sweep", report.drift.warning.kind, text, _yes(True)), *rows)
    columns = text_columns("Where", "Warning", "Cause and remedy", "Judged")
    return Table(caption="Warnings of the measurements", columns=columns, rows=rows)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def rejected_table(report: Report) -> Table:
    """The configurations that were not chosen, each with its reason."""
    rows = tuple((r.candidate, r.reason) for r in report.decision.rejected)
    return Table(caption="Configurations not chosen", columns=text_columns("Configuration", "Why not"), rows=rows)
