"""Names, sizes and hostile texts in what the Kubernetes templates print."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from toolkit.deploy import DeploymentSpec, SmokeRequest
from toolkit.deploy.kubernetes import kubernetes_bundle
from toolkit.deploy.kubernetes.values import object_name, tag_of
from toolkit.deploy.rendering import block, comment, lines, yaml_value
from toolkit.errors import ConfigurationError, UsageError
from toolkit.export.parity import Tolerance
from toolkit.load.pattern import Concurrency, RequestRate

Make = Callable[..., DeploymentSpec]

HOSTILE = (
    'it\'s "quoted" `here`',
    "line\nbreak:\r\n- item\u2028\x85end",
    "${HOME} $$ $(id) %(x)s",
    "{{ 7 * 7 }} {% raw %} {# #} [[x]]",
    "---\nkind: Secret\n...",
    "x" * 200,
    "9 # comment: &a *b !c",
)


def test_a_plain_slug_is_its_own_name_and_others_stay_apart() -> None:
    assert object_name("vision") == "vision"
    assert object_name("9-lives") == "m-9-lives"
    slugs = ("x" * 24, "x" * 25, "x" * 26, "x-" * 20 + "a", "1" * 23, "1" * 22)
    names = [object_name(slug) for slug in slugs]
    assert len(set(names)) == len(names)
    # KServe's host name: <name>-predictor-<namespace>, a DNS label of 63 characters.
    assert all(re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", n) and len(f"{n}-predictor-poc-{n}") <= 63 for n in names)


@pytest.mark.parametrize(
    ("run", "tag"), [("20260102T030405Z-ab", "20260102T030405Z-ab"), ("a b/c", "a-b-c"), ("ä", "latest")]
)
def test_a_run_is_a_tag(run: str, tag: str) -> None:
    assert tag_of(run) == tag


@pytest.mark.parametrize(
    "text", ["a\n", "a", "a\n\n", "\n a: b\n  c\n\nd", "  x\n", "é\n#: {\n", "a\tb\r\n", "", "\n", "\u2028x\n"]
)
def test_a_text_survives_as_a_block(text: str) -> None:
    filled = f"data:\n  key: {block(text, 4)}\n  other: 1\n"
    assert yaml.safe_load(filled) == {"data": {"key": text, "other": 1}}


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_survives_as_lines_and_stays_in_its_comment(text: str) -> None:
    filled = f"a: 1  # {comment(text)}\nb:{lines({text: text, 'c': 'd'}, 2)}\n"
    assert yaml.safe_load(filled) == {"a": 1, "b": {text: text, "c": "d"}}
    assert yaml.safe_load(yaml_value(text)) == text


@pytest.mark.parametrize("text", ["".join(HOSTILE)[:150], HOSTILE[-2]])
def test_a_hostile_name_changes_no_structure(make_spec: Make, tmp_path: Path, text: str) -> None:
    model = text.replace("/", "")[:60]
    files = kubernetes_bundle(
        make_spec(target="kubernetes", name=text, title=text, model=model, entries=(model,), run_id=text)
    ).files
    plain = kubernetes_bundle(replace(make_spec(target="kubernetes"), title="x")).files
    for path in files:
        if path.startswith("kubernetes/") and path.endswith(".yaml"):
            ours, theirs = (list(yaml.safe_load_all(str(f[path]))) for f in (files, plain))
            assert [shape(item) for item in ours] == [shape(item) for item in theirs], path
    lock = next(
        item["data"]["bundle.lock.json"]
        for item in yaml.safe_load_all(str(files["kubernetes/rendered/base.yaml"]))
        if item["metadata"]["name"].startswith(object_name(make_spec(name=text).slug) + "-start")
    )
    assert json.loads(lock)["name"] == text


def shape(item: object) -> object:
    """Keys and lengths, without the texts."""
    if isinstance(item, dict):
        return {key: shape(value) for key, value in item.items()}
    if isinstance(item, list):
        return [shape(value) for value in item]
    return type(item).__name__


def test_a_request_that_no_config_map_holds_is_sent_from_outside(make_spec: Make) -> None:
    smoke = SmokeRequest(
        inputs={"x": np.zeros((1, 600_000), np.float32)},
        expected={"y": np.zeros((1, 2), np.float32)},
        tolerance=Tolerance(absolute=0.0, relative=0.0),
    )
    files = kubernetes_bundle(make_spec(target="kubernetes", smoke=smoke)).files
    assert not any(path.startswith("kubernetes/smoke/") for path in files)
    assert "does not fit into a config map" in str(files["README.md"])


def test_the_smoke_job_mounts_every_file_of_its_map(make_spec: Make) -> None:
    files = kubernetes_bundle(make_spec(target="kubernetes")).files
    config = yaml.safe_load(str(files["kubernetes/smoke/configmap.yaml"]))
    job = yaml.safe_load(str(files["kubernetes/smoke/job.yaml"]))
    pod = job["spec"]["template"]["spec"]
    items = {item["key"]: item["path"] for item in pod["volumes"][0]["configMap"]["items"]}
    assert set(items) == set(config["data"]) | set(config["binaryData"])
    assert items["smoke.py"] == "smoke/smoke.py"
    assert pod["containers"][0]["command"][-1] == "http://vision:8000"
    assert config["data"]["smoke.py"] == files["smoke/smoke.py"]


@pytest.mark.parametrize(
    ("load", "arguments"),
    [
        (Concurrency(clients=8), ["--concurrency", "8"]),
        (RequestRate(rate_per_s=250.5), ["--rate", "250.5", "--arrival", "poisson"]),
        (None, []),
    ],
)
def test_the_load_test_drives_what_the_run_was_asked(make_spec: Make, load: object, arguments: list[str]) -> None:
    files = kubernetes_bundle(make_spec(target="kserve", load=load)).files
    job = yaml.safe_load(str(files["kubernetes/load-test/job.yaml"]))
    given = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert given[:4] == ["--url", "http://vision-predictor", "--duration", "30s"]
    assert given[4:6] == ["--slo", "latency.p99=20ms,throughput=100"]
    assert given[6:] == arguments


def test_the_pods_of_a_version_find_its_lock(make_spec: Make) -> None:
    maps = set()
    for run in ("run-1", "run-2"):
        items = list(
            yaml.safe_load_all(
                str(
                    kubernetes_bundle(make_spec(target="kubernetes", run_id=run)).files["kubernetes/rendered/base.yaml"]
                )
            )
        )
        (start,) = (i["metadata"]["name"] for i in items if "-start-" in i["metadata"]["name"])
        (deployment,) = (i for i in items if i["kind"] == "Deployment")
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        assert start in {v["configMap"]["name"] for v in volumes if "configMap" in v}
        maps.add(start)
    assert len(maps) == 2


def test_too_many_files_are_refused(make_spec: Make, tmp_path: Path) -> None:
    spec = make_spec(target="kubernetes")
    for number in range(9000):
        (spec.repository / "digits" / "1" / f"part-{number:060}").touch()
    with pytest.raises(ConfigurationError, match="do not fit into a ConfigMap"):
        kubernetes_bundle(spec)


@pytest.mark.parametrize(
    "registry", ["hub", "UP.example", "a b.example", "a.example/", "a.example/x:1", "-a.example", ""]
)
def test_a_registry_that_is_none_is_refused(make_spec: Make, registry: str) -> None:
    with pytest.raises(UsageError, match="is not a registry"):
        make_spec(registry=registry)


@pytest.mark.parametrize(
    "registry", ["registry.example.com", "localhost:5000", "a.b-c.example/team/poc", "r.example:5000/x"]
)
def test_images_are_called_by_their_registry(make_spec: Make, registry: str) -> None:
    files = kubernetes_bundle(make_spec(target="kubernetes", registry=registry, requirements=("pillow",))).files
    rendered = str(files["kubernetes/rendered/base.yaml"])
    assert f"image: {registry}/vision-models:20260102T030405Z-abcdef" in rendered
    assert f"image: {registry}/vision-triton:20260102T030405Z-abcdef" in rendered
    assert "registry.invalid" not in "".join(str(content) for content in files.values())


def test_overlays_are_for_kubernetes(make_spec: Make) -> None:
    with pytest.raises(UsageError, match="no overlays"):
        make_spec(overlays=("hpa",))
