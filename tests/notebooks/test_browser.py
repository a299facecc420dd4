"""The notebooks in a real Chromium through JupyterLab, as `make lab` opens it: pressed, moved, looked at."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_lab import ROOT, Window, chromium
from tiny_poc import points_of, write_poc

from toolkit.report.pdf import browser_here
from toolkit.workflow.scaffold import new_notebook

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.browser,
    pytest.mark.skipif(browser_here() is None, reason="there is no Chromium: apt-get install chromium"),
]
NAMES = sorted(p.name for p in (ROOT / "notebooks").glob("*.ipynb"))
WHOLE = "10-vision.ipynb"
CURVE = ".jp-OutputArea svg:has-text('latency')"


@pytest.fixture
def window(lab: str, pictures: Path) -> Iterator[Window]:
    pytest.importorskip("playwright", reason="the browser is driven by the `test` extra")
    with chromium(lab, browser_here() or "", pictures) as opened:
        yield opened
        assert opened.outside == [], "a page asked somebody outside"
        assert opened.complaints == [], "the page complains on its console"


def test_make_lab_opens_the_first_notebook_with_the_settings_that_are_tried_here() -> None:
    # Under `make test` make is a child of make, and says its folder before and after.
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    words = said.splitlines()[-1].split()
    assert words[-2:] == ["lab", "notebooks/00-start-here.ipynb"]
    assert words[0] == f"JUPYTER_CONFIG_PATH={ROOT}/notebooks/settings"


@pytest.mark.parametrize("name", [n for n in NAMES if n != WHOLE])
def test_a_notebook_opens_without_a_question(window: Window, name: str) -> None:
    window.open(name)
    window.page.wait_for_timeout(1500)
    window.picture(f"open-{name}")
    assert window.page.locator(".jp-Dialog").count() == 0
    assert window.page.locator(".Toastify__toast:visible").count() == 0
    # What is kept from an earlier run has its count; nothing runs by itself.
    assert window.prompts() and "[*]:" not in window.prompts()


def test_the_vision_notebook_runs_whole(window: Window) -> None:
    run_whole(window, WHOLE)


def test_stop_keeps_what_was_measured_and_the_notebook_goes_on(window: Window, workplace: Path) -> None:
    """In a notebook as `toolkit new --notebook` writes it: pressed after the first point, and the rest still runs."""
    poc = write_poc(workplace / "pocs" / "brief", candidates=2, loads=3, duration_s=2) / "poc.yaml"
    poc.write_text(poc.read_text().replace("net:", "brief:"))
    window.open(new_notebook(poc.parent, "vision", workplace / "notebooks").name)
    window.run_all()
    window.page.get_by_text(re.compile("1 of 6 points measured")).first.wait_for(timeout=120_000)
    window.picture("measuring")
    # Not by its role: what is scrolled out of sight has none.
    window.page.locator(".jupyter-button", has_text="Stop").first.click()
    window.page.locator(".jupyter-button", has_text="Stopped").first.wait_for(state="attached", timeout=60_000)
    window.wait_until_done(120)
    window.picture("stopped")
    assert window.errors() == []
    assert 0 < len([p for p in points_of(workplace / "runs") if p.parts[-3].startswith("delay-")]) < 6
    assert window.page.locator(CURVE).count() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n != WHOLE])
def test_the_others_run_whole(window: Window, name: str) -> None:
    run_whole(window, name)


def run_whole(window: Window, name: str) -> None:
    """Run All, then move the first slider: every cell ran, none shows an error, the curve is there and answers."""
    window.open(name)
    window.run_all()
    window.wait_until_done(240)
    assert window.errors() == []
    window.pictures_of_all(f"run-{name}")
    if name in ("00-start-here.ipynb", "90-handover.ipynb"):
        return
    assert window.page.locator(CURVE).count() > 0
    move_a_slider(window)


def move_a_slider(window: Window) -> None:
    """The first slider, by its keys as somebody without a mouse would: what it says and what it draws change."""
    handle = window.page.locator(".widget-slider .noUi-handle").first
    output = window.page.locator(".jp-OutputArea-output", has=window.page.locator(".noUi-handle")).first
    before = output.inner_html()
    handle.focus()
    handle.press("Home")
    window.page.wait_for_function("([e, old]) => e.innerHTML.replace(/\\\\s/g, '') !== old", arg=[
        output.element_handle(), re.sub(r"\s", "", before)])  # fmt: skip
    window.picture("slider")
