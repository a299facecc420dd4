"""The compose target: services as they must be, and names that cannot break out of any file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_names import HOSTILE, interpolated, markup, shape

from toolkit.deploy import Bundle, DeploymentSpec, compose_bundle, validate_bundle, validate_folder, write_bundle
from toolkit.deploy.spec import TRITON_IMAGE
from toolkit.errors import ConfigurationError
from toolkit.load.slo import Criterion, Slo

Make = Callable[..., DeploymentSpec]


def compose_file(bundle: Bundle) -> dict[str, Any]:
    return dict(yaml.safe_load(bundle.files["compose/docker-compose.yaml"]))


def test_every_service_is_hardened_and_listens_on_loopback(make_spec: Make) -> None:
    services = compose_file(compose_bundle(make_spec()))["services"]
    assert {name: s["profiles"] for name, s in services.items()} == {
        "triton": ["serving"],
        "prometheus": ["observability"],
        "grafana": ["observability"],
    }
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service["user"].startswith("0")
        assert service["mem_limit"]
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] == "CMD"
        assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in service["ports"])
        assert "start_interval" not in service["healthcheck"]


def test_no_step_that_needs_packages_takes_the_stock_image(make_spec: Make) -> None:
    bundle = compose_bundle(make_spec())
    triton = compose_file(bundle)["services"]["triton"]
    assert triton["image"] == f"${{TRITON_IMAGE:-{TRITON_IMAGE}}}"
    assert "build" not in triton
    assert not any(path.startswith("triton/") for path in bundle.files)


def test_a_step_that_needs_packages_brings_its_image_recipe(make_spec: Make) -> None:
    bundle = compose_bundle(make_spec(requirements=("numpy>=1.26,<2", "pillow>=10")))
    triton = compose_file(bundle)["services"]["triton"]
    assert triton["image"] == "poc-toolkit/vision:20260102T030405Z-abcdef"
    assert triton["build"] == {
        "context": "../triton",
        "args": {"TRITON_IMAGE": f"${{TRITON_IMAGE:-{TRITON_IMAGE}}}"},
    }
    assert bundle.files["triton/requirements.txt"] == "numpy>=1.26,<2\npillow>=10\n"
    assert f"ARG TRITON_IMAGE={TRITON_IMAGE}\n" in str(bundle.files["triton/Dockerfile"])


def test_a_backend_that_no_image_has_comes_with_the_recipe(make_spec: Make) -> None:
    bundle = compose_bundle(make_spec(requirements=("tokenizers>=0.21",), backends=("onnxruntime_llm",)))
    assert compose_file(bundle)["services"]["triton"]["image"].startswith("poc-toolkit/vision:")
    assert "COPY backends/onnxruntime_llm /opt/tritonserver/backends/onnxruntime_llm\n" in str(
        bundle.files["triton/Dockerfile"]
    )
    brought = {path for path in bundle.copies if path.startswith("triton/backends/onnxruntime_llm/")}
    assert {"triton/backends/onnxruntime_llm/model.py", "triton/backends/onnxruntime_llm/llm_engine.py"} <= brought
    assert brought <= set(json.loads(bundle.files["bundle.lock.json"])["files"])


def test_the_gpu_file_is_used_only_where_the_target_has_a_gpu(make_spec: Make) -> None:
    for gpu in (False, True):
        bundle = compose_bundle(make_spec(gpu=gpu))
        settings = dict(
            line.split("=", 1) for line in str(bundle.files["compose/.env"]).splitlines() if not line.startswith("#")
        )
        assert settings["COMPOSE_PROJECT_NAME"] == "vision"
        assert ("docker-compose.gpu.yaml" in settings["COMPOSE_FILE"].split(":")) is gpu
        assert set(settings["COMPOSE_FILE"].split(":")) <= {path.removeprefix("compose/") for path in bundle.files}


def test_the_lock_names_every_model_file_image_and_figure(make_spec: Make) -> None:
    spec = make_spec()
    bundle = compose_bundle(spec)
    lock = json.loads(bundle.files["bundle.lock.json"])
    assert lock["files"] == {path: copied.sha256 for path, copied in bundle.copies.items()}
    assert set(lock["files"]) == {"model_repository/digits/config.pbtxt", "model_repository/digits/1/model.onnx"}
    assert lock["images"]["triton"] == TRITON_IMAGE
    assert lock["figures"]["mark"] == "not measured on the target"
    assert lock["run"] == spec.run_id


@pytest.mark.parametrize("figures", ["some", None])
def test_the_readme_says_what_was_not_measured_on_the_target(make_spec: Make, figures: str | None) -> None:
    spec = make_spec() if figures else make_spec(figures=None)
    readme = str(compose_bundle(spec).files["README.md"])
    assert ("**Not measured on the target.**" in readme) is (figures is not None)
    assert ("None: the run chose no configuration." in readme) is (figures is None)
    assert "toolkit sweep" in readme


def test_a_damaged_model_configuration_is_named_before_anything_is_written(make_spec: Make) -> None:
    spec = make_spec()
    (spec.repository / "digits" / "config.pbtxt").write_text('name: "digits" bogus: 1')
    with pytest.raises(ConfigurationError, match=r"model_repository/digits/config\.pbtxt.*bogus"):
        compose_bundle(spec)


@pytest.mark.parametrize(
    ("path", "text", "tool"),
    [
        ("compose/docker-compose.yaml", "a: [", "YAML"),
        ("observability/grafana/dashboards/triton.json", "{", "JSON"),
        ("bundle.lock.json", '{"a": NaN}', "JSON"),
        (
            "observability/grafana/dashboards/triton.json",
            '{"panels": [{"targets": [{"expr": "nv_inference_load_ratio_bucket"}]}]}',
            "known metrics",
        ),
        ("observability/grafana/dashboards/triton.json", "{}", "known metrics"),
        ("observability/prometheus/rules.yml", "groups: [{rules: [{expr: nv_made_up > 1}]}]", "known metrics"),
    ],
)
def test_a_damaged_file_is_found(make_spec: Make, path: str, text: str, tool: str) -> None:
    bundle = compose_bundle(make_spec())
    damaged = Bundle(files={**bundle.files, path: text}, copies=bundle.copies)
    assert (path, tool) in {(f.file, f.tool) for f in validate_bundle(damaged) if f.outcome == "failed"}


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a bundle"):
        validate_folder(tmp_path)


# --- hostile names ----------------------------------------------------------------------------------------------------


def hostile_spec(make: Make, text: str) -> DeploymentSpec:
    """A spec that holds `text` wherever somebody else's words can come in."""
    odd = Criterion(metric=text, statistic=text, limit=1.0)
    latency = Criterion(metric="latency", statistic="p99", limit=0.02)
    figures = replace(make().figures, load=text, environment=text, server=text)
    return make(name=text, title=text, model=text, run_id=text, slo=Slo(criteria=(latency, odd)), figures=figures)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_changes_values_but_never_the_structure(make_spec: Make, text: str) -> None:
    plain, hostile = compose_bundle(make_spec()), compose_bundle(hostile_spec(make_spec, text))
    assert set(plain.files) == set(hostile.files)
    for path, content in plain.files.items():
        if path.endswith((".yaml", ".yml")):
            assert shape(yaml.safe_load(content)) == shape(yaml.safe_load(hostile.files[path])), path
        elif path.endswith(".json") and path != "bundle.lock.json":
            assert shape(json.loads(content)) == shape(json.loads(hostile.files[path])), path
        elif path.endswith(".md"):
            assert markup(str(content)) == markup(str(hostile.files[path]))
        elif path == "compose/.env":
            assert len(str(content).splitlines()) == len(str(hostile.files[path]).splitlines())


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_arrives_unchanged(make_spec: Make, text: str) -> None:
    bundle = compose_bundle(hostile_spec(make_spec, text))
    labels = compose_file(bundle)["services"]["triton"]["labels"]
    assert {interpolated(value) for value in labels.values()} == {text}
    assert json.loads(bundle.files["bundle.lock.json"])["model"] == text
    assert json.loads(bundle.files["smoke/expected.json"])["model"] == text
    assert json.loads(bundle.files["observability/grafana/dashboards/triton.json"])["title"] == text
    assert f"model_repository/{text}/config.pbtxt" in bundle.copies


def test_a_bundle_of_hostile_names_passes_every_validator_that_is_here(make_spec: Make, tmp_path: Path) -> None:
    text = "".join(HOSTILE[:6])[:120]  # a file name has 255 bytes
    write_bundle(compose_bundle(hostile_spec(make_spec, text)), tmp_path / "bundle")
    assert [f for f in validate_folder(tmp_path / "bundle") if f.outcome == "failed"] == []
