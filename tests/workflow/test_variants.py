"""A PoC whose models come in lower precisions: what is made, which candidates it rules out, and what is served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from tiny_poc import write_poc

from toolkit.errors import ConfigurationError
from toolkit.export.ladder import RUNG_FILE, Rung
from toolkit.poc import read_poc
from toolkit.records import read_json, write_json
from toolkit.repository.entry import read_entry
from toolkit.tune.decision import Candidate, Rejection
from toolkit.tune.objective import Objective
from toolkit.workflow.run import run_poc
from toolkit.workflow.tune import Asked
from toolkit.workflow.tune_target import tuning_of
from toolkit.workflow.variants import chosen_precisions, measured_variants, rejections_of


def poc_with(folder: Path, precisions: list[str], candidates: dict[str, object], budget: float = 0.2) -> Path:
    """The small PoC with precisions and candidates of its own."""
    write_poc(folder, loads=1, duration_s=0.8)
    data = yaml.safe_load((folder / "poc.yaml").read_text())
    data["models"]["net"]["export"] = {"precisions": precisions, "accuracy_budget": budget}
    data["search"] = {"candidates": candidates}
    (folder / "poc.yaml").write_text(yaml.safe_dump(data))
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A run with float32 and two lower precisions within their budget."""
    place = tmp_path_factory.mktemp("variants")
    candidates = {"fp32": {}, "int8": {"net": {"variant": "int8-qdq"}}, "half": {"net": {"variant": "fp16"}}}
    folder = poc_with(place / "pocs" / "tiny", ["fp32", "int8-qdq", "fp16"], candidates)
    run, decision = run_poc(read_poc(folder), command="toolkit run", root=place / "runs")
    return run, decision


def test_a_run_measures_a_lower_precision_like_any_candidate(done):
    run, decision = done
    assert decision.outcome == "PASS", decision.sentence
    assert {p.name for p in (run / "trials").iterdir()} == {"fp32", "int8", "half"}
    assert read_json(run / "variants" / "net" / "int8-qdq" / RUNG_FILE, Rung).accepted
    files = {p.name for p in (run / "repository" / "net" / "1").iterdir()}
    assert files == {"model.onnx", "int8-qdq.onnx", "fp16.onnx"}
    live = json.loads((run / "variant_parity" / "int8" / "live.json").read_text())
    assert live["outcome"] == "PASS" and "(budget 0.2)" in live["result"]["reason"]


def test_what_is_delivered_holds_the_chosen_precision_alone(done):
    run, decision = done
    entry = read_entry(run / "chosen_repository" / "net")
    extra = {"fp32": set(), "int8": {"int8-qdq.onnx"}, "half": {"fp16.onnx"}}[decision.candidate]
    assert {p.name for p in (entry.path / "1").iterdir()} == {"model.onnx"} | extra
    assert entry.config.default_model_filename == next(iter(extra), "model.onnx")


def test_a_variant_over_its_budget_is_rejected_with_the_reason_and_not_measured(tmp_path):
    candidates = {"fp32": {}, "int8": {"net": {"variant": "int8-qdq"}}}
    folder = poc_with(tmp_path / "pocs" / "tiny", ["int8-qdq"], candidates, budget=0.0)
    run, decision = run_poc(read_poc(folder), command="toolkit run", root=tmp_path / "runs")
    rung = read_json(run / "variants" / "net" / "int8-qdq" / RUNG_FILE, Rung)
    assert not rung.accepted
    assert decision.candidate != "int8"
    (rejected,) = [r for r in decision.rejected if r.candidate == "int8"]
    assert rejected.reason.startswith("net in int8-qdq is not accurate enough: ") and "(budget 0)" in rejected.reason
    assert {p.name for p in (run / "trials").iterdir()} == {"fp32"}
    assert {p.name for p in (run / "repository" / "net" / "1").iterdir()} == {"model.onnx"}


