"""Hugging Face folders, whole and in every way that a copy goes wrong; none needs a model to be built."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models

from toolkit.errors import ModelRefused
from toolkit.models.huggingface import vocabulary_size
from toolkit.models.source import Source, source_from_path

ROWS = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "llm"
    path.mkdir()
    write_config(path)
    save_file({"w": np.zeros((ROWS, 4), np.float32)}, path / "model.safetensors")
    Tokenizer(models.WordLevel({f"t{i}": i for i in range(ROWS)}, "t0")).save(str(path / "tokenizer.json"))
    return path


def write_config(folder: Path, **fields: object) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": ROWS} | fields
    (folder / "config.json").write_text(json.dumps(config))


def test_a_folder_is_a_source_whose_digest_covers_weights_and_tokenizer(folder):
    source = source_from_path(str(folder))
    assert source == Source(
        path=folder, entry=None, framework="huggingface", sha256=source.sha256, trusted=False, task="causal-lm"
    )
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        before = (folder / name).read_bytes()
        # Longer by what each format ignores: JSON white space, or another value of the last weight.
        (folder / name).write_bytes(before[:-1] + b"\1" if name.endswith("tensors") else before + b"\n")
        assert source_from_path(str(folder)).sha256 != source.sha256
        (folder / name).write_bytes(before)
    assert source_from_path(str(folder)).sha256 == source.sha256


def test_shards_are_those_that_the_index_names(folder):
    shutil.move(folder / "model.safetensors", folder / "a.safetensors")
    index = {"weight_map": {"w": "a.safetensors", "v": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelRefused, match=r"b\.safetensors is missing, and the index names it"):
        source_from_path(str(folder))
    shutil.copy(folder / "a.safetensors", folder / "b.safetensors")
    assert source_from_path(str(folder)).task == "causal-lm"


@pytest.mark.parametrize("shard", ["../secret.safetensors", "/etc/hostname", "", 3])
def test_an_index_cannot_lead_out_of_the_folder(folder, shard):
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": shard}}))
    with pytest.raises(ModelRefused, match="no weight_map of file names"):
        source_from_path(str(folder))


def test_pickled_weights_are_refused_with_reason_and_mend(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelRefused, match=r"pytorch_model\.bin only: that is a pickle") as caught:
        source_from_path(str(folder))
    assert "save_pretrained" in caught.value.mend


def test_a_folder_without_weights(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelRefused, match="has no weights"):
        source_from_path(str(folder))


@pytest.mark.parametrize("kept", [0, 4, 30, -1])
def test_truncated_weights(folder, kept):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ModelRefused, match=r"model\.safetensors (is truncated|has \d+ bytes)"):
        source_from_path(str(folder))


@pytest.mark.parametrize("name", ["MambaTurboForCausalLM", "T5ForConditionalGeneration", ""])
def test_an_unsupported_architecture_and_code_that_travels_along(folder, name):
    write_config(folder, architectures=[name], auto_map={"AutoModelForCausalLM": "modeling.Net"})
    (folder / "modeling.py").write_text("raise SystemExit('this must never run')")
    with pytest.raises(ModelRefused, match=f"architecture '{name}' is none of those") as caught:
        source_from_path(str(folder))
    assert "never run" in caught.value.mend


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', '{"architectures": []}', '{"architectures": 3}'])
def test_a_config_that_says_nothing(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelRefused, match=r"config\.json"):
        source_from_path(str(folder))


@pytest.mark.parametrize(
    ("tokens", "reason"), [(ROWS + 1, "ids up to 8"), (ROWS // 2 - 1, "3 tokens only")], ids=["too-many", "too-few"]
)
def test_a_tokenizer_that_does_not_match(folder, tokens, reason):
    Tokenizer(models.WordLevel({f"t{i}": i for i in range(tokens)}, "t0")).save(str(folder / "tokenizer.json"))
    with pytest.raises(ModelRefused, match=f"does not match the model: it has {reason}"):
        source_from_path(str(folder))


def test_a_tokenizer_smaller_than_the_padded_rows_is_right(folder):
    Tokenizer(models.WordLevel({f"t{i}": i for i in range(ROWS - 2)}, "t0")).save(str(folder / "tokenizer.json"))
    assert source_from_path(str(folder)).task == "causal-lm"


@pytest.mark.parametrize(("other", "reason"), [("tokenizer.model", "only tokenizer.model"), ("", "no tokenizer")])
def test_a_missing_tokenizer(folder, other, reason):
    (folder / "tokenizer.json").unlink()
    if other:
        (folder / other).write_text("x")
    with pytest.raises(ModelRefused, match=reason):
        source_from_path(str(folder))


@pytest.mark.parametrize("text", ["{}", '{"model": {}}', '{"model": {"vocab": {}}}', "not json"])
def test_a_damaged_tokenizer(folder, text):
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ModelRefused, match=r"tokenizer\.json"):
        source_from_path(str(folder))


@pytest.mark.parametrize(
    ("config", "size"), [({"vocab_size": 5}, 5), ({"text_config": {"vocab_size": 6}}, 6), ({}, None)]
)
def test_where_a_config_keeps_its_vocabulary(config, size):
    assert vocabulary_size(config) == size
