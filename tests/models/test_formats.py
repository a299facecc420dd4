"""Files as they come: told apart by suffix and first bytes, refused when damaged, and unsafe ones by name."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from toolkit.errors import ModelRefused
from toolkit.models.formats import FORMATS, format_of
from toolkit.models.source import source_from_path, split_model, with_paths

LINEAR_PY = "import torch\n\ndef load_model():\n    return torch.nn.Linear(2, 2)\n"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("model.txt", b"tree\nversion=v4\n", "lightgbm"),
        ("model.json", b'{"learner":{}, "version":[3,2,0]}', "xgboost"),
        ("model.ubj", b"{L\0", "xgboost"),
        ("model.cbm", b"CBM1....", "catboost"),
        ("model.pkl", pickle.dumps(1), "pickle"),
        ("model.joblib", b"\x80", "pickle"),
        ("model.pth", pickle.dumps(1), "torch-pickle"),
        ("model.py", b"import torch", "pytorch"),
        ("model.py", b"import jax.numpy as jnp", "jax"),
        ("model.py", b"from flax import linen\nimport torch", "pytorch"),
        ("model.py", b"def broken(:", "pytorch"),
    ],
)
def test_kinds(tmp_path, name, content, kind):
    assert format_of(write(tmp_path / name, content)).name == kind


def test_torch_archives_are_told_by_their_members(tmp_path):
    scripted = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))
    scripted.save(tmp_path / "scripted.pt")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pt")
    assert format_of(tmp_path / "scripted.pt").name == "torchscript"
    assert format_of(tmp_path / "whole.pt").name == "torch-pickle"


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "model.bak", "data.parquet"])
def test_other_files_are_refused_with_what_is_accepted(tmp_path, name):
    with pytest.raises(ModelRefused, match="of no kind that can be exported") as caught:
        source_from_path(str(write(tmp_path / name, b"{}")))
    assert "LightGBM's .txt" in caught.value.mend


@pytest.mark.parametrize("name", ["model.cbm", "model.ubj", "model.skops", "model.keras", "model.pt2"])
@pytest.mark.parametrize("content", [b"", b"\0garbage"])
def test_damaged_files_are_named(tmp_path, name, content):
    with pytest.raises(ModelRefused, match=r"truncated, damaged or not"):
        source_from_path(str(write(tmp_path / name, content)), trust=True)


def test_keras_former_format_is_refused_with_the_conversion(tmp_path):
    with pytest.raises(ModelRefused, match="former format") as caught:
        source_from_path(str(write(tmp_path / "model.h5", b"\x89HDF")), trust=True)
    assert """load_model("model.h5").save("model.keras")""" in caught.value.mend


def test_every_danger_needs_trust_and_every_format_is_told_apart():
    dangerous = {name for name, kind in FORMATS.items() if kind.danger}
    assert dangerous == {"torch-pickle", "exported-program", "torchscript", "pickle", "savedmodel"}


def keras(path: Path, layer: dict[str, object]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}))
    return path


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"class_name": "Lambda", "module": "keras.layers", "config": {"name": "evil"}}, r"layer 'evil' is a Lambda"),
        ({"class_name": "Mine", "module": "their.package", "config": {}}, r"is a their\.package\.Mine, which is not"),
        ({"class_name": "Dense", "config": {"activation": {"class_name": "__lambda__"}}}, r"is a Lambda"),
    ],
)
def test_code_in_a_keras_file_is_seen_in_its_own_json(tmp_path, layer, message):
    path = keras(tmp_path / "model.keras", layer)
    with pytest.raises(ModelRefused, match=message):
        source_from_path(str(path))
    assert source_from_path(str(path), trust=True).framework == "keras"


def test_a_keras_file_of_its_own_layers_is_data(tmp_path):
    path = keras(tmp_path / "model.keras", {"class_name": "Dense", "module": "keras.layers", "config": {"name": "d"}})
    assert source_from_path(str(path)).framework == "keras"


def test_code_that_travels_with_hugging_face_weights_is_never_run(tmp_path):
    ran = tmp_path / "ran"
    config = {"architectures": ["Theirs"], "auto_map": {"AutoModel": "modeling_theirs.Theirs"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "modeling_theirs.py").write_text(f"open({str(ran)!r}, 'w')")
    for trust in (False, True):
        with pytest.raises(ModelRefused, match="the architecture 'Theirs'"):
            source_from_path(str(tmp_path), trust=trust)
    assert not ran.exists()


# --- weights beside their code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/m.py", ("a/m.py", "load_model", None)),
        ("a/m.py:build", ("a/m.py", "build", None)),
        ("a/m.py:build+w/x.pt", ("a/m.py", "build", "w/x.pt")),
        ("a/m.py+w/x.pt", ("a/m.py", "load_model", "w/x.pt")),
        ("a/b+c/model.onnx", ("a/b+c/model.onnx", "load_model", None)),
    ],
)
def test_model_texts(text, expected):
    path, entry, weights = split_model(text)
    assert (str(path), entry, weights and str(weights)) == expected
    assert with_paths(text, str) == text


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_are_loaded_into_what_the_factory_makes(tmp_path, suffix):
    from toolkit.models.pytorch import load_pytorch

    (tmp_path / "model.py").write_text(LINEAR_PY)
    state = {"weight": torch.full((2, 2), 3.0), "bias": torch.zeros(2)}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pt":  # as a trainer on several GPUs keeps it
        torch.save({"epoch": 3, "state_dict": {f"module.{n}": v for n, v in state.items()}}, file)
    else:
        save_file(state, file)
    text = f"{tmp_path / 'model.py'}+{file}"
    assert load_pytorch(source_from_path(text)).module.weight.tolist() == [[3.0, 3.0], [3.0, 3.0]]
    assert source_from_path(text).sha256 != source_from_path(str(tmp_path / "model.py")).sha256


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(2, 2)}, "it lacks bias"),
        (
            {"weight": torch.ones(2, 2), "bias": torch.ones(2), "head": torch.ones(1)},
            "it has head, which",
        ),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(2)}, r"weight is \[2, 3\], expected \[2, 2\]"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, state, message):
    from toolkit.models.pytorch import load_pytorch

    (tmp_path / "model.py").write_text(LINEAR_PY)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelRefused, match=message):
        load_pytorch(source_from_path(f"{tmp_path / 'model.py'}+{tmp_path / 'w.safetensors'}"))


def test_a_pickle_is_no_weights_file(tmp_path):
    (tmp_path / "model.py").write_text(LINEAR_PY)
    write(tmp_path / "w.pt", pickle.dumps(print))
    with pytest.raises(ModelRefused, match="neither a safetensors file nor a state_dict"):
        source_from_path(f"{tmp_path / 'model.py'}+{tmp_path / 'w.pt'}")