def test_wrong_answers_through_the_server_rule_a_candidate_out(tmp_path):
    candidate = Candidate(name="int8", config={"net": {"default_model_filename": "int8-qdq.onnx"}})
    assert chosen_precisions(candidate) == {"net": "int8-qdq"}
    assert rejections_of(tmp_path, (candidate,)) == ()
    live = {
        "outcome": "FAIL",
        "reason": "share of 8 samples on which top1 changes: 0.5",
        "requests": 8,
        "clients": 1,
        "failures": 0,
        "result": None,
        "evidence": [],
    }
    write_json(tmp_path / "variant_parity" / "int8" / "live.json", live)
    (rejection,) = rejections_of(tmp_path, (candidate,))
    assert rejection.reason.startswith("its answers through the server: share of 8 samples")


@pytest.mark.parametrize(
    ("precisions", "variant", "message"),
    [
        (["fp8"], "fp32", r"models\.net\.export\.precisions: 'fp8' is not one of: fp32, fp16"),
        (["fp32"], "int8-qdq", r"candidates\.a\.net\.variant is 'int8-qdq', which is not made; there are: fp32"),
    ],
)
def test_precisions_that_are_not_made_are_refused(tmp_path, precisions, variant, message):
    with pytest.raises(ConfigurationError, match=message):
        read_poc(poc_with(tmp_path / "tiny", precisions, {"a": {"net": {"variant": variant}}}))


# --- what tuning makes of them ----------------------------------------------------------------------------------------


def wishes(budget: float | None) -> Asked:
    return Asked(target="", repository=Path(), slo=None, objective=Objective(), accuracy_budget=budget)


@pytest.fixture(scope="module")
def poc(tmp_path_factory) -> Path:
    return poc_with(tmp_path_factory.mktemp("weighed") / "tiny", ["fp32", "int8-qdq", "fp16"], {"fp32": {}})


def variants_tried(poc: Path, budget: float | None, **search: object) -> tuple[set[str], dict[str, str]]:
    """The variants in the space of a tuning, and those that were left out with their reasons."""
    data = yaml.safe_load((poc / "poc.yaml").read_text())
    data["search"] = search
    (poc / "poc.yaml").write_text(yaml.safe_dump(data))
    root, nothing = poc.parent / "runs", lambda text: None
    tuning = tuning_of(str(poc), Path(), "p99=50ms", wishes(budget), root=root, progress=nothing)
    tried = {c.settings["net"].variant for c in tuning.space.configurations}
    return tried, {r.candidate: r.reason for r in tuning.space.left_out}


def test_tuning_weighs_precisions_by_the_loss_that_was_measured(poc):
    tried, left_out = variants_tried(poc, None, ranges={"net": {"max_batch_size": [8]}})
    assert tried == {"", "int8-qdq", "fp16"} and not left_out
    built = poc.parent / "runs" / "net" / "built"
    losses = {p: read_json(built / "variants" / "net" / p / RUNG_FILE, Rung).loss for p in ("int8-qdq", "fp16")}
    assert all(lost and lost.measure for lost in losses.values())
    worse = max(losses, key=lambda p: losses[p].loss)
    assert losses[worse].loss > 0
    tried, left_out = variants_tried(poc, losses[worse].loss * 0.99, ranges={"net": {"max_batch_size": [8]}})
    assert worse not in tried and left_out[f"net: {worse}"].startswith(f"it loses {losses[worse].loss:.4g} of accuracy")


def test_a_variant_that_is_named_gets_the_measured_loss(poc):
    named = {"eight": {"config": {"default_model_filename": "int8-qdq.onnx"}}}
    tried, left_out = variants_tried(poc, 1.0, ranges={"net": {"max_batch_size": [8], "variants": named}})
    assert tried == {"", "eight"} and not left_out


def test_a_precision_that_was_rejected_is_left_out_with_its_reason(tmp_path):
    rung = Rung(precision="int8-qdq", text="", target="CPU", accepted=False, reason="share: 0.5 (budget 0.1)")
    write_json(tmp_path / "variants" / "net" / "int8-qdq" / RUNG_FILE, rung)
    assert measured_variants(tmp_path, "net", ("fp32", "int8-qdq", "fp16")) == (
        {},
        (Rejection(candidate="net: int8-qdq", reason="share: 0.5 (budget 0.1)"),),
    )
