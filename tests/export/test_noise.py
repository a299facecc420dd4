"""Tolerances that follow from the reference's own noise, and the places where answers part."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from toolkit.errors import ExportFailed
from toolkit.export.arrays import write_arrays
from toolkit.export.check import check_parity
from toolkit.export.export import export
from toolkit.export.lengths import read_lengths, shorter, write_lengths
from toolkit.export.locate import first_difference, locate_in_graph
from toolkit.export.noise import MARGIN, MOST, basis_text, noise_between, tolerance_from_noise
from toolkit.export.parity import ParityResult, compare
from toolkit.export.pytorch_export import export_pytorch
from toolkit.export.pytorch_locate import locate_module
from toolkit.export.pytorch_noise import IN_FLOAT64, MOVED, pytorch_noise
from toolkit.export.spec import (
    FACTS_FILE,
    LENGTHS_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ExportSpec,
    ReferenceFacts,
)
from toolkit.models.pytorch import ModelFile
from toolkit.models.source import source_from_path
from toolkit.records import read_json, write_json
from toolkit.tensor import tensor_from_text

ROUNDOFF = 2.0**-24


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(len(values), 1)


@pytest.mark.parametrize(
    ("reference", "otherwise", "scale", "absolute", "relative"),
    [
        ((1.0, 2.0), (1.0, 2.0), 2, 0.1 * 4 * ROUNDOFF * 2, 4 * ROUNDOFF),
        ((1.0, 2.0), (1.001, 2.0), 2, 0.8 * ROUNDOFF, 1e-3),
        ((0.0, 2.0), (1e-3, 2.0), 2, 1e-3, 4 * ROUNDOFF),
        ((1e-6, 2e-6), (1.1e-6, 2e-6), 2e-6, 0.8 * ROUNDOFF * 1e-6, 0.1),
        ((0.0, 0.0), (0.0, 0.0), 0, 0, 4 * ROUNDOFF),
        ((np.nan, np.inf, 1.0), (0.0, np.inf, 1.0), 1, 0.4 * ROUNDOFF, 4 * ROUNDOFF),
    ],
)
def test_noise_of_large_and_small_elements(reference, otherwise, scale, absolute, relative):
    noise = noise_between("y", f32(*reference), f32(*otherwise), probe="p")
    assert noise.scale == pytest.approx(scale)
    assert noise.absolute == pytest.approx(absolute, rel=1e-3)
    assert noise.relative == pytest.approx(relative, rel=1e-3)
    assert noise.is_rounding == (relative <= MOST["FP32"])


def test_the_tolerance_is_a_multiple_of_the_noise_and_has_a_ceiling():
    noise = noise_between("y", f32(0.0, 2.0), f32(1e-6, 2.0 + 2e-6), probe="p")
    tolerance = tolerance_from_noise(noise)
    assert tolerance.absolute == pytest.approx(MARGIN * 1e-6)
    assert tolerance.relative == pytest.approx(MARGIN * 1e-6, rel=0.1)
    in_half = tolerance_from_noise(noise, dtype="FP16")
    assert in_half.absolute == pytest.approx(MARGIN * 1e-6 * 8192) and in_half.relative == MOST["FP16"]
    wild = noise_between("y", f32(0.0, 2.0), f32(1.0, 3.0), probe="p")
    assert tolerance_from_noise(wild).absolute == 0.02 and tolerance_from_noise(wild).relative == 0.01
    assert "more than rounding in y, held to a share of the scale" in basis_text((wild,))


def test_an_output_of_zeros_is_held_to_zeros():
    noise = noise_between("y", f32(0, 0), f32(0, 0), probe="p")
    allowed = {"y": tolerance_from_noise(noise)}
    assert compare({"y": f32(0, 0)}, {"y": f32(0, 0)}, allowed).passed
    assert not compare({"y": f32(0, 0)}, {"y": f32(0, 1e-6)}, allowed).passed


class Halving(torch.nn.Module):
    def __init__(self, refuses_double: bool = False) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)
        self.refuses_double = refuses_double

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.float() if self.refuses_double else x) / 2


@pytest.mark.parametrize(("refuses_double", "probe"), [(False, IN_FLOAT64), (True, MOVED)])
def test_the_original_is_asked_in_float64_else_with_moved_weights(tmp_path, refuses_double, probe):
    torch.manual_seed(0)
    model = ModelFile(module=Halving(refuses_double).eval())
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    with torch.no_grad():
        reference = {"output": model.module(torch.from_numpy(x)).numpy()}
    before = model.module.linear.weight.clone()
    (noise,), notes = pytorch_noise(model, tmp_path / "model.py", {"x": x}, reference)
    assert noise.probe == probe and not notes and noise.is_rounding
    assert 4 * ROUNDOFF <= noise.relative < 100 * ROUNDOFF
    assert torch.equal(before, model.module.linear.weight)


def test_samples_are_cut_to_other_lengths_and_the_original_decides_which_make_sense(tmp_path):
    inputs = (tensor_from_text("x:float32:batch,length,2"), tensor_from_text("mask:int64:batch,length"))
    samples = {"x": np.zeros((9, 64, 2), np.float32), "mask": np.ones((9, 64), np.int64)}
    cuts = shorter(samples, inputs)
    assert {text: cut["x"].shape for text, cut in cuts.items()} == {"length 32": (4, 32, 2), "length 27": (4, 27, 2)}

    def answer(rows):
        if rows["x"].shape[1] % 2:
            raise ExportFailed("an even length is needed")
        return {"y": rows["x"].sum(1)}

    notes = write_lengths(tmp_path / "lengths.npz", samples, inputs, answer)
    assert notes == ("not compared at length 27, which the original does not take: an even length is needed",)
    ((text, (given, known)),) = read_lengths(tmp_path / "lengths.npz").items()
    assert (text, given["mask"].shape, known["y"].shape) == ("length 32", (4, 32), (4, 2))
    assert not shorter(samples, (tensor_from_text("x:float32:batch,64,2"),))


LAYERS = """\
import numpy as np, torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 6), torch.nn.ReLU())
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.body(x).mean(1))

