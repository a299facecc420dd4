"""A Report as one HTML file that asks nobody for anything: styles, charts and raw data are inside, scripts are none.

In: a Report. Out: HTML text. This module does not know how a figure came about; the template lays out and decides
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from toolkit.load.pattern import Concurrency, load_text
from toolkit.report import evidence, speed
from toolkit.report.charts import batch_size_chart, latency_throughput_chart, svg, time_split_chart
from toolkit.report.descriptions import charted_rate
from toolkit.report.glossary import GLOSSARY
from toolkit.report.report import BundleWritten, Report, report_json
from toolkit.report.resources import resource_tables
from toolkit.report.sizing import sizing_facts, sizing_notes, sizing_tables, sizing_text
from toolkit.report.statements import judged_at, not_shown, risks
from toolkit.report.stream_chart import streams_chart
from toolkit.report.table import Table
from toolkit.tune.words import closed_text, config_text, rate_text, sentence_text, under_text, verdict_text

BADGES = {"PASS": "GO", "FAIL": "NO-GO"}
#: Pictures are drawn for two widths, in CSS pixels: a page or a desktop, and a telephone.
WIDE, NARROW = 840, 350
#: The space between a number and its unit, or a relation and its number, where no line may break.
NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:us|ms|s|%|GiB|requests/s|clients?)(?!\w))|(?<=[≤≥]) (?=\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One chart drawn for wide and for narrow pages, with its caption."""

    wide: str
    narrow: str
    caption: str


