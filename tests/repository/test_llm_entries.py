"""Entries of language models: the embedded backend's, vLLM's and TensorRT-LLM's, and what the linter says of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from tiny_llm import DESCRIBED
from tokenizers import Tokenizer, models

from toolkit.artifact import LANGUAGE_MODEL, Artifact, write_artifact
from toolkit.errors import RepositoryError
from toolkit.models.language_model import LANGUAGE_MODEL_FILE
from toolkit.models.source import Source, source_from_path
from toolkit.records import digest_of_files, write_json
from toolkit.repository.entry import add_artifact
from toolkit.repository.lint import lint_repository
from toolkit.repository.llm_server import add_llm_server_entry
from toolkit.tensor import Signature


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A language model's artifact whose graph is never opened."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    Tokenizer(models.WordLevel({"a": 0}, "a")).save(str(folder / "tokenizer.json"))
    write_json(folder / LANGUAGE_MODEL_FILE, DESCRIBED)
    files = ("model.onnx", LANGUAGE_MODEL_FILE, "tokenizer.json")
    write_artifact(
        folder,
        Artifact(
            name="llm",
            format=LANGUAGE_MODEL,
            precision="int4",
            files=files,
            signature=Signature(inputs=(), outputs=()),
            sha256=digest_of_files(folder, files),
            built_on="here",
            parity="passed",
        ),
    )
    return folder


@pytest.fixture
def customer(tmp_path: Path) -> Path:
    folder = tmp_path / "acme-7b"
    folder.mkdir()
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": 8, "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"w": np.zeros((8, 4), np.float32)}, folder / "model.safetensors")
    Tokenizer(models.WordLevel({f"t{i}": i for i in range(8)}, "t0")).save(str(folder / "tokenizer.json"))
    return folder


def test_the_embedded_entry_writes_everything_out(artifact, tmp_path):
    entry = add_artifact(tmp_path / "repo", artifact)
    text = (entry.path / "config.pbtxt").read_text()
    for line in ('backend: "onnxruntime_llm"', "max_batch_size: 0", "decoupled: true", "kind: KIND_CPU"):
        assert line in text
    given = {key: value.string_value for key, value in entry.config.parameters.items()}
    assert given == {
        "slots": "8",
        "queue_limit": "64",
        "max_length": "512",
        "prefill_chunk": "128",
        "intra_op_thread_count": "0",
    }
    required = [t.name for t in entry.config.input if not t.optional]
    assert required == ["text_input"]
    assert (entry.path / "1" / "tokenizer.json").is_file()
    assert lint_repository(tmp_path / "repo") == ()


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"model_transaction_policy": {"decoupled": False}}, "TR101"),
        ({"max_batch_size": 4}, "TR101"),
        ({"parameters": {"slot": "4"}}, "TR103"),
        ({"parameters": {"max_length": "513"}}, "TR102"),
    ],
)
def test_what_the_backend_would_refuse_is_linted(artifact, tmp_path, config, rule):
    add_artifact(tmp_path / "repo", artifact, config=config)
    assert [r.rule for r in lint_repository(tmp_path / "repo")] == [rule]


@pytest.mark.parametrize("name", ["tokenizer.json", LANGUAGE_MODEL_FILE])
def test_files_that_the_backend_needs_are_linted(artifact, tmp_path, name):
    entry = add_artifact(tmp_path / "repo", artifact)
    (entry.path / "1" / name).unlink()
    assert "TR102" in [r.rule for r in lint_repository(tmp_path / "repo")]


def test_the_vllm_entry_from_the_customers_folder(customer, tmp_path):
    source = source_from_path(str(customer))
    entry = add_llm_server_entry(tmp_path / "repo", source, "triton-vllm", name="acme")
    arguments = json.loads((entry.path / "1" / "model.json").read_text())
    assert (arguments["model"], arguments["max_model_len"]) == ("/opt/models/acme", 4096)
    assert arguments["trust_remote_code"] is False
    assert (entry.config.backend, entry.config.instance_group[0].kind) == ("vllm", "KIND_MODEL")
    readme = (entry.path / "README.md").read_text()
    assert "not run here" in readme
    assert str(customer.parent) not in readme
    assert lint_repository(tmp_path / "repo") == ()


def test_the_tensorrt_llm_entry_hands_over_to_the_images_own_model(customer, tmp_path):
    source = source_from_path(str(customer))
    entry = add_llm_server_entry(tmp_path / "repo", source, "triton-trtllm", name="acme", model_path="/mnt/acme")
    arguments = yaml.safe_load((entry.path / "1" / "model.yaml").read_text())
    assert arguments["model"] == "/mnt/acme"
    assert arguments["triton_config"] == {"max_batch_size": 0, "decoupled": True}
    assert "not run here" in (entry.path / "README.md").read_text()
    assert lint_repository(tmp_path / "repo") == ()
    image = tmp_path / "llmapi"
    image.mkdir()
    (image / "helpers.py").write_text("NAME = 'the image'\n")
    (image / "model.py").write_text("from helpers import NAME\nclass TritonPythonModel:\n    name = NAME\n")
    code = "import model; print(model.TritonPythonModel.name)"
    for place, expected in ((image, "the image"), (tmp_path / "absent", "is not in this image")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=entry.path / "1",
            env={"TRTLLM_LLMAPI_MODEL": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert expected in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("server", "file", "text"),
    [
        ("triton-vllm", "model.json", "{"),
        ("triton-vllm", "model.json", '{"dtype": "auto"}'),
        ("triton-trtllm", "model.yaml", "model: ''"),
        ("triton-trtllm", "model.yaml", "a: [1"),
    ],
)
def test_arguments_that_no_engine_takes_are_linted(customer, tmp_path, server, file, text):
    entry = add_llm_server_entry(tmp_path / "repo", source_from_path(str(customer)), server, name="acme")
    (entry.path / "1" / file).write_text(text)
    assert "TR102" in [r.rule for r in lint_repository(tmp_path / "repo")]


def test_only_language_models_are_for_those_servers(tmp_path):
    other = Source(path=tmp_path, entry=None, framework="onnx", sha256="0" * 64)
    with pytest.raises(RepositoryError, match="no Hugging Face folder of a language model"):
        add_llm_server_entry(tmp_path / "repo", other, "triton-vllm", name="x")
