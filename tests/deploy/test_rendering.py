"""Templates: every variable filled, every value quoted, every template used and explained."""

from __future__ import annotations

import json
from collections.abc import Callable
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


def test_every_template_is_used_and_explained(make_spec: Callable[..., DeploymentSpec]) -> None:
    folder = templates_folder()
    table = (folder / "README.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    explained = {template.strip(" `"): place.strip(" `") for template, place in rows}
    cluster = {n for n in files_below(folder) if n.startswith(("kubernetes/", "cluster/", "terraform/"))}
    filled = kubernetes_bundle(make_spec(target="kubernetes", gpu=True, requirements=("pillow>=10",))).files
    assert {name.removesuffix(".j2") for name in cluster} | {".checkov.yaml"} <= set(filled)
    folders = {template for template in explained if template.endswith("/")}
    assert all(name.startswith(tuple(folders)) for name in cluster)
    assert all(any(name.startswith(place) for name in cluster) for place in folders)
    assert set(explained) - folders == set(files_below(folder)) - cluster - {"README.md"}
    places = {place if place != "the same" else name for name, place in explained.items() if name not in folders}
    places -= {".checkov.yaml"}
    bundle = compose_bundle(make_spec(requirements=("pillow>=10",)))
    assert places <= set(bundle.files)
    generated = {"bundle.lock.json", "observability/grafana/dashboards/triton.json", "smoke/request.bin"}
    assert set(bundle.files) - places == generated | {"smoke/expected.json", "triton/requirements.txt"}


def test_the_json_files_are_json(make_spec: Callable[..., DeploymentSpec]) -> None:
    files = compose_bundle(make_spec()).files
    for path in (p for p in files if p.endswith(".json")):
        assert isinstance(json.loads(files[path]), dict)
