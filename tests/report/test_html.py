"""The HTML document: parsed as a browser would, self-contained, safe against its own contents, and complete."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from toolkit.report.html import created_text, keep_units, render_html
from toolkit.report.report import CPU_MARK, Report, report_json

pytest.importorskip("altair", reason="the report needs the `report` extra")
pytest.importorskip("vl_convert", reason="the report needs the `report` extra")

Reports = dict[str, Callable[..., Report]]
VOID = {"meta", "link", "br", "wbr", "hr", "img", "input"}
NAMES = ("passed", "undecided", "failed", "invalid", "empty", "hostile", "gpu", "open", "mixed")
SECTIONS = (
    "Recommended configuration",
    "Criteria, as written down before the run",
    "Risks",
    "Speed and correctness",
    "Where the time goes",
    "Configurations compared",
    "Sizing and cost",
    "What this does not show",
    "Warnings",
    "How it was measured",
    "Glossary",
)
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


class Document(HTMLParser):
    """Elements with their attributes, the text, and that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data.replace("\u00a0", " ")))

    def said(self, *tags: str) -> list[str]:
        return [text.strip() for tag, text in self.texts if (not tags or tag in tags) and text.strip()]


@pytest.fixture(scope="module")
def pages(reports: Reports) -> dict[str, str]:
    return {name: render_html(reports[name]()) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_every_section_is_there_and_every_element_is_closed(pages: dict[str, str], name: str) -> None:
    document = Document(pages[name])
    assert document.open == []
    assert tuple(document.said("h2")) == SECTIONS
    assert document.elements.count(("h1", {})) == 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_fetched_from_anywhere(pages: dict[str, str], name: str) -> None:
    document = Document(pages[name])
    outside = {
        value
        for _, attributes in document.elements
        for key, value in attributes.items()
        if value and re.search(r"https?:|//", value) and not key.startswith("xmlns")
    }
    assert outside == set()
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/(2000/svg|1999/xlink)\")", pages[name])
    assert {tag for tag, _ in document.elements} & {"img", "iframe", "object", "embed", "video", "audio"} == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_only_script_element_is_data(pages: dict[str, str], name: str) -> None:
    document = Document(pages[name])
    scripts = [attributes for tag, attributes in document.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "report-json"}]
    assert not any(key.startswith("on") for _, attributes in document.elements for key in attributes)


