"""The forms of one report: the whole, its first page, the redacted one, the PDF, the comparison; in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from simulated_run import run_folder
from tiny_poc import toolkit

from toolkit.load.queue_model import Queue
from toolkit.report.pdf import browser_here
from toolkit.size.demand import Demand
from toolkit.size.plan import Asked
from toolkit.workflow.report import write_report
from toolkit.workflow.size import size_run

QUEUE = Queue(service_s=0.003, row_s=0.0004, max_batch_size=8, batch_delay_s=0.001)
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")
#: An A4 page within its margins, in CSS pixels.
A4_WIDTH, A4_HEIGHT = 680, 1000


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs of queues, of which the second is slower; the first with a plan."""
    place = tmp_path_factory.mktemp("forms")
    rates = (300.0, 600.0, 900.0, 1100.0)
    one = run_folder(place / "one", QUEUE, rates, "p99=20ms", duration_s=8.0)
    slower = Queue(service_s=0.0045, row_s=0.0006, max_batch_size=8, batch_delay_s=0.001)
    other = run_folder(place / "other", slower, rates, "p99=20ms", duration_s=8.0)
    size_run(one, Asked(demand=Demand(peak_per_s=5000, growth_per_year=0.3, years=2)), prices="example")
    return one, other


def test_the_summary_is_the_first_page_of_the_same_values(runs: tuple[Path, Path]) -> None:
    whole, summary = ((runs[0] / name).read_text() for name in ("report.html", "summary.html"))
    start, end = '<section class="first">', "</section>"
    first = whole[whole.index(start) : whole.index(end)]
    assert first == summary[summary.index(start) : summary.index(end)]
    assert "<h2>Where the time goes</h2>" not in summary and len(summary) < len(whole) / 3


def test_a_report_elsewhere_overwrites_no_other_summary(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "summary.html").write_text("the customer's own")
    write_report(runs[0], tmp_path / "vision.html")
    assert (tmp_path / "summary.html").read_text() == "the customer's own"
    assert "</html>" in (tmp_path / "vision.summary.html").read_text()


def test_the_redacted_report_lies_beside_and_the_own_one_stays(runs: tuple[Path, Path], tmp_path: Path) -> None:
    before = (runs[0] / "report.html").read_bytes()
    done = toolkit("report", runs[0], "--redact", "--word", "queue", "--output", tmp_path / "shown.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (runs[0] / "report.html").read_bytes() == before
    shown = (tmp_path / "shown.html").read_text()
    assert str(runs[0]) not in shown and "A [customer]" not in shown and "Proof of concept" in shown


def test_a_comparison_is_a_page(runs: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    gate = ("--gate", "p99:+10%")
    done = toolkit("compare", *runs, "--recorded", *gate, "--report", page, "--same-machine", cwd=tmp_path)
    assert done.returncode == 1, done.stderr  # B is slower, and the gate says so
    text = page.read_text()
    assert "differences are more than noise" in text and ">FAIL<" in text and runs[0].name in text
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="the browser tests need playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield found
        found.close()


def opened(browser: Any, page: Path, width: int, requests: list[str]) -> Any:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    return tab


@pytest.mark.browser
@pytest.mark.parametrize("name", ["report.html", "summary.html"])
def test_no_page_asks_anybody_and_all_can_be_read_at_390_pixels(
    runs: tuple[Path, Path], browser: Any, name: str
) -> None:
    requests: list[str] = []
    tab = opened(browser, runs[0] / name, 390, requests)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    smallest = "Math.min(...[...document.querySelectorAll('main p, main td, main li, main dd')]"
    assert tab.evaluate(smallest + ".map(e => parseFloat(getComputedStyle(e).fontSize)))") >= 12
    wide = "[...document.querySelectorAll('.stack')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert tab.evaluate(wide) == 0
    assert requests == [(runs[0] / name).as_uri()]
    tab.close()


@pytest.mark.browser
def test_nothing_is_cut_off_on_a4(runs: tuple[Path, Path], browser: Any) -> None:
    tab = opened(browser, runs[0] / "report.html", A4_WIDTH, [])
    tab.emulate_media(media="print")
    wider = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert tab.evaluate(f"{wider}.map(e => e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 60))") == []
    first = tab.evaluate("document.querySelector('section.first').getBoundingClientRect().bottom")
    assert first < 2 * A4_HEIGHT
    tab.close()


@pytest.mark.browser
def test_a_pdf_is_printed(runs: tuple[Path, Path], tmp_path: Path) -> None:
    if browser_here() is None or shutil.which("chromium") is None:
        pytest.skip("no Chromium")
    done = toolkit("report", runs[0], "--output", tmp_path / "r.html", "--pdf", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "r.pdf").read_bytes()
    pages = len(re.findall(rb"/Type\s*/Page\b", content))
    assert content.startswith(b"%PDF-") and 4 <= pages <= 16
    assert re.search(rb"/MediaBox\s*\[0 0 59[45][.\d]* 84[12][.\d]*\]", content)  # A4 in points
