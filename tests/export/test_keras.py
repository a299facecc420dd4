"""Keras 3 files through Keras' PyTorch backend: whole exports, and what of a file is run, refused or told."""

from __future__ import annotations

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import pytest

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.export import export
from toolkit.export.inspect import inspect_model
from toolkit.export.spec import ExportSpec
from toolkit.models.source import is_confined, source_from_path
from toolkit.tensor import tensor_from_text

keras = pytest.importorskip("keras", reason="pip install 'poc-toolkit[keras]'")
SPEC = ExportSpec(sample_count=4)


def recurrent(path: Path) -> Path:
    layers = keras.layers
    inputs = keras.Input((None,), dtype="int32", name="tokens")
    keras.Model(inputs, layers.Dense(3, name="logits")(layers.LSTM(4)(layers.Embedding(50, 8)(inputs)))).save(path)
    return path


def with_lambda(path: Path) -> Path:
    inputs = keras.Input((4,), name="x")
    doubled = keras.layers.Lambda(lambda x: x * 2, output_shape=(4,), name="hidden")(inputs)
    keras.Model(inputs, keras.layers.Dense(2, name="y")(doubled)).save(path)
    return path


@pytest.mark.slow
def test_a_recurrent_layer_is_exported_at_the_length_that_is_given(tmp_path):
    source = source_from_path(str(recurrent(tmp_path / "model.keras")))
    with pytest.raises(ExportFailed, match="axis 1 of input 'tokens' cannot vary"):
        export(source, SPEC, tmp_path / "out", name="net")
    fixed = ExportSpec(sample_count=4, inputs=(tensor_from_text("tokens:int32:batch,12:0..49"),))
    artifact = export(source, fixed, tmp_path / "out", name="net")
    assert artifact.parity == "passed" and artifact.signature.inputs[0].shape == ("batch", 12)


def test_a_lambda_is_run_only_with_trust_and_then_confined(tmp_path):
    path = with_lambda(tmp_path / "model.keras")
    with pytest.raises(ModelRefused, match="layer 'hidden' is a Lambda"):
        source_from_path(str(path))
    source = source_from_path(str(path), trust=True)
    assert is_confined(source) and "code that is hidden in it is run" in inspect_model(source).unsafe[0]
    assert export(source, SPEC, tmp_path / "out", name="net").parity == "passed"


def test_what_the_file_declares_is_the_signature(tmp_path):
    found = inspect_model(source_from_path(str(recurrent(tmp_path / "model.keras"))))
    assert found.signature is not None and found.parameters == 50 * 8 + 4 * (8 + 4 + 1) * 4 + 4 * 3 + 3
    assert found.signature.inputs[0].text() == "tokens:int32:batch,tokens_1:0..49"
    assert [t.name for t in found.signature.outputs] == ["logits"]
    assert "toolkit inspect DIR/model.onnx" in found.notes[-1]
