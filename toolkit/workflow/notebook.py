"""`toolkit new --notebook`: a guided notebook for a customer's PoC, built like those that come with the toolkit.

In: a PoC's name, folder and family. Out: the text of an .ipynb file. It runs nothing and knows no family by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from toolkit.families.family import Family

HOME = "00-start-here.ipynb"
NAVIGATION = f"[Home: start here]({HOME})"

Kind = Literal["markdown", "code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, one sentence of why, and cells of code with the words before each."""

    title: str
    why: str
    cells: tuple[tuple[str, str], ...]


def notebook_text(name: str, folder: str, family: Family, *, with_home: bool) -> str:
    """A notebook for the PoC `name` in `folder`, as the notebook will name it.

    with_home: the notebooks of the toolkit lie beside it, so that it can lead back to them.
    """
    sections = tuple(_sections(name.replace("-", "_"), folder, family))
    navigation = NAVIGATION if with_home else "PoC Toolkit for Triton"
    cells = [_cell("markdown", f"{navigation}\n\n{_header(name, family)}")]
    for number, section in enumerate(sections, 1):
        heading = f"## {number} of {len(sections)} · {section.title}\n\n{section.why}"
        for before, code in section.cells:
            cells.append(_cell("markdown", heading if not before else f"{heading}\n\n{before}" if heading else before))
            cells.append(_cell("code", code, tags=("parameters",) if code.startswith("POC =") else ()))
            heading = ""
    cells.append(_cell("markdown", navigation))
    for number, cell in enumerate(cells):
        cell["id"] = f"{name}-{number:02d}"[:64]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(kind: Kind, text: str, *, tags: tuple[str, ...] = ()) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": kind, "id": "", "metadata": metadata, **more, "source": text.splitlines(keepends=True)}


def _header(name: str, family: Family) -> str:
    return f"""\
# {name}: from your model to a decision

**Goal**: know how many requests per second this machine serves within the objective, each carrying one \
{family.inference}, and leave with a report and a deployment bundle.

| minutes | needs | you leave with |
|---|---|---|
| about 8 (two with `POC_FAST=1`) | this environment; no GPU, no network | a checked export, \
a measured curve and a verdict, `report.html`, a bundle |"""


def _sections(entry: str, folder: str, family: Family) -> Iterator[Section]:
    yield Section(
        title="Is everything here, and is it your model?",
        why="What is missing is named with the command that mends it.",
        cells=(
            ("", "from toolkit import workshop\n\nworkshop.preflight()"),
            (
                "**YOUR MODEL HERE**: the folder that `toolkit new` wrote. Objective, loads and configurations are in "
                "its `poc.yaml`; change the objective to the customer's before you go on.",
                f"POC = {folder!r}".replace("'", '"'),
            ),
            ("The model is opened at once, in a process of its own.", "poc = workshop.open_poc(POC)\npoc"),
            ("What it is, and what goes in and out.", "workshop.inspect(poc)"),
        ),
    )
    yield Section(
        title="Export with parity, and the repository",
        why="Speed means nothing when the answers differ, so the exported model is compared with the original.",
        cells=(("", "run = workshop.build(poc)"), *_editor(entry, family)),
    )
    yield Section(
        title="Serve and measure",
        why="A real Triton serves the files that will go into production. The curve grows point by point, the dashed "
        "line is the objective; Stop keeps what was measured.",
        cells=(
            ("", 'which = workshop.predict("Which configuration wins?", workshop.configurations(poc))\nwhich'),
            ("Every configuration at every load.", "run = workshop.measure(poc)"),
            *_streamed(family),
            ("Was the prediction right?", "workshop.check(which, workshop.winner(run))"),
            ("What if the limit were another? Nothing is measured anew.", "workshop.explore(run)"),
        ),
    )
    yield Section(
        title="Diagnose",
        why="A limit has a name, a figure, a threshold and a remedy.",
        cells=(("", "diagnosis = workshop.diagnose(run)"),),
    )
    yield Section(
        title="Size and cost",
        why="The customer's peak, the room to keep free, the price of an hour: the plan follows from measured curves.",
        cells=(("", 'workshop.size(run, peak=1000, headroom=0.3, price=1.20, currency="EUR")'),),
    )
    yield Section(
        title="Decide, report, deploy",
        why="One sentence that both sides can defend, with its conditions and its risks.",
        cells=(
            ("", "workshop.decision(run)"),
            ("One file without outside links.", "workshop.report(run)"),
            ("After a PASS: the bundle, with a smoke test and alerts.", 'workshop.deploy(run, target="compose")'),
        ),
    )


def _editor(entry: str, family: Family) -> Iterator[tuple[str, str]]:
    """Rows of tensors are batched by Triton's scheduler, which has settings worth a look; other requests are not."""
    if family.asking is None:
        words = "Change a field: the linter speaks beside it. `editor.settings` is what `open_poc` takes to measure it."
        yield words, f'editor = workshop.configure(run, "{entry}")\neditor.view()'


def _streamed(family: Family) -> Iterator[tuple[str, str]]:
    if family.asking is not None:
        words = "The tokens as they come, and when. The model is served for that long and no longer."
        yield words, 'workshop.stream(run, "The import statement", max_tokens=48)'
