"""What every guided notebook has, and what none has: a guide for people, not a program."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from jupyter_lab import ROOT, make_workplace

from toolkit.workflow.scaffold import new_notebook

FOLDER = ROOT / "notebooks"
NAMES = sorted(p.name for p in FOLDER.glob("*.ipynb"))
#: Notebooks that `toolkit new --notebook` writes, by family; the same is asked of them.
NEW = {"vision": "acme.ipynb", "llm": "acme-words.ipynb"}
HOME, LINES, LARGEST = "00-start-here.ipynb", 8, 200_000
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.comprehension)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebooks of the project, and beside them the new ones."""
    place = make_workplace(tmp_path_factory.mktemp("structure") / "checkout")
    for family, name in NEW.items():
        new_notebook(place / "pocs" / Path(name).stem, family, place / "notebooks")
    return place / "notebooks"


@pytest.fixture(params=[*NAMES, *NEW.values()])
def path(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Each notebook in turn."""
    return folder / str(request.param)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def sources(path: Path, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == kind]


def test_the_guided_notebooks_are_these() -> None:
    assert NAMES[0] == HOME and [n[:2] for n in NAMES] == ["00", "10", "20", "30", "90"][: len(NAMES)]


def test_it_says_first_what_for_how_long_and_what_is_left_with(path: Path) -> None:
    first = read(path)["cells"][0]
    text = "".join(first["source"])
    assert first["cell_type"] == "markdown" and re.search(r"^# \S", text, re.MULTILINE)
    assert [word for word in ("**goal**", "minute", "needs", "you leave with") if word not in text.lower()] == []


def test_sections_are_numbered_in_order(path: Path) -> None:
    found = re.findall(r"^## (\d+) of (\d+) · \S", "\n".join(sources(path, "markdown")), re.MULTILINE)
    assert [tuple(map(int, pair)) for pair in found] == [(n, len(found)) for n in range(1, len(found) + 1)]
    assert len(found) >= 3


def test_one_cell_of_parameters_is_marked_for_the_readers_own(path: Path) -> None:
    cells = read(path)["cells"]
    places = [i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", ())]
    assert len(places) == 1
    tree = ast.parse("".join(cells[places[0]]["source"]))
    assert {type(node) for node in tree.body} in ({ast.Assign}, {ast.Assign, ast.ImportFrom})
    before = "".join(cells[places[0] - 1]["source"])
    assert re.search(r"\*\*YOUR [A-Z]+ HERE\*\*", before)


def test_cells_are_calls_of_the_toolkit_and_short(path: Path) -> None:
    for text in sources(path, "code"):
        assert len(text.splitlines()) <= LINES, text
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, FORBIDDEN), text
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] == "toolkit", text
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] == "toolkit" for alias in node.names), text


def test_it_carries_nothing_of_the_machine_it_was_saved_on(path: Path) -> None:
    text, notebook = path.read_text(), read(path)
    assert len(text.encode()) < LARGEST
    assert "widgets" not in notebook["metadata"]
    outputs = json.dumps([cell.get("outputs") for cell in notebook["cells"]])
    assert "application/vnd.jupyter.widget-view" not in outputs
    # nbval refuses to compare a cell with outputs that never ran.
    assert [c["id"] for c in notebook["cells"] if c.get("outputs") and c["execution_count"] is None] == []
    words = "\n".join(t for kind in ("code", "markdown") for t in sources(path, kind)) + outputs
    assert re.findall(r"(?<![\w.:/])/(?:home|root|work|tmp|Users|opt|usr)/[\w./-]+", words) == []


def test_links_resolve(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", "\n".join(sources(path, "markdown"))):
        assert "://" not in target, f"{target}: nothing outside is needed"
        assert (path.parent / target).exists(), target


def test_links_of_the_trainers_page_resolve() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", (FOLDER / "README.md").read_text())
    assert set(NAMES) <= set(targets)
    assert [target for target in targets if not (FOLDER / target).exists()] == []


def test_the_last_cell_leads_back_home_and_on(path: Path) -> None:
    last = read(path)["cells"][-1]
    targets = re.findall(r"\]\((\S+?)\)", "".join(last["source"]))
    place = NAMES.index(path.name) if path.name in NAMES else len(NAMES) + 1
    around = {*NAMES[max(place - 1, 0) : place], *NAMES[place + 1 : place + 2], HOME} - {path.name}
    assert last["cell_type"] == "markdown" and set(targets) == around
