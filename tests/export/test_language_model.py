"""Language models of several architectures through the worker: the builder's graph, torch's, int4, and refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_llm import CONTEXT, make_folder

from toolkit.artifact import LANGUAGE_MODEL, read_artifact
from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.arrays import read_arrays
from toolkit.export.export import export
from toolkit.export.spec import ExportSpec, WorkerRequest
from toolkit.export.worker import serve
from toolkit.models.language_model import read_language_model
from toolkit.models.source import source_from_path
from toolkit.serve import backend_directory

BACKEND = Path(backend_directory.__file__).parent / "backends" / "onnxruntime_llm"
MODEL_PY = """\
from pathlib import Path

def load_model() -> Path:
    return Path(__file__).parent / "folder"

def nothing() -> Path:
    return Path(__file__).parent

def unannotated():
    return Path(__file__).parent / "folder"
"""


@pytest.fixture(scope="module")
def neox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A customer's file whose function makes a folder of an architecture that the builder does not know."""
    place = tmp_path_factory.mktemp("neox")
    make_folder(place / "folder", "gpt_neox")
    (place / "model.py").write_text(MODEL_PY)
    return place


@pytest.fixture(scope="module")
def appended(neox: Path) -> Path:
    """The export of that, through torch.export."""
    prompts = neox / "prompts.txt"
    prompts.write_text("The value\n\nAn expression list in parentheses\nx = [1, 2\n")
    spec = ExportSpec(samples=prompts)
    artifact = export(source_from_path(f"{neox}/model.py:load_model"), spec, neox / "artifact", name="neox")
    assert artifact.parity == "passed"
    return neox / "artifact"


def test_any_architecture_is_exported_through_torch(appended):
    artifact, described = read_artifact(appended), read_language_model(appended)
    assert (artifact.format, artifact.opset) == (LANGUAGE_MODEL, 20)
    assert {"model.onnx", "tokenizer.json", "language_model.json", "config.json"} <= set(artifact.files)
    assert (described.cache, described.layers, described.kv_heads, described.head_size) == ("appended", 2, 4, 16)
    assert described.cache_bytes_per_token == 2 * 2 * 4 * 16 * 4
    assert (described.context_length, described.end_token_ids) == (CONTEXT, (1,))
    parity = json.loads((appended / "parity.json").read_text())
    assert parity["samples"] == 3
    assert "greedy tokens of 3 prompts compared, 0 prompts differ" in parity["reason"]
    assert json.loads((appended / "prompts.json").read_text())[1] == "An expression list in parentheses"


def test_the_backends_scheduler_on_a_cache_that_grows(appended, monkeypatch):
    """Sequences of several lengths in one batch, prompts read in pieces: the padded rows must not be seen."""
    monkeypatch.syspath_prepend(str(BACKEND))
    from llm_engine import load_engine
    from llm_request import GenerationRequest, Sampling
    from llm_scheduler import Scheduler
    from tokenizers import Tokenizer

    engine = load_engine(appended, slots=3, max_length=CONTEXT)
    tokenizer = Tokenizer.from_file(str(appended / "tokenizer.json"))
    scheduler = Scheduler(engine, tokenizer, (1,), queue_limit=0, prefill_chunk=5)
    reference = read_arrays(appended / "reference.npz")
    texts = json.loads((appended / "prompts.json").read_text())
    steps = reference["tokens"].shape[1]
    greedy = Sampling(temperature=0.0, max_tokens=steps, ignore_eos=True)
    sequences = [scheduler.admit(GenerationRequest(text=texts[0], sampling=greedy))]
    for text in texts[1:]:  # joins while the others are written
        for _ in range(3):
            list(scheduler.iterate())
        sequences.append(scheduler.admit(GenerationRequest(text=text, sampling=greedy)))
    while scheduler.running or scheduler.waiting:
        list(scheduler.iterate())
    assert reference["margins"].min() > 1e-4
    assert np.array_equal([s.written for s in sequences], reference["tokens"])


def served_here(tmp_path: Path, model: str, action: str, **spec: object) -> object:
    """What the worker answers, in this process: it does not take seconds to start."""
    request = WorkerRequest(action=action, source=source_from_path(model), spec=ExportSpec(**spec))
    return serve(request, tmp_path, lambda phase: None)


def test_inspecting_a_folder_says_what_it_is_and_who_writes_it(neox, tmp_path):
    found = served_here(tmp_path, str(neox / "folder"), "inspect")
    assert found["parameters"] > 50_000
    assert "exported by torch.export, without int4" in found["notes"][0]


@pytest.mark.parametrize(
    ("entry", "spec", "error", "reason"),
    [
        ("load_model", {"precision": "int4"}, ExportFailed, "does not know GPTNeoXForCausalLM"),
        ("nothing", {}, ModelRefused, "which is no Hugging Face folder"),
        ("unannotated", {}, ModelRefused, "is a PosixPath, not a torch.nn.Module"),
    ],
)
def test_what_cannot_be_exported_says_why(neox, tmp_path, monkeypatch, entry, spec, error, reason):
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(error, match=reason):
        served_here(tmp_path, f"{neox}/model.py:{entry}", "export", **spec)


def test_weights_that_lack_a_tensor_are_not_filled_up_at_random(neox, tmp_path):
    from toolkit.export.language_model import load

    weights = load_file(neox / "folder" / "model.safetensors")
    del weights[next(name for name in weights if "dense" in name)]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((neox / "folder" / name).read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelRefused, match="the weights lack 1 of the architecture's tensors"):
        load(tmp_path)


def test_int4_beyond_its_budget_is_kept_and_rejected(tmp_path):
    """Random weights do not survive four bits; what was allowed decides, and the artifact stays either way."""
    source = source_from_path(str(make_folder(tmp_path / "llama")))
    strict = export(source, ExportSpec(precision="int4", sample_count=2), tmp_path / "strict", name="llm")
    assert (strict.precision, strict.parity, strict.opset) == ("int4", "failed", 22)
    said = json.loads((tmp_path / "strict" / "parity.json").read_text())
    assert "perplexity" in said["reason"]
    assert said["task"]["disagreements"] > 0.1 * said["task"]["samples"]
    written = json.loads((tmp_path / "strict" / "generation.json").read_text())
    assert written["budget"] == {"type": "Budget", "perplexity_ratio": 1.1, "top1_agreement": 0.9}
    assert read_language_model(tmp_path / "strict").cache == "in_place"
