"""Models of TensorFlow and JAX, each through the worker in its own environment; skipped where that is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.environments import python_of, variable_of
from toolkit.export.export import export
from toolkit.export.inspect import inspect_model
from toolkit.export.parity import ParityResult, top1
from toolkit.export.spec import ExportSpec
from toolkit.models.source import is_confined, source_from_path
from toolkit.records import read_json
from toolkit.tensor import tensor_from_text

SPEC = ExportSpec(sample_count=9)

# --- JAX --------------------------------------------------------------------------------------------------------------

FUNCTION = """\
import jax, jax.numpy as jnp, numpy as np
weights = jax.random.normal(jax.random.PRNGKey(0), (4, 3))

def load_model():
    return jax.jit(lambda x: {body})

def sample_inputs(seed, n):
    return {{"x": np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)}}

def held_out():
    return sample_inputs(1, 6), np.arange(6) % 3
"""
NNX = """\
import jax.numpy as jnp, numpy as np
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv, self.norm = nnx.Conv(3, 8, (3, 3), rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.dense, self.dropout = nnx.Linear(8, 5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, image):
        found = self.dropout(nnx.relu(self.norm(self.conv(image)))).mean((1, 2))
        return {"scores": nnx.softmax(self.dense(found)), "top": found.argmax(axis=1)}

def load_model(width: int = 8):
    net = Net(nnx.Rngs(0))
    net.eval()
    return net

def sample_inputs(seed, n):
    return {"image": np.random.default_rng(seed).random((n, 16, 16, 3)).astype(np.float32)}
"""
LINEN = """\
import flax.linen as nn, jax, jax.numpy as jnp

class Text(nn.Module):
    @nn.compact
    def __call__(self, tokens, mask):
        x = nn.Embed(50, 16)(tokens)
        x = nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(2)(x, x, mask=(mask > 0)[:, None, None, :]))
        weight = mask[..., None].astype(x.dtype)
        return nn.Dense(3)((x * weight).sum(1) / weight.sum(1))

def load_model():
    ones = jnp.ones((1, 8), jnp.int32)
    return Text().apply, Text().init(jax.random.PRNGKey(0), ones, ones)
"""


@pytest.fixture
def jax_py(tmp_path):
    needs("jax")

    def write(text: str) -> str:
        (tmp_path / "model.py").write_text(text)
        return str(tmp_path / "model.py")

    return write


def needs(name: str) -> Path:
    python = python_of(name)
    if python is None:
        pytest.skip(f"there is no environment '{name}': toolkit env make {name}, or set {variable_of(name)}")
    return python


def test_a_function_with_its_weights_in_a_closure(jax_py, tmp_path):
    source = source_from_path(jax_py(FUNCTION.format(body="jax.nn.softmax(x @ weights)")))
    artifact = export(source, SPEC, tmp_path / "out", name="net", task=top1)
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert artifact.parity == "passed" and artifact.signature.is_batchable and artifact.opset == 20
    assert "float64" in parity.basis and parity.task and parity.task.samples == 6


def test_a_module_with_several_outputs(jax_py, tmp_path):
    source = source_from_path(jax_py(NNX))
    artifact = export(source, SPEC, tmp_path / "out", name="net")
    assert artifact.parity == "passed"
    assert [t.text() for t in artifact.signature.outputs] == ["scores:float32:batch,5", "top:int32:batch"]
    found = inspect_model(source)
    assert found.framework == "jax" and found.parameters >= 3 * 3 * 3 * 8 + 8 * 5 and found.signature


def test_a_function_with_parameters_and_any_length(jax_py, tmp_path):
    inputs = (tensor_from_text("tokens:int64:batch,length:0..49"), tensor_from_text("mask:int64:batch,length"))
    source = source_from_path(jax_py(LINEN))
    artifact = export(source, ExportSpec(sample_count=9, inputs=inputs), tmp_path / "out", name="net")
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert artifact.parity == "passed" and "'tokens' is INT32 for the framework" in parity.notes[0]
    assert [t.shape for t in artifact.signature.inputs] == [("batch", "length")] * 2
    assert any(note.startswith("at length 32") for note in parity.notes)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x @ weights * (2 if x.shape[0] == 2 else 1)", "answers two rows otherwise than each alone"),
        ("x @ weights - (x @ weights).mean(0)", "answers two rows otherwise than each alone"),
        ("(x @ weights).reshape(1, 3)", "the batch is fixed"),
        ("(x @ weights).sum(0)", r"shape \[3\] for 1 row"),
        ("None", "'output' is a NoneType, not an array"),
        ("x @ weights[:3]", r"model\.py:5: the original on one row raised TypeError"),
    ],
)
def test_what_cannot_be_served_is_named(jax_py, tmp_path, body, message):
    with pytest.raises(ExportFailed, match=message):
        export(source_from_path(jax_py(FUNCTION.format(body=body))), SPEC, tmp_path / "out", name="net")


def test_a_factory_that_returns_no_function(jax_py, tmp_path):
    text = "import jax\n\ndef load_model():\n    return {'w': jax.numpy.ones(3)}\n"
    with pytest.raises(ModelRefused, match=r"load_model\(\) is a dict, which does not compute"):
        export(source_from_path(jax_py(text)), SPEC, tmp_path / "out", name="net")


# --- TensorFlow -------------------------------------------------------------------------------------------------------

WRITE = """\
import sys
import tensorflow as tf

