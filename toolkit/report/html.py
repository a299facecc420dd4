"""A Report as one HTML file that asks nobody for anything: styles, charts and raw data are inside, scripts are none.

In: a Report. Out: HTML text. This module does not know how a figure came about; the template lays out and decides
nothing.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from toolkit.report import evidence, figures, speed
from toolkit.report.glossary import GLOSSARY
from toolkit.report.report import BundleWritten, Report, report_json
from toolkit.report.resources import resource_tables
from toolkit.report.rooflines import roofline_notes, roofline_table
from toolkit.report.sizing import sizing_facts, sizing_notes, sizing_tables, sizing_text
from toolkit.report.statements import conditions, judged_at, not_shown, risks
from toolkit.report.table import Table
from toolkit.tune.words import closed_text, config_text, rate_text, sentence_text, under_text, verdict_text

BADGES = {"PASS": "GO", "FAIL": "NO-GO"}
#: The space between a number and its unit, or a relation and its number, where no line may break.
NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:us|ms|s|%|GiB|requests/s|clients?)(?!\w))|(?<=[≤≥]) (?=\d)")


def render_html(report: Report, *, summary: bool = False) -> str:
    """The whole document, or its first page alone. Needs the `report` extra. Raises MissingDependency."""
    from markupsafe import Markup

    raw = Markup(inert_json(report_json(report)))
    text: str = template_environment().get_template("report.html.j2").render(**body_values(report, summary), raw=raw)
    return text


def render_body(report: Report) -> str:
    """What a report says, without the page around it, for a page that holds several. Raises MissingDependency."""
    text: str = template_environment().get_template("report_body.html.j2").render(**body_values(report, False))
    return text


def body_values(report: Report, summary: bool) -> dict[str, Any]:
    """Every text and table of a report by its name in the template."""
    from markupsafe import Markup

    return dict(
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
        conditions=conditions(report),
        tone=BADGES.get(report.decision.outcome, "UNDECIDED").lower(),
        summary=summary,
        not_shown=not_shown(report),
        tables=_tables(report),
        points_tables=(*speed.points_tables(report), *resource_tables(report)),
        reasons=speed.reasons(report),
        parity_notes=evidence.parity_notes(report),
        curves=figures.curves(report),
        front=figures.front(report),
        search=figures.search(report),
        rooflines=tuple(
            (roofline_table(line), figures.roofline(line, str(i))) for i, line in enumerate(report.rooflines)
        ),
        roofline_notes=roofline_notes(report),
        streams=figures.streams(report),
        split=figures.split(report),
        no_split=figures.no_split(report),
        batches=figures.batches(report),
        glossary=GLOSSARY,
        bundle=bundle_text(report),
        commands=Markup("\n").join(report.commands),
    )


def template_environment() -> Any:
    """The jinja2 environment that every page of ours is laid out in."""
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
    return environment


def keep_units(value: object) -> object:
    """A text whose numbers stay on one line with their units; markup, and everything else, as it is."""
    return NUMBER_AND_UNIT.sub("\u00a0", value) if type(value) is str else value


def badge(report: Report) -> str:
    """GO, GO WITH CONDITIONS, NO-GO or UNDECIDED; a run without a valid measurement is undecided."""
    word = BADGES.get(report.decision.outcome, "UNDECIDED")
    return f"{word} WITH CONDITIONS" if conditions(report) else word


def sentence(report: Report) -> str:
    """The decision without the word that the badge already says."""
    word = BADGES.get(report.decision.outcome, "UNDECIDED")
    return sentence_text(report.decision.sentence.removeprefix(f"{word}:").strip())


def created_text(report: Report) -> str:
    """When the report was made, in words."""
    return moment_text(report.created)


def moment_text(text: str) -> str:
    """`1 March 2026, 14:21 UTC`; the text as it is when it is no ISO 8601 time."""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return text
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
        *(("Goodput", verdict_text(v)) for v in point.verdicts if v.criterion.metric == "goodput"),
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


def inert_json(text: str) -> str:
    """JSON that stays inside its script element whatever its strings hold: no `<`, `>`, `&` or line separators."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
