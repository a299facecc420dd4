"""Templates: every variable filled, every value quoted, every template used and explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from toolkit.deploy import DeploymentSpec, compose_bundle
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.rendering import compose_value, plain, render, templates_folder, yaml_value
from toolkit.errors import ConfigurationError
from toolkit.records import files_below

AWKWARD = (
    "",
    'a"b',
    "a\\b",
    "a\nb",
    "a\u2028b",
    "a\x85b",
    "a\x00b",
    "é😀",
    "\ufeff",
    "yes",
    "1e3",
    "${HOME}",
    "#",
    "{{ x }}",
)


def test_an_unknown_variable_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml.j2").write_text("a: {{ known }}{{ mistyped }}\n")
    with pytest.raises(ConfigurationError, match=r"a\.yaml\.j2 names 'mistyped'") as caught:
        render("a.yaml.j2", {"known": "x"}, folder=tmp_path)
    assert "known" in caught.value.mend


def test_an_unused_variable_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml.j2").write_text("a: {{ known }}\n")
    with pytest.raises(ConfigurationError, match="does not use 'other'"):
        render("a.yaml.j2", {"known": "x", "other": "y"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ value.nothing }}", "nothing"),
        ("{{ value", "end of print"),
        ("{{ value | plain }}", "unquoted"),
        ("{{ value.split }}", "cannot be printed"),
    ],
)
def test_a_template_that_cannot_be_filled_names_itself(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml.j2").write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        render("a.yaml.j2", {"value": "a b"}, folder=tmp_path)
    assert "a.yaml.j2" in caught.value.message


def test_a_template_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.md cannot be read"):
        render("absent.md", folder=tmp_path)


@pytest.mark.parametrize("text", AWKWARD)
def test_text_survives_yaml_on_one_line(text: str) -> None:
    assert len(yaml_value(text).splitlines()) == 1
    assert yaml.safe_load(yaml_value(text)) == text
    assert yaml.safe_load(yaml_value({text: [text, 1, True]})) == {text: [text, 1, True]}


@pytest.mark.parametrize("text", AWKWARD)
def test_text_survives_the_interpolation_of_compose(text: str) -> None:
    assert yaml.safe_load(compose_value(text)).replace("$$", "$") == text
    assert "$" not in compose_value(text).replace("$$", "")


@pytest.mark.parametrize("text", ["", "a b", "a\n", "a$b", "a'b", "-x", "é", "a;b"])
def test_plain_text_has_nothing_that_needs_quotes(text: str) -> None:
    with pytest.raises(ValueError, match="unquoted"):
        plain(text)


def test_every_template_is_used_and_explained(
    make_spec: Callable[..., DeploymentSpec], make_llm: Callable[..., DeploymentSpec]
) -> None:
    folder = templates_folder()
    table = (folder / "README.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in row.split("|")[1:3]] for row in table.splitlines() if row.startswith("| `")]
    places = {template.strip("`"): place for template, place in rows}
    explained = {name: row for name in files_below(folder) if (row := row_of(name, places))}
    assert set(files_below(folder)) - set(explained) == {"README.md"}
    assert set(places) == set(explained.values())
    spec = make_spec(gpu=True, requirements=("pillow>=10",))
    written = {*compose_bundle(spec).files, *kubernetes_bundle(replace(spec, target="kubernetes")).files}
    written |= compose_bundle(make_llm("vllm")).files.keys()
    written |= kubernetes_bundle(make_llm("vllm", target="kubernetes")).files.keys()
    for name, row in explained.items():
        if places[row] == "the same":
            assert name.removesuffix(".j2") in written
        elif places[row].startswith("`"):
            assert places[row].strip("`") in written


def row_of(name: str, rows: Iterable[str]) -> str | None:
    """The row of the table that explains a template: its own, or that of its folder."""
    return next((row for row in rows if name == row or (row.endswith("/") and name.startswith(row))), None)


def test_the_json_files_are_json(make_spec: Callable[..., DeploymentSpec]) -> None:
    files = compose_bundle(make_spec()).files
    for path in (p for p in files if p.endswith(".json")):
        assert isinstance(json.loads(files[path]), dict)