def render_html(report: Report) -> str:
    """The whole document. Needs the `report` extra. Raises MissingDependency."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("toolkit.report", "template"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=keep_units,
    )
    environment.filters["drawn"] = Markup
    return environment.get_template("report.html.j2").render(
        report=report,
        created=created_text(report),
        kind=" · ".join(dict.fromkeys(("Proof of concept", report.family, report.poc))),
        badge=badge(report),
        sentence=sentence(report),
        recommended=recommended(report),
        sizing_text=sizing_text(report),
        sizing_tables=sizing_tables(report),
        sizing_notes=sizing_notes(report),
        judged_at=judged_at(report),
        risks=risks(report),
        not_shown=not_shown(report),
        tables=_tables(report),
        points_tables=(*speed.points_tables(report), *resource_tables(report)),
        reasons=speed.reasons(report),
        parity_notes=evidence.parity_notes(report),
        curve=_curve(report),
        streams=_streams(report),
        charted=charted_rate(report.trials).lower(),
        split=_split(report),
        no_split=no_split(report),
        batches=_batches(report),
        glossary=GLOSSARY,
        bundle=bundle_text(report),
        commands=Markup("\n").join(report.commands),
        raw=Markup(_inert_json(report_json(report))),
    )


def keep_units(value: object) -> object:
    """A text whose numbers stay on one line with their units; markup, and everything else, as it is."""
    return NUMBER_AND_UNIT.sub("\u00a0", value) if type(value) is str else value


def badge(report: Report) -> str:
    """GO, NO-GO or UNDECIDED; a run without a valid measurement is undecided."""
    return BADGES.get(report.decision.outcome, "UNDECIDED")


def sentence(report: Report) -> str:
    """The decision without the word that the badge already says."""
    return sentence_text(report.decision.sentence.removeprefix(f"{badge(report)}:").strip())


def created_text(report: Report) -> str:
    """`1 March 2026, 14:21 UTC`; the text as it is when it is no ISO 8601 time."""
    try:
        moment = datetime.fromisoformat(report.created).astimezone(UTC)
    except ValueError:
        return report.created
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def bundle_text(report: Report) -> str:
    """Where the deployment bundle is, or why there is none."""
    if isinstance(report.bundle, BundleWritten):
        return f"Written to {report.bundle.path} in the run folder."
    return f"None: {closed_text(report.bundle.reason)}"


def recommended(report: Report) -> tuple[tuple[str, str], ...]:
    """The chosen configuration as names and texts; empty when none was chosen."""
    if report.decision.candidate is None or report.leader is None:
        return ()
    trial, point = report.leader
    return (
        ("Configuration", trial.candidate.name),
        ("Settings", config_text(trial.candidate.config)),
        ("Proven with", under_text(point.load)),
        ("Throughput", f"{rate_text(point.measurement.throughput_per_s)} requests/s"),
        *(("Latency", verdict_text(v)) for v in point.verdicts if v.criterion.metric == "latency"),
        *sizing_facts(report),
    )


def _tables(report: Report) -> dict[str, Table | None]:
    return {
        "criteria": speed.criteria_table(report),
        "rejected": speed.rejected_table(report),
        "warnings": speed.warnings_table(report),
        "split": speed.split_table(report.leader[0]) if report.leader else None,
        "parity": evidence.parity_table(report),
        "accuracy": evidence.accuracy_table(report),
        "quality": evidence.quality_table(report),
        "recall": evidence.recall_table(report),
        "steps": evidence.steps_table(report),
        "artifacts": evidence.artifacts_table(report),
        "machine": evidence.machine_table(report),
        "versions": evidence.versions_table(report),
        "metrics": speed.metrics_table(),
        "seeds": evidence.seeds_table(report),
    }


def _curve(report: Report) -> Figure | None:
    if not report.measurements:
        return None
    mark = "Measured on a CPU" if report.device_mark else ""
    caption = (
        f"{_loop_text(report)} Filled points meet the SLO, hollow ones do not or are not settled. Bars are 95 % "
        "intervals, without an end that the samples cannot bound."
    )
    if report.decision.load is not None:
        caption += " The ring marks the recommended point."

    def draw(width: int) -> Any:
        return latency_throughput_chart(report.trials, report.slo, decision=report.decision, mark=mark, width=width)

    return _figure(draw, caption)


def _streams(report: Report) -> Figure | None:
    if not any(measurement.streams for measurement in report.measurements):
        return None
    caption = (
        "Points are medians, bars reach to the p99. The time to the first token (TTFT) counts from the intended send; "
        "the time per output token (TPOT) is the mean gap of a request. Dashed: what the SLO asks of a request."
    )
    return _figure(lambda width: streams_chart(report.trials, report.slo, width=width), caption)


def _loop_text(report: Report) -> str:
    """Whether clients waited for their answers, which the shape of the curve depends on."""
    closed = {isinstance(measurement.load, Concurrency) for measurement in report.measurements}
    if closed == {True}:
        return "Closed-loop load."
    if closed == {False}:
        return "Open-loop load: requests keep to their schedule, and latency counts from it."
    return "Closed loops and open loads, whose requests keep to a schedule; latency counts from the intended send."


def _split(report: Report) -> Figure | None:
    if report.leader is None:
        return None
    trial = report.leader[0]
    splits = tuple((load_text(p.load), p.measurement.split) for p in trial.points if p.measurement.split is not None)
    if not splits:
        return None
    caption = f"Configuration '{trial.candidate.name}'. Queue to output are spent in the server."
    return _figure(lambda width: time_split_chart(splits, width=width), caption)


def no_split(report: Report) -> str:
    """Why the mean request cannot be taken apart."""
    if any(measurement.streams for measurement in report.measurements):
        return (
            "Triton counts a streamed request as executed when the model has taken it, so its statistics do not take "
            "the mean request apart; the first token and the gaps between the others show where a reader waits."
        )
    return "The server's statistics were not taken, so the mean request cannot be taken apart."


def _batches(report: Report) -> tuple[str, ...]:
    models = report.leader[1].measurement.models if report.leader else ()
    ensembles = {step.name for step in report.steps if step.backend == "ensemble"}
    batching = [model for model in models if model.batches and model.model not in ensembles]
    return tuple(svg(batch_size_chart(model, width=NARROW), key=str(i)) for i, model in enumerate(batching))


def _figure(draw: Callable[[int], Any], caption: str) -> Figure:
    return Figure(wide=svg(draw(WIDE), key="wide"), narrow=svg(draw(NARROW), key="narrow"), caption=caption)


def _inert_json(text: str) -> str:
    """JSON that stays inside its script element whatever its strings hold: no `<`, `>`, `&` or line separators."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