def load_model():
    return Net()
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network of three layers over a sequence, exported by the worker's own functions in this process."""
    folder = tmp_path_factory.mktemp("layers")
    (folder / "model.py").write_text(LAYERS)
    from toolkit.export.spec import WorkerRequest

    spec = ExportSpec(inputs=(tensor_from_text("x:float32:batch,length,4"),), sample_count=10)
    request = WorkerRequest(action="export", source=source_from_path(str(folder / "model.py")), spec=spec)
    (folder / "out").mkdir()
    export_pytorch(request, folder / "out", lambda phase: None)
    return request, folder / "out"


def test_the_report_says_what_the_tolerance_is_and_why(exported):
    request, folder = exported
    result = check_parity(folder, request.spec)
    assert result.passed and result.outputs[0].tolerance.relative < 1e-4
    assert "16 times the reference's own rounding noise (the same model in float64)" in result.basis
    assert [note.partition(":")[0] for note in result.notes] == ["at length 32", "at length 27"]
    assert result.noise[0].output == "output" and result.noise[0].scale > 0


@pytest.mark.parametrize(
    ("weight", "module", "operator"),
    [("body.0", "body.0", "Add"), ("body.2", "body.2", "Add"), ("head", "head", "Gemm")],
)
def test_one_part_in_a_thousand_in_one_weight_is_caught_and_its_layer_named(
    exported, tmp_path, weight, module, operator
):
    request, folder = exported
    for file in (SAMPLES_FILE, REFERENCE_FILE, FACTS_FILE, LENGTHS_FILE):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    model = onnx.load(folder / MODEL_FILE)
    shapes = {"body.0": {(8, 4), (4, 8)}, "body.2": {(6, 8), (8, 6)}, "head": {(3, 6), (6, 3)}}[weight]
    tensor = next(w for w in model.graph.initializer if tuple(w.dims) in shapes)
    values = numpy_helper.to_array(tensor)
    error = 1 + 1e-3 * np.random.default_rng(0).choice([-1, 1], values.shape)
    tensor.CopyFrom(numpy_helper.from_array((values * error).astype(np.float32), tensor.name))
    onnx.save(model, tmp_path / MODEL_FILE)
    result = check_parity(tmp_path, request.spec)
    assert not result.passed and locate_in_graph(tmp_path, result) == ()
    text = locate_module(request, tmp_path, lambda phase: None)
    assert text.startswith(f"the first module that answers differently is '{module}' (Linear): node '")
    assert f"({operator})" in text


def test_a_graph_that_mixes_the_rows_of_a_batch_is_named(tmp_path):
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["positive"], name="first"),
            helper.make_node("ReduceMean", ["positive", "axis"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["positive", "mean"], ["centred"], name="mixes"),
            helper.make_node("Neg", ["centred"], ["y"], name="last"),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 4))],
        [numpy_helper.from_array(np.array([0]), "axis")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), tmp_path / MODEL_FILE
    )
    x = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    write_arrays(tmp_path / SAMPLES_FILE, {"x": x})
    write_arrays(tmp_path / REFERENCE_FILE, {"y": np.zeros_like(x)})
    result = check_parity(tmp_path, ExportSpec())
    assert not result.passed
    (text,) = locate_in_graph(tmp_path, result)
    assert "one row alone is answered rightly" in text
    assert "the first to depend on the other rows is node 'mixes' (Sub), whose value 'centred'" in text
    same = first_difference(tmp_path / MODEL_FILE, tmp_path / MODEL_FILE, {"x": x[:1]}, {"x": x[:1]})
    assert same is None


def test_what_was_found_is_in_the_artifact_of_a_failed_export(model_py, tmp_path):
    """The output is wrong in the exported graph alone, and every module of it is right."""
    body = "wrong = 1e-3 if torch.compiler.is_exporting() else 0.0\nreturn self.linear(x) * (1 + wrong)"
    artifact = export(source_from_path(str(model_py(body))), ExportSpec(sample_count=9), tmp_path / "out", name="net")
    assert artifact.parity == "failed"
    parity = read_json(tmp_path / "out" / "parity.json", ParityResult)
    assert "every module that the graph names agrees" in parity.notes[-1]


def test_facts_are_read_back(tmp_path):
    noise = noise_between("y", f32(1, 2), f32(1, 2.001), probe="p")
    facts = ReferenceFacts(comparing="trees", noise=(noise,), modules={"a": "b"})
    write_json(tmp_path / FACTS_FILE, facts)
    assert read_json(tmp_path / FACTS_FILE, ReferenceFacts) == facts
