from __future__ import annotations

import os
import pickle
import sys

import pytest
import torch

from toolkit.errors import ModelRefused
from toolkit.models.pytorch import load_pytorch, load_torch_pickle
from toolkit.models.source import Source, source_from_path


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def load(tmp_path, text, entry="load_model"):
    (tmp_path / "model.py").write_text(text)
    return load_pytorch(source_from_path(f"{tmp_path}/model.py:{entry}"))


def test_a_model_is_loaded_in_eval_mode_with_seeded_weights_and_its_siblings(tmp_path):
    (tmp_path / "width_of_model.py").write_text("WIDTH = 5\n")
    text = "import torch, width_of_model\nOUTPUT_NAMES = ['score']\n"
    text += "def load_model(): return torch.nn.Linear(width_of_model.WIDTH, 1)\n"
    first, second = load(tmp_path, text), load(tmp_path, text)
    assert not first.module.training and not first.module.weight.requires_grad
    assert torch.equal(first.module.weight, second.module.weight)
    assert (first.output_names, first.sample_inputs, first.held_out) == (("score",), None, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import math\nmath.sqrt(-1)\n", r"model\.py:2: importing it raised ValueError: math domain error"),
        ("def load_model(:\n", r"model\.py:1: importing it raised SyntaxError"),
        ("def load_modle(): ...\n", r"has no function 'load_model'; it defines: load_modle"),
        ("load_model = 3\n", r"has no function 'load_model'; it defines: none"),
        ("def load_model(): return {'a': 1}\n", r"load_model\(\) is a dict, not a torch\.nn\.Module"),
        ("def load_model():\n    raise RuntimeError\n", r"model\.py:2: load_model\(\) raised RuntimeError$"),
    ],
)
def test_faults_of_the_file_are_named(tmp_path, text, message):
    with pytest.raises(ModelRefused, match="(?m)" + message):
        load(tmp_path, text)


def test_the_nearest_factory_is_the_mend(tmp_path):
    with pytest.raises(ModelRefused) as caught:
        load(tmp_path, "def other(): ...\ndef build_model(): ...\n", entry="build_modle")
    assert caught.value.mend.endswith("model.py:build_model")


def pickled(tmp_path, value):
    torch.save(value, tmp_path / "model.pt")
    return Source(path=tmp_path / "model.pt", entry=None, framework="torch-pickle", sha256="", trusted=True)


def test_a_trusted_module_is_unpickled(tmp_path):
    assert load_torch_pickle(pickled(tmp_path, torch.nn.Linear(2, 3))).module.out_features == 3


def test_a_trusted_pickle_of_something_else_is_refused(tmp_path):
    with pytest.raises(ModelRefused, match="a state_dict"):
        load_torch_pickle(pickled(tmp_path, {"weights": pickle.dumps(os.getcwd)}))
    with pytest.raises(ModelRefused, match="is a list"):
        load_torch_pickle(pickled(tmp_path, [1]))
