"""Floating-point operations of one ONNX node, by operator. Pure arithmetic on shapes.

A multiplication and an addition are two operations; one of the others is one, exp, erf and tanh too, and so is a
comparison in a tree. Sources: the operators' definitions, onnx/docs/Operators.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShapes:
    """One node: its operator, attributes, and the shapes of inputs and outputs; None for an input that is left out."""

    op_type: str
    attributes: Mapping[str, Any]
    inputs: Sequence[Shape | None]
    outputs: Sequence[Shape]

    def given(self, index: int) -> Shape:
        """The shape of an input that the operator must have."""
        shape = self.inputs[index]
        assert shape is not None, f"{self.op_type} lacks input {index}"
        return shape


def flops_of(node: NodeShapes) -> int | None:
    """The operations of a node; None for an operator without a rule."""
    rule = _RULES.get(node.op_type)
    return None if rule is None else rule(node)


def _elements(shape: Shape | None) -> int:
    return math.prod(shape) if shape is not None else 0


def _is_given(node: NodeShapes, index: int) -> bool:
    return len(node.inputs) > index and node.inputs[index] is not None


def _matmul(node: NodeShapes) -> int:
    return 2 * _elements(node.outputs[0]) * node.given(0)[-1]


def _gemm(node: NodeShapes) -> int:
    inner = node.given(0)[0 if node.attributes.get("transA", 0) else 1]
    size = _elements(node.outputs[0])
    return 2 * size * inner + (size if _is_given(node, 2) else 0)


def _conv(node: NodeShapes) -> int:
    """The weight is [out, in / groups, kernel...]: groups, strides and dilations are in the two shapes."""
    size, bias = _elements(node.outputs[0]), _is_given(node, 3 if node.op_type == "ConvInteger" else 2)
    return 2 * size * math.prod(node.given(1)[1:]) + (size if bias and node.op_type == "Conv" else 0)


def _qlinear_conv(node: NodeShapes) -> int:
    size = _elements(node.outputs[0])
    return 2 * size * math.prod(node.given(3)[1:]) + (size if _is_given(node, 8) else 0)


def _conv_transpose(node: NodeShapes) -> int:
    """Every element of the input is multiplied with the weight [in, out / groups, kernel...] of its channel."""
    size = _elements(node.outputs[0]) if _is_given(node, 2) else 0
    return 2 * _elements(node.inputs[0]) * math.prod(node.given(1)[1:]) + size


def _einsum(node: NodeShapes) -> int:
    """As one loop over all letters: a product for every input beyond the first, and a sum where a letter goes."""
    equation = str(node.attributes["equation"]).replace(" ", "")
    terms, _, result = equation.partition("->")
    sizes: dict[str, int] = {}
    for term, shape in zip(terms.split(","), node.inputs, strict=True):
        sizes |= dict(zip(term.replace("...", ""), reversed(list(reversed(shape or ()))), strict=False))
    sums = any(letter not in result for letter in sizes)
    return math.prod(sizes.values()) * (len(node.inputs) - 1 + sums)


def _recurrent(gates: int, extra: int) -> Callable[[NodeShapes], int]:
    """Per step and direction: gates x hidden x (input + hidden) products, two biases, and `extra` per hidden unit."""

    def flops(node: NodeShapes) -> int:
        length, batch, width = node.given(0)
        directions, _, hidden = node.given(2)
        biases = 2 * gates * hidden if _is_given(node, 3) else 0
        step = 2 * gates * hidden * (width + hidden) + gates * hidden + biases + extra * hidden
        return length * batch * directions * step

    return flops


def _attention(node: NodeShapes) -> int:
    """Scores, softmax (5 for each), values. 4-D [batch, heads, length, size], or 3-D with the heads as attributes."""
    query, key, value = (node.given(i) for i in range(3))
    if len(query) == 4:
        batch, heads, length, size = query
        keys, value_size = key[2], value[3]
    else:
        heads, kv_heads = int(node.attributes["q_num_heads"]), int(node.attributes["kv_num_heads"])
        batch, length, size = query[0], query[1], query[2] // heads
        keys, value_size = key[1], value[2] // kv_heads
    if _is_given(node, 4):
        keys += node.given(4)[2]
    return batch * heads * length * keys * (2 * size + 2 * value_size + 5)


def _pool(node: NodeShapes) -> int:
    return _elements(node.outputs[0]) * math.prod(int(size) for size in node.attributes["kernel_shape"])


def _per_output(factor: int) -> Callable[[NodeShapes], int]:
    return lambda node: factor * _elements(node.outputs[0])


def _per_input(factor: int) -> Callable[[NodeShapes], int]:
    return lambda node: factor * _elements(node.inputs[0])


def _nary(node: NodeShapes) -> int:
    return _elements(node.outputs[0]) * max(1, len(node.inputs) - 1)


def _trees(node: NodeShapes) -> int:
    """One comparison per level, down to a leaf at mean depth, and one addition per tree."""
    rows = node.given(0)[0]
    ids = list(zip(node.attributes["nodes_treeids"], node.attributes["nodes_nodeids"], strict=True))
    modes = [m.decode() if isinstance(m, bytes) else m for m in node.attributes["nodes_modes"]]
    children: dict[tuple[int, int], tuple[int, int]] = {}
    for key, mode, yes, no in zip(
        ids, modes, node.attributes["nodes_truenodeids"], node.attributes["nodes_falsenodeids"], strict=True
    ):
        if mode != "LEAF":
            children[key] = (yes, no)
    depths, leaves = Counter[int](), Counter[int]()
    roots = {tree: node_id for tree, node_id in reversed(ids)}
    waiting = [(tree, root, 0) for tree, root in roots.items()]
    while waiting:
        tree, at, depth = waiting.pop()
        if (tree, at) in children:
            waiting += [(tree, child, depth + 1) for child in children[tree, at]]
        else:
            depths[tree] += depth
            leaves[tree] += 1
    return round(rows * sum(depths[tree] / leaves[tree] + 1 for tree in roots))


_ELEMENTWISE = (
    "Add Sub Mul Div Pow Mod Neg Abs Sqrt Reciprocal Exp Log Erf Tanh Sigmoid Relu LeakyRelu Elu PRelu Clip Sin Cos"
    " Floor Ceil Round Sign Softplus HardSigmoid ThresholdedRelu Equal Less LessOrEqual Greater GreaterOrEqual And Or"
    " Not Xor IsNaN IsInf Scaler Normalizer Imputer CumSum QuantizeLinear DequantizeLinear Binarizer"
)
_MOVEMENT = (
    "Identity Constant ConstantOfShape Shape Size Reshape Flatten Squeeze Unsqueeze Transpose Concat Split Slice Gather"
    " GatherElements GatherND ScatterElements ScatterND Expand Tile Pad Cast CastLike Where Range OneHot EyeLike"
    " DepthToSpace SpaceToDepth Dropout Trilu NonZero Resize TopK Unique LabelEncoder OneHotEncoder ZipMap"
    " ArrayFeatureExtractor FeatureVectorizer StringConcat StringNormalizer CategoryMapper DictVectorizer Compress"
)
_REDUCTIONS = "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ArgMax ArgMin GlobalAveragePool GlobalMaxPool"

_RULES: dict[str, Callable[[NodeShapes], int]] = {
    **dict.fromkeys(_MOVEMENT.split(), lambda _: 0),
    **dict.fromkeys(_ELEMENTWISE.split(), _per_output(1)),
    **dict.fromkeys(_REDUCTIONS.split(), _per_input(1)),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _nary),
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), _per_input(2)),
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("Conv", "ConvInteger"), _conv),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), _pool),
    **dict.fromkeys(("TreeEnsembleClassifier", "TreeEnsembleRegressor"), _trees),
    # max, subtract, exp, add, divide
    **dict.fromkeys(("Softmax", "LogSoftmax"), _per_output(5)),
    # mean, subtract, square, add; subtract, divide, scale, shift
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization"), _per_output(8)),
    **dict.fromkeys(("RMSNormalization", "SimplifiedLayerNormalization", "LpNormalization"), _per_output(4)),
    **dict.fromkeys(("HardSwish", "Swish", "Mish", "Celu", "Selu"), _per_output(3)),
    "Gelu": _per_output(5),
    "BatchNormalization": _per_output(2),
    "Gemm": _gemm,
    "QLinearConv": _qlinear_conv,
    "ConvTranspose": _conv_transpose,
    "Einsum": _einsum,
    "LSTM": _recurrent(4, 9),  # 3 sigmoid, 2 tanh, 3 products, 1 sum
    "GRU": _recurrent(3, 8),  # 2 sigmoid, 1 tanh, 3 products, 2 sums
    "RNN": _recurrent(1, 1),
    "Attention": _attention,
    "LinearClassifier": lambda node: 2 * node.given(0)[-1] * _elements(node.outputs[-1]) + _elements(node.outputs[-1]),
    "LinearRegressor": lambda node: 2 * node.given(0)[-1] * _elements(node.outputs[0]) + _elements(node.outputs[0]),
}
