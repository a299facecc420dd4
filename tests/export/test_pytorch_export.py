"""The worker's functions in this process: what they refuse, and what they write."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from toolkit.errors import ExportFailed
from toolkit.export.arrays import read_arrays
from toolkit.export.check import check_parity
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.parity import top1
from toolkit.export.pytorch_export import export_pytorch
from toolkit.export.spec import HELD_OUT_FILE, MODEL_FILE, REFERENCE_FILE, SAMPLES_FILE, ExportSpec
from toolkit.export.torch_onnx import export_program, save_program
from toolkit.models.onnx import check_onnx, external_files, opset_of, read_onnx, signature_from_onnx
from toolkit.models.pytorch import load_pytorch
from toolkit.tensor import tensor_from_text


def run(request, folder):
    folder.mkdir(exist_ok=True)
    return export_pytorch(request, folder, lambda phase: None)


@pytest.mark.parametrize(
    ("body", "message", "mend"),
    [
        ("if x.sum() > 0:\n    x = -x\nreturn self.linear(x)", r"model\.py:9: the values of a tensor decide", "where"),
        ("return self.linear(x.reshape(1, 4))", r"model\.py:9: the batch is fixed", "x.shape[0] or -1"),
        ("return self.linear(x.reshape(-1, 8)[:, :4])", r"model\.py:9: forward\(\) on one row raised", "one too"),
        ("return torch.zeros(8, 3) + self.linear(x)", r"shape \[8, 3\] for 1 row\(s\): axis 0 is not the batch", "row"),
        ("return self.linear(x).sum(0)", r"shape \[3\] for 1 row\(s\)", "one row per row"),
        (
            "y = self.linear(x)\nreturn y if x.shape[0] == 2 else -y",
            r"axis 0 of input 'x' cannot vary: the model only takes length 2 at .*model\.py:10 \(return y if",
            "no `if` on a shape",
        ),
        (
            "y = self.linear(x)\nreturn y[y[:, 0] > -1e9]",
            "axis 0 of output 'output' is 'u0' in the ONNX graph",
            "one row per row",
        ),
        ("return x @ x.T", "relates the rows of a batch to each other", "after the model"),
        ("return 3", r"returns a int; expected tensors", "tensors only"),
        ("return {'y': x, 'past': (x,)}", "'past' is a tuple, not a tensor", "tensors only"),
        ("return {'x': self.linear(x)}", "'x' is the name of an input and of an output", "OUTPUT_NAMES"),
        ("raise KeyError('customer')", r"model\.py:9: forward\(\) on one row raised KeyError: 'customer'", ""),
    ],
)
def test_models_that_cannot_be_served_are_refused_with_line_and_mend(
    model_py, request_for, tmp_path, body, message, mend
):
    with pytest.raises(ExportFailed, match=message) as caught:
        run(request_for(model_py(body), sample_count=3), tmp_path / "out")
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("def sample_inputs(seed, n): return {'image': np.zeros((n, 4))}", "an input 'image' that the model does not"),
        ("def sample_inputs(seed): return {}", r"sample_inputs\(0, 64\) raised TypeError"),
        ("def held_out(): return {'x': np.zeros((3, 4), 'f4')}, np.zeros(2)", "one row per label"),
        ("def held_out(): return 1 / 0", r"model\.py:\d+: held_out\(\) raised ZeroDivisionError"),
        ("OUTPUT_NAMES = ('a', 'b')", r"OUTPUT_NAMES has 2 names and forward\(\) returns 1: output"),
    ],
)
def test_faults_of_what_the_file_offers_are_named(model_py, request_for, tmp_path, more, message):
    with pytest.raises(ExportFailed, match=message):
        run(request_for(model_py(more=more)), tmp_path / "out")


def test_inputs_without_a_batch_axis_are_refused(model_py, request_for, tmp_path):
    declared = (tensor_from_text("x:float32:64,4"),)
    with pytest.raises(ExportFailed, match=r"input 'x' has no batch: axis 0 of x:float32:64,4 is not 'batch'"):
        run(request_for(model_py(), inputs=declared), tmp_path / "out")


def test_an_opset_that_torch_does_not_write_is_an_error(model_py, request_for, tmp_path):
    with pytest.raises(ExportFailed, match="asked for opset 13, torch wrote 18"):
        run(request_for(model_py("return self.linear(x).relu()"), opset=13), tmp_path / "out")


@pytest.mark.parametrize(
    ("body", "more", "names"),
    [
        ("return self.linear(x), x.sum(1)", "", ("output_0", "output_1")),
        ("return {'logits': self.linear(x), 'none': None, 'total': x.sum(1)}", "", ("logits", "total")),
        ("return self.linear(x), x.argmax(1)", "OUTPUT_NAMES = 'scores', 'label'", ("scores", "label")),
    ],
)
def test_graph_names_are_the_signatures(model_py, request_for, tmp_path, body, more, names):
    run(request_for(model_py(body, more), sample_count=5), tmp_path / "out")
    signature = signature_from_onnx(tmp_path / "out" / MODEL_FILE)
    assert tuple(t.name for t in signature.outputs) == names
    assert signature.is_batchable and signature.inputs[0].shape == ("batch", 4)
    assert tuple(read_arrays(tmp_path / "out" / REFERENCE_FILE)) == names
    assert check_parity(tmp_path / "out", ExportSpec()).passed


def test_a_named_axis_beside_the_batch_stays_free(model_py, request_for, tmp_path):
    declared = (tensor_from_text("x:float32:batch,length,4"),)
    path = model_py("return self.linear(x).mean(1)")
    path.write_text(path.read_text().partition("def sample_inputs")[0])
    run(request_for(path, inputs=declared, sample_count=3), tmp_path / "out")
    assert signature_from_onnx(tmp_path / "out" / MODEL_FILE).inputs[0].shape == ("batch", "length", 4)


def test_what_is_written_is_whole_in_one_file_and_names_no_folder(model_py, request_for, tmp_path):
    path = model_py(more="def held_out(): return sample_inputs(1, 9), np.arange(9) % 3")
    inputs = run(request_for(path, sample_count=7), tmp_path / "out")
    assert str(tmp_path).encode() not in (tmp_path / "out" / MODEL_FILE).read_bytes()
    assert not (tmp_path / "out" / "model.onnx.data").exists()
    assert opset_of(read_onnx(tmp_path / "out" / MODEL_FILE)) == 20
    assert [t.text() for t in inputs] == ["x:float32:batch,4"]
    assert read_arrays(tmp_path / "out" / SAMPLES_FILE)["x"].shape == (7, 4)
    assert set(read_arrays(tmp_path / "out" / HELD_OUT_FILE)) == {"input.x", "label"}
    result = check_parity(tmp_path / "out", ExportSpec(), task=top1)
    assert result.passed and result.samples == 7 and result.batch_sizes == (1, 2, 3, 8)
    assert result.task and result.task.samples == 9 and result.task.disagreements == 0


def test_large_weights_go_into_one_file_beside_the_model(model_py, request_for, tmp_path):
    source = request_for(model_py(more="def load_model(): return torch.nn.Linear(4, 600)")).source
    model, rows = load_pytorch(source), {"input": torch.ones(2, 4)}
    inputs = (tensor_from_text("input:float32:batch,4"),)
    program = export_program(model, source.path, inputs, rows, ("output",), 20)
    save_program(program, tmp_path / MODEL_FILE, single_file_bytes=9600)
    check_onnx(tmp_path / MODEL_FILE)
    assert external_files(read_onnx(tmp_path / MODEL_FILE)) == ("model.onnx.data",)
    answers = run_onnx(tmp_path / MODEL_FILE, {"input": np.ones((2, 4), np.float32)})
    np.testing.assert_allclose(answers["output"], model.module(rows["input"]).numpy(), rtol=1e-5)


def test_a_wrong_weight_planted_in_the_onnx_file_fails_parity(model_py, request_for, tmp_path):
    run(request_for(model_py(), sample_count=10), tmp_path / "out")
    path = tmp_path / "out" / MODEL_FILE
    model = onnx.load(path)
    weight = next(w for w in model.graph.initializer if list(w.dims) == [3, 4])
    values = numpy_helper.to_array(weight).copy()
    values[1, 2] += 0.05
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, path)
    result = check_parity(tmp_path / "out", ExportSpec())
    assert not result.passed and "elements differ" in result.reason
    wrong = result.outputs[0]
    reference = read_arrays(tmp_path / "out" / SAMPLES_FILE)["x"][:, 2] * 0.05
    assert wrong.max_absolute == pytest.approx(np.abs(reference).max(), rel=1e-3)
    assert wrong.worst_sample == np.abs(reference).argmax() or wrong.mismatches > 1


def test_a_graph_that_runs_at_one_batch_size_only_fails_parity(model_py, request_for, tmp_path):
    run(request_for(model_py(), sample_count=10), tmp_path / "out")
    path = tmp_path / "out" / MODEL_FILE
    model = onnx.load(path)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 3]), "fixed"))
    output = model.graph.output[0].name
    model.graph.node[-1].output[0] = "before"
    model.graph.node.append(onnx.helper.make_node("Reshape", ["before", "fixed"], [output]))
    onnx.save(model, path)
    result = check_parity(tmp_path / "out", ExportSpec())
    assert not result.passed and result.reason.startswith("batch 2: output 'output': ONNX Runtime fails at batch 2")
