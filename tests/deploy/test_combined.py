"""Several use cases in one bundle: tables of what goes together, and the files that come of it by their own parsers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from toolkit.deploy import DeploymentSpec, write_bundle
from toolkit.deploy.combined import combined_alerts, combined_bundle
from toolkit.deploy.validate import validate_folder
from toolkit.errors import UsageError
from toolkit.load.slo import Criterion, Slo

Make = Callable[..., DeploymentSpec]


@pytest.fixture
def pair(make_spec_of: Make, tmp_path: Path) -> tuple[DeploymentSpec, DeploymentSpec]:
    slo = Slo(criteria=(Criterion(metric="latency", statistic="p95", limit=0.004),
                        Criterion(metric="errors", statistic="mean", limit=0.002)))  # fmt: skip
    digits = make_spec_of(tmp_path / "a")
    words = make_spec_of(tmp_path / "b", name="text", title="Words | and more", model="words", run_id="run-b", slo=slo,
                         requirements=("tokenizers==0.22",))  # fmt: skip
    return digits, words


def test_one_repository_one_lock_and_a_smoke_test_for_each(pair: tuple[DeploymentSpec, ...], tmp_path: Path) -> None:
    write_bundle(combined_bundle(pair, name="both", title="Both"), tmp_path / "bundle")
    bundle = tmp_path / "bundle"
    assert {p.name for p in (bundle / "model_repository").iterdir()} == {"digits", "words"}
    lock = json.loads((bundle / "bundle.lock.json").read_text())
    assert {path.split("/")[1] for path in lock["files"]} == {"digits", "words"}
    assert [case["run"] for case in lock["use_cases"]] == [spec.run_id for spec in pair]
    models = [json.loads((bundle / "smoke" / n / "expected.json").read_text())["model"] for n in ("vision", "text")]
    assert models == ["digits", "words"]
    assert (bundle / "triton" / "requirements.txt").read_text() == "tokenizers==0.22\n"
    assert {p.stem for p in (bundle / "observability/grafana/dashboards").iterdir()} == {"vision", "text"}
    assert [f for f in validate_folder(bundle) if f.outcome == "failed"] == []


def test_alerts_on_every_model_stand_once_with_the_strictest_limit(pair: tuple[DeploymentSpec, ...]) -> None:
    found = {(a.name, a.labels.get("model")): a for a in combined_alerts(pair)}
    assert len(found) == len(combined_alerts(pair))
    assert found["TritonLatencyP99", "digits"].expression.endswith("> 20000")
    assert found["TritonLatencyP95", "words"].expression.endswith("> 4000")
    assert found["TritonErrors", "any"].expression.endswith("> 0.002")
    assert found["TritonQueueGrowing", "any"].expression.endswith("> 2000")


def test_memory_is_for_all_models_together(pair: tuple[DeploymentSpec, ...]) -> None:
    large = pair[1].repository / "words" / "1" / "model.onnx"
    large.write_bytes(b"\0" * 3_000_000)
    limits = [
        yaml.safe_load(str(combined_bundle(specs, name="x", title="x").files["compose/docker-compose.yaml"]))[
            "services"
        ]["triton"]["mem_limit"]
        for specs in (pair[:1], pair)
    ]
    assert int(limits[1].rstrip("m")) > int(limits[0].rstrip("m"))


@pytest.mark.parametrize("same", [True, False])
def test_an_entry_of_the_same_name_must_be_the_same(same: bool, make_spec_of: Make, tmp_path: Path) -> None:
    one, other = make_spec_of(tmp_path / "a"), make_spec_of(tmp_path / "b", name="other", run_id="run-b")
    if same:
        assert len(combined_bundle((one, other), name="x", title="x").copies) == 2
        return
    (tmp_path / "b" / "digits" / "1" / "model.onnx").write_bytes(b"others")
    with pytest.raises(UsageError, match="both hold an entry 'digits'") as caught:
        combined_bundle((one, other), name="x", title="x")
    assert "another name" in caught.value.mend


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"requirements": ("tokenizers==0.21",)}, "tokenizers==0.21"),
        ({"image": "nvcr.io/nvidia/tritonserver:25.01-py3"}, "25.01-py3"),
    ],
)
def test_what_one_server_cannot_be_is_refused(
    changes: dict[str, object], said: str, pair: tuple[DeploymentSpec, ...]
) -> None:
    with pytest.raises(UsageError, match=said):
        combined_bundle((replace(pair[0], **changes), pair[1]), name="x", title="x")  # type: ignore[arg-type]
