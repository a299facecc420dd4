"""Several runs as one HTML page that asks nobody for anything: the decisions first, then every report whole.

In: a HandoverPage. Out: HTML text. What could not be handed over stands on the first page, too.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from toolkit.report.html import badge, inert_json, moment_text, recommended, render_body, sentence, template_environment
from toolkit.report.report import Report, report_json
from toolkit.report.statements import risks
from toolkit.report.table import VERDICT, Table, text_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverPage:
    """What the page says. `missing` are runs that were asked for and are not here, each with its reason."""

    title: str
    created: str
    reports: tuple[Report, ...]
    missing: tuple[tuple[str, str], ...]
    bundle: tuple[str, ...]


def render_handover(page: HandoverPage) -> str:
    """The whole document. Raises MissingDependency without the `report` extra."""
    from markupsafe import Markup

    documents = ", ".join(report_json(report) for report in page.reports)
    text: str = (
        template_environment()
        .get_template("handover.html.j2")
        .render(
            page=page,
            created=moment_text(page.created),
            tone=tone_of(page),
            badge=", ".join(f"{count} {word}" for word, count in counted(page).items()) or "NOTHING DECIDED",
            decisions=decisions_table(page),
            cases=[_case(number, report) for number, report in enumerate(page.reports, 1)],
            bodies=[
                Markup(_distinct(render_body(report), f"case-{number}"))
                for number, report in enumerate(page.reports, 1)
            ],
            mark=next((r.device_mark for r in page.reports if r.device_mark), ""),
            raw=Markup(inert_json(f"[{documents}]")),
        )
    )
    return text


def counted(page: HandoverPage) -> dict[str, int]:
    """How many use cases have each badge, and how many runs are missing."""
    found = Counter(badge(report) for report in page.reports)
    return dict(found) | ({"MISSING": len(page.missing)} if page.missing else {})


def tone_of(page: HandoverPage) -> str:
    """`go` where every use case passed and none is missing, `no-go` where one failed, else `undecided`."""
    outcomes = {report.decision.outcome for report in page.reports}
    if "FAIL" in outcomes:
        return "no-go"
    return "go" if outcomes == {"PASS"} and not page.missing else "undecided"


def decisions_table(page: HandoverPage) -> Table:
    """A row for each run that was asked for."""
    columns = (*text_columns("Use case", "Configuration", "Proven with", "Throughput", "Run"), VERDICT)
    rows = tuple(_row(report) for report in page.reports)
    absent = tuple((name, "–", "–", "–", reason, "NOT DONE") for name, reason in page.missing)
    return Table(caption="What was decided", columns=columns, rows=(*rows, *absent))


def _row(report: Report) -> tuple[str, ...]:
    chosen = dict(recommended(report))
    figures = (chosen.get(key, "none") for key in ("Configuration", "Proven with", "Throughput"))
    return (report.title, *figures, report.run, report.decision.outcome)


def _case(number: int, report: Report) -> dict[str, Any]:
    """What the first page says about a use case."""
    tones = {"PASS": "go", "FAIL": "no-go"}
    return {
        "anchor": f"case-{number}",
        "title": report.title,
        "badge": badge(report),
        "tone": tones.get(report.decision.outcome, "undecided"),
        "sentence": sentence(report),
        "risks": risks(report, most=2),
    }


def _distinct(html: str, prefix: str) -> str:
    """The same HTML with ids of its own, so that several stand on one page."""
    html = re.sub(r'(?<=\saria-labelledby=")[^"]+', lambda m: _each(m.group(), prefix), html)
    return re.sub(r'(?<=\sid=")|(?<=\burl\(#)', f"{prefix}-", html)


def _each(names: str, prefix: str) -> str:
    return " ".join(f"{prefix}-{name}" for name in names.split())
