"""The page of a handover: what its first page says of each run, and that nothing on it needs or names another."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from toolkit.report.handover_page import HandoverPage, counted, decisions_table, render_handover, tone_of
from toolkit.report.report import Report

Reports = dict[str, Callable[..., Report]]
MISSING = (("latest:<llm>", "there is no run of '<llm>'"),)


def page_of(*reports: Report, missing: tuple[tuple[str, str], ...] = ()) -> HandoverPage:
    return HandoverPage(title="Acme <b>", created="2026-03-01", reports=reports, missing=missing, bundle=("None: x.",))


@pytest.mark.parametrize(
    ("names", "missing", "tone"),
    [
        (("passed", "passed"), (), "go"),
        (("passed",), MISSING, "undecided"),
        (("passed", "undecided"), (), "undecided"),
        (("passed", "failed"), (), "no-go"),
        ((), MISSING, "undecided"),
    ],
)
def test_the_whole_is_no_better_than_its_parts(
    names: tuple[str, ...], missing: tuple[tuple[str, str], ...], tone: str, reports: Reports
) -> None:
    page = page_of(*(reports[name]() for name in names), missing=missing)
    assert tone_of(page) == tone
    assert sum(counted(page).values()) == len(names) + len(missing)
    verdicts = [row[-1] for row in decisions_table(page).rows]
    assert len(verdicts) == len(names) + len(missing) and verdicts.count("NOT DONE") == len(missing)


def test_every_report_is_whole_and_every_id_stands_once(reports: Reports) -> None:
    html = render_handover(page_of(*(build() for build in reports.values()), missing=MISSING))
    ids = re.findall(r'\sid="([^"]+)"', html)
    clips = {name for name in ids if "clip" in name}
    assert len(set(ids)) >= len(reports) and sorted(set(ids) - clips) == sorted(i for i in ids if i not in clips)
    for group in re.findall(r'aria-labelledby="([^"]+)"', html):
        assert set(group.split()) <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    assert html.count("<h2>Where the time goes</h2>") == len(reports)
    assert "&lt;llm&gt;" in html and "<llm>" not in html and "Acme &lt;b&gt;" in html
    shown = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    assert "<script" not in shown and not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', shown)


def test_the_figures_of_all_are_inside(reports: Reports) -> None:
    html = render_handover(page_of(reports["passed"](), reports["failed"]()))
    raw = re.search(r'<script type="application/json" id="handover-json">(.*?)</script>', html, re.DOTALL)
    assert raw is not None
    assert [document["decision"]["outcome"] for document in json.loads(raw[1])] == ["PASS", "FAIL"]
