from __future__ import annotations

import pickle

import pytest
import torch

from toolkit.errors import ModelRefused
from toolkit.models.source import source_from_path


@pytest.fixture
def model_py(tmp_path):
    path = tmp_path / "model.py"
    path.write_text("raise SystemExit('reading a path must not run it')\n")
    return path


@pytest.mark.parametrize(("suffix", "entry"), [("", "load_model"), (":build", "build"), (":", "load_model")])
def test_python_file_and_its_factory(model_py, suffix, entry):
    source = source_from_path(f"{model_py}{suffix}")
    assert (source.path, source.entry, source.framework) == (model_py, entry, "pytorch")


def test_digest_covers_the_siblings_and_the_factory(model_py):
    before = source_from_path(str(model_py)).sha256
    assert source_from_path(str(model_py)).sha256 == before
    assert source_from_path(f"{model_py}:other").sha256 != before
    (model_py.parent / "layers.py").write_text("WIDTH = 3\n")
    after = source_from_path(str(model_py)).sha256
    assert after != before
    (model_py.parent / "notes.txt").write_text("not code\n")
    assert source_from_path(str(model_py)).sha256 == after


def test_onnx_digest_covers_external_data(make_onnx):
    path = make_onnx(external="weights.bin")
    before = source_from_path(str(path))
    assert (before.framework, before.entry) == ("onnx", None)
    weights = path.parent / "weights.bin"
    weights.write_bytes(bytes(reversed(weights.read_bytes())))
    assert source_from_path(str(path)).sha256 != before.sha256


def test_a_path_that_does_not_exist_names_the_nearest(model_py):
    with pytest.raises(ModelRefused, match=r"modle\.py does not exist") as caught:
        source_from_path(str(model_py.parent / "modle.py"))
    assert "did you mean" in caught.value.mend and "model.py" in caught.value.mend


@pytest.mark.parametrize("name", ["model.bak", "folder"])
def test_an_unknown_kind_is_refused(tmp_path, name):
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_bytes(b"")
    with pytest.raises(ModelRefused, match="of no kind that can be exported"):
        source_from_path(str(path))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl"])
def test_a_pickle_needs_trust(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(ModelRefused, match="can run any code") as caught:
        source_from_path(str(path))
    assert "--trust" in caught.value.mend
    assert source_from_path(str(path), trust=True).trusted


def test_a_whole_module_needs_trust_too(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(ModelRefused, match="can run any code"):
        source_from_path(str(tmp_path / "model.pt"))


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_asks_for_a_factory(tmp_path, trust, nested):
    weights = torch.nn.Linear(2, 2).state_dict()
    torch.save({"epoch": 3, "weights": weights} if nested else weights, tmp_path / "weights.pt")
    with pytest.raises(ModelRefused, match="a state_dict") as caught:
        source_from_path(str(tmp_path / "weights.pt"), trust=trust)
    assert "load_model()" in caught.value.mend
