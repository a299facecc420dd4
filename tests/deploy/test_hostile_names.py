"""Names made to break out, in every file of every target: read by its own parser, each comes back as it went in.

A bundle of hostile names has the same files as one of harmless names, and each file the same structure.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_names import HOSTILE, interpolated, markup, shape
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from toolkit.deploy import Bundle, DeploymentSpec, compose_bundle, validate_folder, write_bundle
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.servers import SERVERS, TRITON
from toolkit.deploy.validate.documents import yaml_documents
from toolkit.load.slo import Criterion, Slo

MakeOf = Callable[..., DeploymentSpec]

#: What means something to YAML, JSON, Jinja, compose, HCL, PromQL, Grafana, Markdown, a shell or a Dockerfile.
FRAGMENTS = (
    *("'", '"', "\\", "`id`", "$(id)", "${HOME}", "$$", "%{ if true }", "%(x)s"),
    *("{{ 7 * 7 }}", "{% raw %}", "{#", "[[x]]", "\n---\n", "\n...\n", "\nUSER root\n", "EOF\n"),
    *("\n", "\r\n", "\t", "\x00", "\x85", "\u2028", "\ufeff", "\u202e"),
    *(": ", " #", "- ", "&a ", "*a", "!!str ", "|", ">", "? ", "@", "<<", "[", "]", "{", "}", ","),
    *("yes", "null", "~", "1e3", "0x1", "2026-01-01", "..", " ", "-", "=~", '"} or up{x="'),
    *("# h", "<b>", "[a](b)", "![i](u)", "&amp;", "**", "Größe", "模型", "😀", "x" * 64),
)
TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=4)), min_size=1, max_size=6).map("".join)


@dataclass(frozen=True, kw_only=True)
class Names:
    """Words of others, one for each place where they come in."""

    name: str
    title: str
    model: str
    run_id: str
    criterion: str
    load: str
    environment: str


def is_text(text: str) -> bool:
    return bool(text.strip()) and text.encode("utf-8", "ignore").decode() == text


def is_folder(text: str) -> bool:
    return is_text(text) and not set(text) & set("/\0") and text not in (".", "..") and len(text.encode()) <= 255


NAMES = st.builds(
    Names,
    model=TEXTS.filter(is_folder),
    **dict.fromkeys(("name", "title", "run_id", "criterion", "load", "environment"), TEXTS.filter(is_text)),
)
HARMLESS = Names(name="n", title="t", model="m", run_id="r", criterion="c", load="l", environment="e")

Bundler = Callable[[DeploymentSpec], Bundle]
TARGETS: dict[str, tuple[Bundler, dict[str, Any]]] = {
    "compose": (compose_bundle, {"target": "compose", "gpu": True, "requirements": ("pillow>=10",)}),
    "kubernetes": (kubernetes_bundle, {"target": "kubernetes", "gpu": True, "requirements": ("pillow>=10",)}),
    "kserve": (kubernetes_bundle, {"target": "kserve"}),
}


def spec_of(make_spec_of: MakeOf, repository: Path, names: Names, **fields: Any) -> DeploymentSpec:
    odd = Criterion(metric=names.criterion, statistic=names.criterion, limit=1.0)
    latency = Criterion(metric="latency", statistic="p99", limit=0.02)
    spec = make_spec_of(
        repository,
        name=names.name,
        title=names.title,
        model=names.model,
        run_id=names.run_id,
        slo=Slo(criteria=(latency, odd)),
        **fields,
    )
    assert spec.figures is not None
    figures = replace(spec.figures, load=names.load, environment=names.environment, server=names.environment)
    return replace(spec, figures=figures)


@pytest.mark.parametrize(
    ("target", "examples"),
    [("compose", 15), ("kubernetes", 3), *(pytest.param(t, 100, marks=pytest.mark.slow) for t in TARGETS)],
)
def test_a_name_changes_values_but_no_structure_and_comes_back(
    target: str, examples: int, make_spec_of: MakeOf
) -> None:
    bundler, fields = TARGETS[target]

    def bundle_of(names: Names) -> Bundle:
        with tempfile.TemporaryDirectory() as folder:
            return bundler(spec_of(make_spec_of, Path(folder) / "repository", names, **fields))

    harmless = structures(bundle_of(HARMLESS))

    # A failure is shown as it was found: to shrink it would make some hundred bundles more.
    @settings(max_examples=examples, deadline=None, database=None, phases=(Phase.generate,))
    @given(NAMES)
    def check(names: Names) -> None:
        bundle = bundle_of(names)
        found = structures(bundle)
        assert set(found) == set(harmless)
        assert [path for path in found if found[path] != harmless[path]] == []
        assert_unchanged(bundle, names)

    check()


LLM_SERVERS = [name for name in SERVERS if name != TRITON.name]


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
@pytest.mark.parametrize(
    ("server", "examples"),
    [*((s, 2) for s in LLM_SERVERS), *(pytest.param(s, 50, marks=pytest.mark.slow) for s in LLM_SERVERS)],
)
def test_a_name_changes_no_structure_of_a_language_models_server(
    server: str, examples: int, target: str, make_llm_of: MakeOf
) -> None:
    bundler = TARGETS[target][0]

    def make(repository: Path, **fields: Any) -> DeploymentSpec:
        return make_llm_of(repository, server, target=target, **fields)

    def bundle_of(names: Names) -> Bundle:
        with tempfile.TemporaryDirectory() as folder:
            return bundler(spec_of(make, Path(folder) / "repository", names))

    harmless = structures(bundle_of(HARMLESS))

    @settings(max_examples=examples, deadline=None, database=None, phases=(Phase.generate,))
    @given(NAMES)
    def check(names: Names) -> None:
        bundle = bundle_of(names)
        found, lock = structures(bundle), json.loads(bundle.files["bundle.lock.json"])
        assert [path for path in harmless if found.get(path) != harmless[path]] == [] and len(found) == len(harmless)
        assert (lock["name"], lock["title"], lock["run"]) == (names.name, names.title, names.run_id)

    check()


@pytest.mark.parametrize("target", ["compose", "kubernetes"])
def test_the_worst_names_pass_every_validator_that_is_here(target: str, make_spec_of: MakeOf, tmp_path: Path) -> None:
    bundler, fields = TARGETS[target]
    worst = "".join(HOSTILE[:6])[:120]  # a file name has 255 bytes
    names = Names(**dict.fromkeys(Names.__dataclass_fields__, worst))
    write_bundle(bundler(spec_of(make_spec_of, tmp_path / "repository", names, **fields)), tmp_path / "bundle")
    assert [f for f in validate_folder(tmp_path / "bundle") if f.outcome == "failed"] == []


# --- what is left of a file without the text of its values ------------------------------------------------------------


def structures(bundle: Bundle) -> dict[str, Any]:
    return {path: structure(path, text) for path, text in bundle.files.items() if isinstance(text, str)}


def structure(path: str, text: str) -> Any:
    if path == "bundle.lock.json":
        return shape({**json.loads(text), "files": None})
    if path.endswith((".yaml", ".yml")):
        return [nested(document) for document in yaml_documents(text)]
    if path.endswith(".json"):
        return shape(json.loads(text))
    if path.endswith(".md"):
        return markup(text)
    if path.endswith(".tf"):
        return shape(pytest.importorskip("hcl2").loads(text))
    if path.endswith(".env"):
        return [line.partition("=")[0] for line in text.splitlines()]
    if "Dockerfile" in path:
        return [line.partition(" ")[0] for line in text.splitlines()]
    return text  # no name stands in it


def nested(data: Any) -> Any:
    """`shape`, also of the JSON and YAML that a ConfigMap holds as text."""
    if isinstance(data, dict):
        return {key: nested_text(key, value) for key, value in data.items()}
    return [nested(value) for value in data] if isinstance(data, list) else shape(data)


def nested_text(key: str, value: Any) -> Any:
    if isinstance(value, str) and key.endswith((".json", ".yaml", ".yml")):
        return structure(key, value) if "lock" not in key else "str"
    return nested(value)


# --- the values, read back --------------------------------------------------------------------------------------------


def assert_unchanged(bundle: Bundle, names: Names) -> None:
    lock = json.loads(bundle.files["bundle.lock.json"])
    for key, value in {"name": names.name, "title": names.title, "model": names.model, "run": names.run_id}.items():
        assert lock[key] == value
    assert json.loads(bundle.files["smoke/expected.json"])["model"] == names.model
    assert json.loads(bundle.files["observability/grafana/dashboards/triton.json"])["title"] == names.title
    assert f"model_repository/{names.model}/config.pbtxt" in bundle.copies
    rules = yaml.safe_load(bundle.files["observability/prometheus/rules.yml"])
    assert set(promql_models(rules)) == {names.model}
    if "compose/docker-compose.yaml" in bundle.files:
        labels = yaml.safe_load(bundle.files["compose/docker-compose.yaml"])["services"]["triton"]["labels"]
        assert {interpolated(value) for value in labels.values()} == {names.name, names.run_id, names.model}
    assert {*runs_of(bundle)} <= {names.run_id}


def runs_of(bundle: Bundle) -> Iterator[str]:
    """The run that each Deployment says it is made from."""
    for path in (p for p in bundle.files if p.startswith("kubernetes/rendered/")):
        deployments = [d for d in yaml_documents(str(bundle.files[path])) if d["kind"] == "Deployment"]
        yield from (
            d["metadata"]["annotations"]["poc-toolkit/run"] for d in deployments if "tls" not in d["metadata"]["name"]
        )


def promql_models(rules: dict[str, Any]) -> Iterator[str]:
    """The models that the rules name, as PromQL reads its string literals."""
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for literal in re.findall(r'model="((?:[^"\\]|\\.)*)"', rule["expr"]):
            yield re.sub(r"\\U([0-9a-f]{8})", lambda m: chr(int(m[1], 16)), literal)
