from __future__ import annotations

import numpy as np
import onnx
import pytest

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.arrays import read_arrays
from toolkit.export.check import check_parity
from toolkit.export.onnx_export import export_onnx
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.spec import MODEL_FILE, REFERENCE_FILE, SAMPLES_FILE, ExportSpec
from toolkit.models.onnx import signature_from_onnx
from toolkit.models.source import source_from_path
from toolkit.tensor import tensor_from_text


def run(request, folder):
    folder.mkdir()
    return export_onnx(request, folder, lambda phase: None)


@pytest.mark.parametrize(
    ("x", "y"),
    [(("N", 4), ("N", 3)), ((None, 4), (None, 3)), (("N", 4), ("unk__7", 3)), (("batch", 4), ("batch", 3))],
)
def test_the_batch_axis_is_named_and_proven(make_onnx, request_for, tmp_path, x, y):
    run(request_for(make_onnx(x=x, y=y), sample_count=10), tmp_path / "out")
    signature = signature_from_onnx(tmp_path / "out" / MODEL_FILE)
    assert signature.inputs[0].shape == ("batch", 4) and signature.outputs[0].shape == ("batch", 3)
    result = check_parity(tmp_path / "out", ExportSpec())
    assert result.passed and result.outputs[0].max_absolute < 1e-6


def test_a_model_that_says_batch_already_is_copied_byte_for_byte(make_onnx, request_for, tmp_path):
    path = make_onnx(x=("batch", 4), y=("batch", 3), external="theirs.weights")
    run(request_for(path), tmp_path / "out")
    assert (tmp_path / "out" / MODEL_FILE).read_bytes() == path.read_bytes()
    assert (tmp_path / "out" / "theirs.weights").read_bytes() == (path.parent / "theirs.weights").read_bytes()
    samples = read_arrays(tmp_path / "out" / SAMPLES_FILE)
    reference = read_arrays(tmp_path / "out" / REFERENCE_FILE)
    np.testing.assert_allclose(run_onnx(path, samples)["y"], reference["y"], rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ((1, 4), (1, 3), "the batch is fixed: axis 0 of input 'x' is fixed at 1"),
        (("N", 4), (8, 3), "the batch is fixed: axis 0 of output 'y' is fixed at 8"),
        (("N", "batch"), ("N", 3), "not clear which axis is the batch"),
        (("N", "N"), ("N", 3), "not clear which axis is the batch"),
    ],
)
def test_a_fixed_or_doubtful_batch_is_refused(make_onnx, request_for, tmp_path, x, y, message):
    with pytest.raises(ExportFailed, match=message) as caught:
        run(request_for(make_onnx(x=x, y=y)), tmp_path / "out")
    assert "batch" in caught.value.mend


def test_a_batch_that_is_only_declared_fails_parity(make_onnx, request_for, tmp_path):
    path = make_onnx()
    model = onnx.load(path)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 4]), "one_row"))
    model.graph.node.insert(0, onnx.helper.make_node("Reshape", ["x", "one_row"], ["row"]))
    model.graph.node[1].input[0] = "row"
    onnx.save(model, path)
    run(request_for(path, sample_count=9), tmp_path / "out")
    result = check_parity(tmp_path / "out", ExportSpec())
    assert not result.passed and "ONNX Runtime fails at batch 2" in result.reason


def test_weights_cannot_take_the_place_of_the_exports_own_files(make_onnx, request_for, tmp_path):
    with pytest.raises(ModelRefused, match=r"keeps weights in a file named 'request\.json'"):
        run(request_for(make_onnx(external="request.json")), tmp_path / "out")
    assert not (tmp_path / "out" / "request.json").exists()


def test_inputs_that_do_not_fit_the_file(make_onnx, request_for, tmp_path):
    for text, message in (("z:float32:batch,4", "the model takes: x"), ("x:int64:batch,4", "does not fit")):
        with pytest.raises(ExportFailed, match=message):
            run(request_for(make_onnx(), inputs=(tensor_from_text(text),)), tmp_path / text)


def test_samples_that_the_model_cannot_take(make_onnx, request_for, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.float32))
    with pytest.raises(ExportFailed, match=r"input 'x' is FP32 \[3, 5\]; expected x:float32:batch,4"):
        run(request_for(make_onnx(), samples=tmp_path / "x.npy"), tmp_path / "out")


def test_a_model_that_changed_after_it_was_checked_is_refused(make_onnx, request_for, tmp_path):
    request = request_for(make_onnx(external="weights.bin"))
    (request.source.path.parent / "weights.bin").unlink()
    with pytest.raises(ModelRefused, match=r"'weights\.bin' is missing"):
        run(request, tmp_path / "out")


def test_an_operator_that_the_runtime_lacks_is_refused_in_one_piece(make_onnx, request_for, tmp_path):
    path = make_onnx()
    model = onnx.load(path)
    model.opset_import.add(domain="com.customer", version=1)
    model.graph.node[0].domain = "com.customer"
    onnx.save(model, path)
    assert source_from_path(str(path)).framework == "onnx"
    with pytest.raises(ModelRefused, match=r"cannot load .*theirs\.onnx"):
        run(request_for(path), tmp_path / "out")
