"""Counted operations and bytes against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.export.operations import Operations, count_in_model, count_operations

F = 4  # bytes of a float32


def counted(nodes, inputs, output, weights=(), sizes=None, opset=23) -> Operations:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in dict(weights).items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return count_in_model(helper.make_model(graph, opset_imports=domains), sizes or {})


def floats(*shape):
    return TensorProto.FLOAT, shape


def node(op, inputs, output="y", **attributes):
    return helper.make_node(op, inputs, output if isinstance(output, list) else [output], **attributes)


CASES = {
    # [2, 3] x [3, 5], and 10 additions of the bias
    "Gemm": (node("Gemm", "xwb"), {"x": floats(2, 3)}, {"w": (3, 5), "b": (5,)}, 2 * 2 * 3 * 5 + 10, 20 * F, 16 * F),
    "Gemm, both transposed": (
        node("Gemm", "xw", transA=1, transB=1), {"x": floats(3, 2)}, {"w": (5, 3)}, 2 * 2 * 3 * 5, 15 * F, 16 * F,
    ),
    # 4 heads, each [6, 8] x [8, 7]
    "MatMul, batched": (
        node("MatMul", "ab"), {"a": floats(4, 6, 8), "b": floats(4, 8, 7)}, {}, 2 * 4 * 6 * 8 * 7, 0,
        (4 * 48 + 4 * 56 + 4 * 42) * F,
    ),
    # 3x3 on 8x8 without padding: 6x6 outputs of 4 channels from 3
    "Conv": (
        node("Conv", "xw"), {"x": floats(1, 3, 8, 8)}, {"w": (4, 3, 3, 3)}, 2 * 36 * 4 * 27, 108 * F, (192 + 144) * F,
    ),
    "Conv, strides, padding and a bias": (
        node("Conv", "xwb", strides=[2, 2], pads=[1, 1, 1, 1]), {"x": floats(1, 3, 8, 8)},
        {"w": (4, 3, 3, 3), "b": (4,)}, 2 * 16 * 4 * 27 + 64, 112 * F, (192 + 64) * F,
    ),
    # a kernel of 3 with dilation 2 spans 5: 4x4 outputs; two groups: each output channel sees 2 of 4
    "Conv, groups and dilation": (
        node("Conv", "xw", group=2, dilations=[2, 2]), {"x": floats(1, 4, 8, 8)}, {"w": (6, 2, 3, 3)},
        2 * 16 * 6 * 18, 108 * F, (256 + 96) * F,
    ),
    "ConvTranspose": (
        node("ConvTranspose", "xw", strides=[2, 2]), {"x": floats(1, 4, 5, 5)}, {"w": (4, 3, 2, 2)},
        2 * 100 * 12, 48 * F, (100 + 300) * F,
    ),
    # batch 2, 3 heads, 5 queries, 7 keys of size 4, values of size 6: scores, softmax of 5 each, values
    "Attention": (
        node("Attention", "qkv"), {"q": floats(2, 3, 5, 4), "k": floats(2, 3, 7, 4), "v": floats(2, 3, 7, 6)}, {},
        2 * 3 * 5 * 7 * (8 + 5 + 12), 0, (120 + 168 + 252 + 180) * F,
    ),
    # 6 steps, batch 2, both directions, 3 inputs, 4 hidden: 4 gates x 4 x (3 + 4) products, their sum, 9 elementwise
    "LSTM": (
        node("LSTM", "xwr", hidden_size=4, direction="bidirectional"), {"x": floats(6, 2, 3)},
        {"w": (2, 16, 3), "r": (2, 16, 4)}, 6 * 2 * 2 * (2 * 16 * 7 + 16 + 9 * 4), 224 * F, (36 + 6 * 2 * 2 * 4) * F,
    ),
    "elementwise": (node("Mul", "ab"), {"a": floats(3, 4), "b": floats(1, 4)}, {}, 12, 0, (12 + 4 + 12) * F),
    "Softmax": (node("Softmax", "x"), {"x": floats(3, 4)}, {}, 60, 0, 24 * F),
    "Einsum": (
        node("Einsum", "ab", equation="bij,bjk->bik"), {"a": floats(2, 3, 4), "b": floats(2, 4, 5)}, {},
        2 * 2 * 3 * 4 * 5, 0, (24 + 40 + 30) * F,
    ),
    # 7 rows of 16 out of a table of a million: no operations, and the table is not read
    "embedding Gather": (
        node("Gather", ["w", "i"]), {"i": (TensorProto.INT64, (7,))}, {"w": (1000, 16)}, 0, 7 * 16 * F,
        7 * 8 + 7 * 16 * F,
    ),
    "view": (node("Flatten", "x"), {"x": floats(2, 3, 4)}, {}, 0, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "inputs", "weights", "flops", "weight_bytes", "activation_bytes"), CASES.values(), ids=CASES
)
def test_by_hand(made, inputs, weights, flops, weight_bytes, activation_bytes):
    found = counted([made], inputs, made.output[0], weights)
    assert not found.uncounted
    assert (found.flops, found.weight_bytes, found.activation_bytes) == (flops, weight_bytes, activation_bytes)
    assert found.bytes == weight_bytes + activation_bytes


def test_named_axes_take_the_sizes_that_are_given():
    made = [node("MatMul", "xw")]
    inputs, weights = {"x": floats("batch", "length", 8)}, {"w": (8, 5)}
    assert counted(made, inputs, "y", weights).flops == 2 * 8 * 5
    found = counted(made, inputs, "y", weights, sizes={"batch": 3, "length": 10})
    assert (found.flops, found.sizes) == (30 * 80, {"batch": 3, "length": 10})


def test_what_is_not_known_is_named_and_not_guessed():
    odd = helper.make_node("Mystery", ["x"], ["y"], domain="theirs", name="odd")
    found = counted([odd], {"x": floats(2)}, "y")
    assert found.flops == 0 and found.uncounted == ("Mystery 'odd': the shape of 'y' is not known",)


def test_trees_count_comparisons_to_a_leaf_of_mean_depth():
    """Tree 0 has leaves at depth 1, 2 and 2; tree 1 is one leaf: 5/3 + 1 and 0 + 1 for each of 6 rows."""
    trees = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0, 0, 0, 1], nodes_nodeids=[0, 1, 2, 3, 4, 0], nodes_featureids=[0] * 6,
        nodes_values=[0.5, 0.0, 0.7, 0.0, 0.0, 0.0], nodes_truenodeids=[1, 0, 3, 0, 0, 0],
        nodes_falsenodeids=[2, 0, 4, 0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
        target_ids=[0] * 4, target_nodeids=[1, 3, 4, 0], target_treeids=[0, 0, 0, 1], target_weights=[1.0] * 4,
    )  # fmt: skip
    assert counted([trees], {"x": floats(6, 1)}, "y").flops == round(6 * (5 / 3 + 1 + 1))


def test_a_file_is_counted_without_its_weights_being_read(tmp_path):
    weight = numpy_helper.from_array(np.zeros((4, 3), np.float32), "w")
    graph = helper.make_graph(
        [node("MatMul", "xw")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    found = count_operations(tmp_path / "m.onnx", {"batch": 2})
    assert (found.flops, found.weight_bytes) == (48, 48) and found.flops_by_operator == {"MatMul": 48}
