"""The decision as a card, the bundle as a tree with a look into each file, ready to be looked at."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.deploy.validate import Finding
from toolkit.errors import UsageError
from toolkit.records import files_below
from toolkit.report.html import badge, recommended, sentence
from toolkit.report.report import BundleOmitted
from toolkit.report.statements import conditions, risks
from toolkit.workflow.deploy import Deployment, deploy_run
from toolkit.workflow.report import DECISION, report_run
from toolkit.workshop import actions
from toolkit.workshop.actions import short
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import FRAME, TEXT, View, note, same_as

COLOURS = {"GO": "#009E73", "GO WITH CONDITIONS": "#E69F00", "NO-GO": "#D55E00"}
UNDECIDED = "#6F7782"
PREVIEW_BYTES = 20_000
#: How high the list of files and the look into one stand beside each other.
PANE = "400px"

#: JupyterLab breaks the words of a `pre` anywhere.
WRAP = "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"


class Card:
    """The decision of a run: HTML in a notebook, text elsewhere."""

    def __init__(self, run: Path) -> None:
        self._report = report_run(run)
        self.word = badge(self._report)

    def _repr_html_(self) -> str:
        colour = COLOURS.get(self.word, UNDECIDED)
        facts = "".join(
            f"<tr><th scope='row' style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for name, text in recommended(self._report)
        )
        lists = "".join(_listed(title, texts) for title, texts in self._lists())
        style = f"border:1px solid {FRAME};border-left:8px solid {colour};border-radius:4px;padding:12px 18px"
        return (
            f"<div style='{style};max-width:720px;color:{TEXT}' role='region' aria-label='Decision'>"
            f"<div style='font-size:20px;font-weight:700'>{html.escape(self.word)}</div>"
            f"<p>{html.escape(sentence(self._report))}</p><table>{facts}</table>{lists}</div>"
        )

    def _lists(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        risky = tuple(f"{risk.name}: {risk.text}" for risk in risks(self._report))
        return (("Conditions", conditions(self._report)), ("Risks", risky))

    def __repr__(self) -> str:
        lines = [f"{self.word}: {sentence(self._report)}"]
        lines += [f"  {name}: {text}" for name, text in recommended(self._report)]
        lines += [f"  {title[:-1]}: {text}" for title, texts in self._lists() for text in texts]
        return "\n".join(lines)


def _listed(title: str, texts: tuple[str, ...]) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f"<p style='margin:8px 0 0;font-weight:600'>{title}</p><ul>{items}</ul>" if texts else ""


@plainly
def decision(run: Path) -> Card:
    """GO, GO with conditions, NO-GO or undecided, what is recommended, and what speaks against it."""
    if not (run / DECISION).is_file():
        raise UsageError(f"{short(run)} is not decided yet", mend="run the cell with workshop.measure first")
    same_as(actions.report(run))
    return Card(run)


@plainly
def deploy(run: Path, *, target: str = "compose", allow_unproven: bool = False) -> View:
    """Write the deployment bundle of a run and show its files; without a PASS, why there is none and the mend."""
    output = run / f"bundle-{target}"
    same_as(actions.deploy(run, output, target=target, allow_unproven=allow_unproven))
    found = report_run(run)
    if found.decision.outcome != "PASS" and isinstance(found.bundle, BundleOmitted) and not allow_unproven:
        text = f"no bundle: {found.bundle.reason}"
        return View(widget=widgets.HTML(note(text)), text=text)
    asked = Deployment(target=target, allow_unproven=allow_unproven)
    return bundle(output, deploy_run(run, output, asked, replace=True))


def bundle(folder: Path, validation: tuple[Finding, ...] = ()) -> View:
    """The files of a bundle as a list to choose from, with a look into the chosen one."""
    names = files_below(folder)
    if not names:
        raise UsageError(f"{short(folder)} holds no bundle", mend="workshop.deploy(run) writes one")
    start = "README.md" if "README.md" in names else names[0]
    branches = _tree(names)
    size = {"width": "340px", "height": PANE}
    listed = widgets.Select(options=branches, value=start, description="", layout=size)
    listed.tooltip = "Files of the bundle"
    look = widgets.HTML(layout={"flex": "1 1 0", "min_width": "0"})

    def show(_: Any = None) -> None:
        look.value = _preview(folder / listed.value)

    listed.observe(show, names="value")
    show()
    bad = [f for f in validation if f.outcome == "failed"]
    faults = "".join(f"\n{f.tool}, {f.file}: {f.reason}" for f in bad)
    verdict = f"{'FAIL' if bad else 'PASS'}: {len(names)} files in {short(folder)}{faults}"
    head = widgets.HTML(note(verdict, strong=True))
    widget = widgets.VBox([head, widgets.HBox([listed, look], layout={"grid_gap": "12px", "max_width": "1100px"})])
    return View(widget=widget, text="\n".join((verdict, *names)), names={"files": listed, "preview": look})


def _tree(names: Sequence[str]) -> list[tuple[str, str]]:
    """Files below their folders, each with the path that it stands for."""
    found: dict[str, str] = {}
    for name in names:
        *folders, last = name.split("/")
        for depth, folder in enumerate(folders):
            found.setdefault("/".join(folders[: depth + 1]), "\u2003" * depth + f"\u25be {folder}/")
        found[name] = "\u2003" * len(folders) + last
    return [(text, path) for path, text in found.items()]


def _preview(path: Path) -> str:
    try:
        text = "\n".join(files_below(path)) if path.is_dir() else path.read_bytes()[:PREVIEW_BYTES].decode()
    except UnicodeDecodeError:
        text = f"{path.name} is not text: {path.stat().st_size:,} bytes"
    frame = f"border:1px solid {FRAME};border-radius:4px;padding:8px;overflow:auto"
    style = f"{frame};height:{PANE};box-sizing:border-box;margin:0;{WRAP};color:{TEXT};font-size:12px;line-height:1.35"
    label = f"Contents of {html.escape(path.name)}"
    return f"<pre tabindex='0' aria-label='{label}' style='{style}'>{html.escape(text)}</pre>"