@pytest.mark.parametrize("name", NAMES)
def test_the_raw_data_is_the_report(pages: dict[str, str], reports: Reports, name: str) -> None:
    raw = "".join(text for tag, text in Document(pages[name]).texts if tag == "script")
    assert json.loads(raw) == json.loads(report_json(reports[name]()))


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_has_a_title_a_description_and_ids_of_its_own(pages: dict[str, str], name: str) -> None:
    document = Document(pages[name])
    tags = [tag for tag, _ in document.elements]
    # One <title> is the document's.
    assert tags.count("svg") == tags.count("desc") == tags.count("title") - 1
    ids = [str(attributes["id"]) for _, attributes in document.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    assert all(document.said("desc"))


@pytest.mark.parametrize(
    ("name", "badge"),
    [
        *(("passed", "GO WITH CONDITIONS"), ("gpu", "GO WITH CONDITIONS")),
        *(("failed", "NO-GO"), ("undecided", "UNDECIDED")),
        *(("invalid", "UNDECIDED"), ("empty", "UNDECIDED")),
    ],
)
def test_page_one_decides(pages: dict[str, str], name: str, badge: str) -> None:
    document = Document(pages[name])
    classes = [attributes.get("class") for _, attributes in document.elements]
    assert f"decision {badge.split()[0].lower()}" in classes
    assert badge in document.said("p")
    assert not any(text.startswith(f"{badge.split()[0]}:") for text in document.said("p"))
    assert ("Heed the warning Drifting" in " ".join(document.said("li"))) is badge.endswith("CONDITIONS")


def test_the_criteria_table_has_what_a_customer_asks_for(pages: dict[str, str]) -> None:
    said = Document(pages["passed"]).said("td", "th", "span")
    assert {"Target", "Measured", "95 % interval", "Effective samples", "Verdict"} <= set(said)
    assert {"p99 ≤ 20 ms", "18.2 ms", "17.5 ms to 19.1 ms", "1,227 of 3,189", "PASS"} <= set(said)


def test_cpu_figures_are_marked_at_the_top_at_each_chart_and_in_print(pages: dict[str, str]) -> None:
    document = Document(pages["passed"])
    assert document.said("body", "p")[0] == CPU_MARK
    charts = sum(tag == "figcaption" for tag, _ in document.elements)
    assert document.said("strong").count(f"{CPU_MARK}.") == charts >= 2
    assert "Measured on a CPU" in document.said("text")
    assert f'content: "{CPU_MARK}"' in pages["passed"]


def test_gpu_figures_are_not(pages: dict[str, str]) -> None:
    assert "Measured on a CPU" not in pages["gpu"]


def test_another_machines_figures_carry_no_mark_of_this_one(reports: Reports) -> None:
    page = render_html(reports["passed"](remote="gpu-box:8000"))
    assert CPU_MARK not in Document(page).said("p", "strong") and "Machine of the load generator" in page


def test_parts_that_are_missing_are_said_to_be_missing(pages: dict[str, str]) -> None:
    said = " ".join(Document(pages["empty"]).said())
    for text in (
        "None: this run does not support a recommendation.",
        "Nothing was measured, so there is no curve.",
        "Through the server: not compared in this run.",
        "The server's statistics were not taken",
        "No configuration was measured.",
        "No demand was given, so no number of machines",
        "No measurement of this run carries a warning.",
        "None: Nothing was measured.",
    ):
        assert text in said


def test_an_open_load_is_told_from_a_closed_one(pages: dict[str, str]) -> None:
    said = {name: " ".join(Document(pages[name]).said()) for name in ("passed", "open", "mixed")}
    closed, opened = "Latency over the load, closed loops", "Latency over the load, open loads"
    assert closed in said["passed"] and opened not in said["passed"] and "with 4 clients at once" in said["passed"]
    assert opened in said["open"] and closed not in said["open"]
    assert "with 300 requests/s offered (poisson)" in said["open"]
    assert "Behaviour above 400 requests/s, the highest rate that was offered." in said["open"]
    assert "Each simulated client waits" not in said["open"]
    assert closed in said["mixed"] and opened in said["mixed"]
    assert "the whole sweep" in said["mixed"] and "9.1 ms after 7.6 ms" in said["mixed"]


def test_hostile_names_are_shown_as_they_are(pages: dict[str, str]) -> None:
    document = Document(pages["hostile"])
    assert "<script>alert('x')</script>&\"</svg>" in document.said("h1")
    assert "<script>alert" not in pages["hostile"]


def test_an_ensemble_executes_no_batches_of_its_own(pages: dict[str, str]) -> None:
    titles = [text.partition(":")[0] for text in Document(pages["passed"]).said("desc") if "executions" in text]
    assert titles == ["digits_decode", "digits_classifier"]


def test_commands_can_be_copied(reports: Reports) -> None:
    page = render_html(reports["passed"](commands=("toolkit sweep digits --seed 3 s", "echo '<&>'")))
    assert "toolkit sweep digits --seed 3 s\necho '<&>'" in "".join(
        text for tag, text in _raw_texts(page) if tag == "code"
    )


def _raw_texts(page: str) -> list[tuple[str, str]]:
    """As Document's texts, with the no-break spaces that it turns into plain ones."""
    document = Document(page.replace("\u00a0", "~"))
    return document.texts


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("p99 18.2 ms (limit 20 ms)", "p99 18.2\u00a0ms (limit 20\u00a0ms)"),
        ("25 % less", "25\u00a0% less"),
        ("p99 ≤ 20 ms", "p99 ≤\u00a020\u00a0ms"),
        ("4 samples", "4 samples"),
        (7, 7),
    ],
)
def test_numbers_stay_with_their_units(value: Any, kept: Any) -> None:
    assert keep_units(value) == kept


@pytest.mark.parametrize(
    ("created", "text"),
    [
        ("2026-03-01T14:21:40Z", "1 March 2026, 14:21 UTC"),
        ("2026-03-01T15:21:40+01:00", "1 March 2026, 14:21 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_created(reports: Reports, created: str, text: str) -> None:
    assert created_text(reports["passed"](created=created)) == text


@pytest.mark.browser
def test_a_browser_opens_it_alone(pages: dict[str, str], tmp_path: Path) -> None:
    """No request but the file itself, no console message, no sideways scrolling; one page-one in print."""
    api = pytest.importorskip("playwright.sync_api", reason="the browser test needs playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        for name in ("passed", "hostile", "empty"):
            path = tmp_path / f"{name}.html"
            path.write_text(pages[name], encoding="utf-8")
            for width in (390, 1280):
                requests, messages = _visit(browser, path, width)
                assert requests == [path.as_uri()], name
                assert messages == [], name
        browser.close()


def _visit(browser: Any, path: Path, width: int) -> tuple[list[str], list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark")
    requests: list[str] = []
    messages: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown = "figure .wide" if width > 640 else "figure .narrow"
    assert page.locator(f"{shown} svg").count() == page.locator(f"{shown} svg:visible").count()
    page.close()
    return requests, messages
