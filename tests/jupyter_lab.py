"""A JupyterLab of our own, started as `make lab` starts it, and a real Chromium that looks at it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tiny_poc import wait_until

ROOT = Path(__file__).parents[1]
TOKEN = "tests"
CHROMIUM = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync")  # fmt: skip
#: Of a notebook in JupyterLab: the code cells, the prompt of each, and the outputs that a reader sees.
CELL, PROMPT = ".jp-Notebook .jp-CodeCell", ".jp-InputPrompt"
ERRORS = tuple(f'.jp-Notebook [data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr"))
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def make_workplace(folder: Path) -> Path:
    """A checkout to write in: the code is linked; PoCs and notebooks are copies, and the runs are its own."""
    (folder / "home").mkdir(parents=True)
    for name in ("toolkit", "deploy_templates", "README.md"):
        (folder / name).symlink_to(ROOT / name)
    made = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("pocs", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=made)
    return folder


def environment_of(workplace: Path) -> dict[str, str]:
    """A home of its own below the workplace, the workplace's code first; only what was trained before is shared."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    others = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
    return others | {
        "HOME": str(workplace / "home"),
        "JUPYTER_CONFIG_DIR": str(workplace / "home" / ".jupyter"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "POC_FAST": "1",
        "PYTHONPATH": str(workplace),
        "XDG_CACHE_HOME": cache,
    }


@contextmanager
def jupyter_lab(workplace: Path) -> Iterator[str]:
    """The address of a JupyterLab with the project's settings; it and its kernels are gone afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", f"--IdentityProvider.token={TOKEN}"]
    settings = {"JUPYTER_CONFIG_PATH": str(workplace / "notebooks" / "settings")}
    with (workplace / "lab.log").open("w") as log:
        process = subprocess.Popen(
            [*words, f"--ServerApp.root_dir={workplace}"],
            cwd=workplace, env=environment_of(workplace) | settings, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for_port(port, process, workplace / "lab.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


@dataclass(slots=True)
class Window:
    """A page of the browser, and what went on behind it."""

    page: Any
    address: str
    pictures: Path
    outside: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, name: str) -> None:
        """Open a notebook and wait until its cells and its kernel are there."""
        self.page.goto(f"{self.address}/lab/tree/notebooks/{name}?token={TOKEN}&reset")
        self.page.locator(CELL).first.wait_for(timeout=60_000)
        # The page calls a kernel idle before there is one, and whoever presses Run then is asked to choose one.
        wait_until(self._has_kernel, 60)
        self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=60_000)

    def _has_kernel(self) -> bool:
        self.page.wait_for_timeout(100)
        answer = self.page.request.get(f"{self.address}/api/kernels?token={TOKEN}")
        # While a kernel is being started the list of kernels may be an error for a moment.
        return answer.ok and any(k["connections"] and k["execution_state"] == "idle" for k in answer.json())

    def run_all(self) -> None:
        """Press Run, Run All Cells."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def wait_until_done(self, seconds: float) -> None:
        """Wait until no cell runs or waits and every one has run."""
        until = time.monotonic() + seconds
        while not all(re.fullmatch(r"\[\d+\]:", text) for text in self.prompts()):
            if time.monotonic() > until:
                self.picture("late")
                raise AssertionError(f"cells are not done after {seconds:g} s: {self.prompts()}")
            self.page.wait_for_timeout(250)

    def prompts(self) -> list[str]:
        """`[3]:` of a cell that ran, `[*]:` of one that runs or waits, `[ ]:` of one that did neither; seen or not."""
        return [text.strip() for text in self.page.locator(f"{CELL} {PROMPT}").all_text_contents()]

    def errors(self) -> list[str]:
        """The error outputs of all cells."""
        found: list[str] = self.page.locator(", ".join(ERRORS)).all_text_contents()
        return found

    def picture(self, name: str) -> Path:
        """Keep a screenshot of what is seen now."""
        path = self.pictures / f"{name}.png"
        self.page.screenshot(path=path)
        return path

    def pictures_of_all(self, name: str) -> None:
        """A screenshot of each screen of the notebook, from its top to its end."""
        panel = self.page.locator(".jp-WindowedPanel-outer:visible").first
        height, whole = panel.evaluate("e => [e.clientHeight, e.scrollHeight]")
        for number, top in enumerate(range(0, max(whole - 80, 1), height - 80)):
            panel.evaluate("(e, top) => e.scrollTo(0, top)", top)
            self.page.wait_for_timeout(400)
            self.picture(f"{name}-{number:02d}")


@contextmanager
def chromium(
    address: str, executable: str, pictures: Path, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Window]:
    """A window of a real Chromium that notes every request beyond the loopback and every complaint on its console."""
    from playwright.sync_api import sync_playwright

    pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=executable, args=list(CHROMIUM))
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            window = Window(page=page, address=address, pictures=pictures)
            page.on("request", lambda request: _note(window, request.url))
            page.on("websocket", lambda socket: _note(window, socket.url))
            page.on("console", lambda said: window.complaints.append(said.text) if said.type == "error" else None)
            page.on("pageerror", lambda error: window.complaints.append(str(error)))
            if dark:
                _choose_dark(page, address)
            yield window
        finally:
            browser.close()


def _note(window: Window, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOOPBACK:
        window.outside.append(url)


def _choose_dark(page: Any, address: str) -> None:
    plugin = "@jupyterlab/apputils-extension:themes"
    page.request.put(
        f"{address}/lab/api/settings/{plugin}?token={TOKEN}", data={"raw": '{"theme": "JupyterLab Dark"}'},
    )  # fmt: skip
