from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from toolkit.errors import ModelRefused
from toolkit.models.onnx import check_onnx, count_weights, external_files, opset_of, read_onnx, signature_from_onnx
from toolkit.tensor import TensorSpec


def test_signature_keeps_the_axis_names_of_the_file(make_onnx):
    signature = signature_from_onnx(make_onnx(batch="N"))
    assert signature.inputs == (TensorSpec(name="x", dtype="FP32", shape=("N", 4)),)
    assert signature.outputs == (TensorSpec(name="y", dtype="FP32", shape=("N", 3)),)


@pytest.mark.parametrize(("batch", "shape"), [(1, (1, 4)), (None, ("dim_0", 4)), ("batch", ("batch", 4))])
def test_signature_of_fixed_and_unnamed_axes(make_onnx, batch, shape):
    assert signature_from_onnx(make_onnx(batch=batch)).inputs[0].shape == shape


def test_facts_of_a_model_with_external_data(make_onnx):
    path = make_onnx(external="weights.bin")
    check_onnx(path)
    model = read_onnx(path)
    assert external_files(model) == ("weights.bin",)
    assert (opset_of(model), count_weights(model)) == (20, 12)


@pytest.mark.parametrize("kept", [0, 5, 40, -3])
def test_a_truncated_file_is_refused_by_name(make_onnx, kept):
    path = make_onnx()
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelRefused, match=r"model\.onnx"):
        check_onnx(path)


def test_a_file_that_was_never_onnx_is_refused(tmp_path):
    path = tmp_path / "notes.onnx"
    path.write_text("these are notes")
    with pytest.raises(ModelRefused, match=r"notes\.onnx is truncated, damaged or not ONNX"):
        check_onnx(path)


def test_missing_external_data_is_named(make_onnx, tmp_path):
    path = make_onnx(external="weights.bin")
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ModelRefused, match=r"'weights\.bin' is missing") as caught:
        check_onnx(path)
    assert str(tmp_path / "weights.bin") in caught.value.mend


def test_truncated_external_data_is_named(make_onnx, tmp_path):
    path = make_onnx(external="weights.bin")
    (tmp_path / "weights.bin").write_bytes(b"1234")
    with pytest.raises(ModelRefused, match=r"'weights\.bin' has 4 bytes, and tensor 'w' ends at byte 48"):
        check_onnx(path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "a/../../secret", ""])
def test_external_data_that_leaves_the_folder_is_refused(make_onnx, tmp_path, location):
    path = make_onnx(external="weights.bin")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefused, match="outside of the model's folder"):
        check_onnx(path)


def test_external_data_in_a_subgraph_is_seen(make_onnx):
    path = make_onnx()
    model = onnx.load(path)
    hidden = TensorProto(name="hidden", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="../hidden")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=hidden)], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["x"], [], then_branch=inner, else_branch=inner))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefused, match=r"'hidden' keeps its data in '\.\./hidden'"):
        check_onnx(path)


def test_a_link_that_leaves_the_folder_is_refused(make_onnx, tmp_path_factory):
    path = make_onnx(external="weights.bin")
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "blob"
    (path.parent / "weights.bin").rename(elsewhere)
    (path.parent / "weights.bin").symlink_to(elsewhere)
    with pytest.raises(ModelRefused, match="a link that leaves the model's folder"):
        check_onnx(path)


def test_a_map_output_is_refused_with_zipmap_as_the_mend(make_onnx):
    path: Path = make_onnx()
    model = onnx.load(path)
    kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(1, []))
    model.graph.output.append(helper.make_value_info("scores", helper.make_sequence_type_proto(kind)))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelRefused, match="'scores' is a sequence_type") as caught:
        signature_from_onnx(path)
    assert "zipmap" in caught.value.mend
