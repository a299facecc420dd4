"""An HTML page as a PDF, by the Chromium that is installed; the page's own print style decides how it looks."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from toolkit.errors import EnvironmentProblem, MissingDependency
from toolkit.records import write_bytes

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
)
TIMEOUT_S = 120.0


def browser_here() -> str | None:
    """The path of a Chromium, None without one."""
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


def write_pdf(html: Path, pdf: Path) -> None:
    """Print `html` into `pdf`. Raises MissingDependency without a browser, EnvironmentProblem when it fails."""
    browser = browser_here()
    if browser is None:
        raise MissingDependency("there is no Chromium to print with", mend="apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="poc-toolkit-pdf-") as folder:
        printed = Path(folder) / "page.pdf"
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", f"--print-to-pdf={printed}"]
        done = _run([*command, html.resolve().as_uri()])
        if not printed.is_file():
            last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            raise EnvironmentProblem(f"{browser} did not print {html}: {last}", mend="open it in a browser, and print")
        write_bytes(pdf, printed.read_bytes())


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as err:
        raise EnvironmentProblem(f"{command[0]} was not done within {TIMEOUT_S:g} s") from err