class Net(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.random.stateless_normal((4, 3), (0, 1)))
        self.table = tf.Variable(tf.random.stateless_normal((50, 3), (2, 3)))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32), tf.TensorSpec((None, None), tf.int64)])
    def score(self, numbers, ids):
        found = tf.reduce_sum(tf.gather(self.table, ids), axis=1)
        return {"probabilities": tf.nn.softmax(numbers @ self.weight + found), "count": tf.reduce_sum(ids, 1)}

    @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    def fixed(self, numbers):
        return numbers @ self.weight

net = Net()
tf.saved_model.save(net, sys.argv[1] + "/net", signatures=net.score)
tf.saved_model.save(net, sys.argv[1] + "/fixed", signatures=net.fixed)
tf.saved_model.save(net, sys.argv[1] + "/two", signatures={"a": net.score, "b": net.fixed})
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    subprocess.run([needs("tensorflow"), "-c", WRITE, folder], check=True, capture_output=True)
    return folder


def test_a_saved_model_of_two_inputs(saved, tmp_path):
    with pytest.raises(ModelRefused, match="runs the program in it"):
        source_from_path(str(saved / "net"))
    source = source_from_path(str(saved / "net"), trust=True)
    assert is_confined(source)
    spec = ExportSpec(sample_count=9, inputs=(tensor_from_text("ids:int64:batch,length:0..49"),))
    artifact = export(source, spec, tmp_path / "out", name="net")
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert artifact.parity == "passed" and "each variable moved" in parity.basis and artifact.opset == 20
    shapes = {t.name: t.shape for t in (*artifact.signature.inputs, *artifact.signature.outputs)}
    assert shapes["ids"] == ("batch", "length") and shapes["probabilities"] == ("batch", 3)
    assert any(note.startswith("at length 32") for note in parity.notes)


def test_labels_beside_the_samples_are_judged(saved, tmp_path):
    random = np.random.default_rng(0)
    rows = {"numbers": random.standard_normal((12, 4)).astype(np.float32), "ids": random.integers(0, 50, (12, 5))}
    np.savez(tmp_path / "rows.npz", label=np.arange(12) % 3, **rows)
    spec = ExportSpec(samples=tmp_path / "rows.npz")
    export(source_from_path(str(saved / "net"), trust=True), spec, tmp_path / "out", name="net", task=top1)
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert parity.passed and parity.task and parity.task.samples == 12


@pytest.mark.parametrize(
    ("name", "message"),
    [("fixed", "input 'numbers' has no batch"), ("two", "it is not clear which to serve: it has a, b")],
)
def test_a_saved_model_that_cannot_be_served_is_named(saved, tmp_path, name, message):
    with pytest.raises((ExportFailed, ModelRefused), match=message):
        export(source_from_path(str(saved / name), trust=True), SPEC, tmp_path / "out", name="net")


def test_inspection_of_a_saved_model(saved):
    found = inspect_model(source_from_path(str(saved / "net"), trust=True))
    assert found.framework == "savedmodel" and found.parameters == 4 * 3 + 50 * 3 and found.operators["MatMul"] == 1
    assert "runs the program in it" in found.unsafe[0] and not found.needs
