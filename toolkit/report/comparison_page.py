"""Two runs beside each other as one HTML page that asks nobody for anything. A ComparisonPage in, HTML text out."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.report.html import inert_json, template_environment
from toolkit.report.table import Table

TONES = {"PASS": "go", "FAIL": "no-go"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPage:
    """What the page says: `outcome` of the gates, empty without any; `raw` is the comparison as JSON text."""

    title: str
    created: str
    outcome: str
    sentence: str
    sides: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    mark: str
    raw: str


def render_comparison(page: ComparisonPage) -> str:
    """The whole document. Raises MissingDependency without the `report` extra."""
    from markupsafe import Markup

    template = template_environment().get_template("comparison.html.j2")
    tone = TONES.get(page.outcome, "undecided")
    text: str = template.render(page=page, tone=tone, raw=Markup(inert_json(page.raw)))
    return text
