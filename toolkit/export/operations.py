"""What one inference of an ONNX model costs: floating-point operations and bytes. The toolkit's only counter.

In: a file and the lengths of its named axes. Out: an Operations. Shapes are inferred, nothing is run; nodes whose
shapes or operator are unknown are named, never guessed.
Bytes are those of a runtime that fuses nothing: every node reads its inputs and writes its outputs once. Views
(Reshape) cost nothing, and a lookup (Gather) reads the rows that it takes, not the table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.export.fixed_shapes import Shape, known_shapes, with_fixed_shapes
from toolkit.export.operation_rules import NodeShapes, flops_of
from toolkit.models.onnx import read_onnx

_VIEWS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Size", "Constant", "Dropout")
_LOOKUPS = ("Gather", "GatherElements", "GatherND", "ArrayFeatureExtractor")
#: Operators with graphs inside, which run an unknown number of times.
_CONTROL = ("If", "Loop", "Scan", "SequenceMap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """The cost of one inference at `sizes`. `flops_by_operator` adds up to `flops`, the largest first.

    `weight_bytes` are read once each, `activation_bytes` read and written. `uncounted` names nodes that are in none of
    the figures, each with the reason.
    """

    sizes: dict[str, int]
    flops: int
    weight_bytes: int
    activation_bytes: int
    flops_by_operator: dict[str, int]
    uncounted: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes moved by one inference."""
        return self.weight_bytes + self.activation_bytes


def count_operations(path: Path, sizes: Mapping[str, int] | None = None) -> Operations:
    """Count a file's operations with each named axis as long as `sizes` says, 1 where it says nothing.

    Raises ModelRefused for a file that does not parse.
    """
    return count_in_model(read_onnx(path), sizes or {})


def count_in_model(model: Any, sizes: Mapping[str, int]) -> Operations:
    """As `count_operations`, of an `onnx.ModelProto`, which is left as it is."""
    graph, used, computed = with_fixed_shapes(model, sizes)
    tensors = _Tensors(graph, computed)
    flops, weights, activations = Counter[str](), 0, 0
    uncounted = []
    for node in graph.node:
        problem = _problem(node, tensors)
        counted = None if problem else flops_of(_shapes(node, tensors))
        if counted is None:
            reason = problem or "no rule for this operator"
            uncounted.append(f"{node.op_type} '{node.name or node.output[0]}': {reason}")
            continue
        flops[node.op_type] += counted
        read, moved = tensors.bytes_of(node)
        weights, activations = weights + read, activations + moved
    return Operations(
        sizes=used,
        flops=flops.total(),
        weight_bytes=weights,
        activation_bytes=activations,
        flops_by_operator={name: count for name, count in flops.most_common() if count},
        uncounted=tuple(uncounted),
    )


class _Tensors:
    """Shapes and element sizes by name, and which of them are weights."""

    def __init__(self, graph: Any, computed: set[str]) -> None:
        constants = {n.output[0]: _constant(n) for n in graph.node if n.op_type == "Constant"}
        self.known: dict[str, tuple[Shape, int]] = {n: v for n, v in constants.items() if v} | known_shapes(graph)
        self.weights = {w.name for w in graph.initializer} - computed

    def shape(self, name: str) -> Shape | None:
        return self.known[name][0] if name in self.known else None

    def size(self, name: str) -> int:
        shape, dtype = self.known[name]
        return math.prod(shape) * _itemsize(dtype)

    def bytes_of(self, node: Any) -> tuple[int, int]:
        """Bytes of weights, and bytes of activations, that a node reads and writes."""
        if node.op_type in _VIEWS:
            return 0, 0
        written = sum(self.size(name) for name in node.output if name in self.known)
        inputs = [name for name in dict.fromkeys(node.input) if name]
        if node.op_type in _LOOKUPS:
            taken = self.size(node.output[0])
            indices = self.size(node.input[1])
            return (taken, indices + written) if node.input[0] in self.weights else (0, taken + indices + written)
        weights = sum(self.size(name) for name in inputs if name in self.weights) + _attribute_bytes(node)
        return weights, written + sum(self.size(name) for name in inputs if name not in self.weights)


def _problem(node: Any, tensors: _Tensors) -> str:
    """Why a node cannot be counted; empty when it can."""
    if node.op_type in _CONTROL:
        return "how often its graph runs is not known"
    unknown = [name for name in (*node.input, *node.output) if name and tensors.shape(name) is None]
    return f"the shape of '{unknown[0]}' is not known" if unknown else ""


def _shapes(node: Any, tensors: _Tensors) -> NodeShapes:
    import onnx

    return NodeShapes(
        op_type=node.op_type,
        attributes={a.name: _plain(onnx.helper.get_attribute_value(a)) for a in node.attribute},
        inputs=[tensors.shape(name) if name else None for name in node.input],
        outputs=[tensors.shape(name) or () for name in node.output if name],
    )


def _plain(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _constant(node: Any) -> tuple[Shape, int] | None:
    tensors = [a.t for a in node.attribute if a.name == "value"]
    return (tuple(tensors[0].dims), int(tensors[0].data_type)) if tensors else None


def _itemsize(dtype: int) -> int:
    """Bytes of one element; 1 for text, whose length is not known, and for packed 4-bit numbers."""
    import onnx

    kind = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    return int(kind.itemsize) if kind.kind != "O" else 1


def _attribute_bytes(node: Any) -> int:
    """The learned numbers that the operators of trees and linear models keep in attributes, four bytes each."""
    if node.domain != "ai.onnx.ml":
        return 0
    return sum(4 * (len(a.floats) + len(a.ints)) for a in node.attribute)
