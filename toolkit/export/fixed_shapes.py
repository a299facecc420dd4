"""The shape of every tensor of an ONNX graph, once its named axes have lengths.

In: a ModelProto and lengths. Out: a copy with lengths in place of names, shapes written out, and without the nodes that
only compute shapes. ONNX's own inference stops at those (a Slice whose end comes from a Shape) and at most operators of
`ai.onnx.ml`; here small integer tensors that depend on nothing else are computed, and inference goes on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Shape = tuple[int, ...]

#: Elements of a tensor that still counts as part of a shape computation.
_SMALL = 1024
_ROUNDS = 12
_SAME_SHAPE = ("Imputer", "Scaler", "Normalizer", "LabelEncoder", "Binarizer")
_CLASSIFIERS = ("TreeEnsembleClassifier", "LinearClassifier", "SVMClassifier")


def with_fixed_shapes(model: Any, sizes: Mapping[str, int]) -> tuple[Any, dict[str, int], set[str]]:
    """The graph with shapes, the lengths that were used (1 where `sizes` says nothing), and the names it computed."""
    from onnx import inliner, shape_inference

    fixed, used = _with_sizes(inliner.inline_local_functions(model), sizes)
    computed: set[str] = set()
    for _ in range(_ROUNDS):
        _forget_names(fixed.graph)
        fixed = shape_inference.infer_shapes(fixed, data_prop=True)
        if not _compute(fixed.graph, computed) and not _infer_ml(fixed.graph):
            break
    return fixed.graph, used, computed


def known_shapes(graph: Any) -> dict[str, tuple[Shape, int]]:
    """Shape and ONNX dtype by name, of everything that has both."""
    found = {v.name: _value(v) for v in (*graph.input, *graph.value_info, *graph.output)}
    known = {name: value for name, value in found.items() if value is not None}
    return known | {w.name: (tuple(w.dims), int(w.data_type)) for w in graph.initializer}


def _with_sizes(model: Any, sizes: Mapping[str, int]) -> tuple[Any, dict[str, int]]:
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    own = {entry.domain for entry in fixed.opset_import}
    foreign = {node.domain for node in fixed.graph.node} - own  # inference refuses to begin without a version of them
    fixed.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in sorted(foreign))
    used: dict[str, int] = {}
    for value in fixed.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                name = dim.dim_param or f"{value.name}_{axis}"
                used[name] = dim.dim_value = int(sizes.get(name, 1))
    del fixed.graph.value_info[:]
    return fixed, used


def _forget_names(graph: Any) -> None:
    """Drop shapes with names in them, which inference would keep in place of the lengths that it finds by now."""
    named = [value for value in graph.value_info if _value(value) is None]
    for value in named:
        graph.value_info.remove(value)
    for value in graph.output:
        if _value(value) is None:
            value.type.tensor_type.ClearField("shape")


def _compute(graph: Any, computed: set[str]) -> bool:
    """Replace nodes that can be computed from shapes alone by their values; True when there were some."""
    from onnx import numpy_helper

    shapes = known_shapes(graph)
    weights = {w.name: w for w in graph.initializer}
    values: dict[str, Any] = {}
    gone = []
    for node in graph.node:
        results = _value_of(node, shapes, weights, values)
        if results is not None:
            values |= results
            gone.append(node)
    for node in gone:
        graph.node.remove(node)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
    computed |= set(values)
    return bool(gone)


def _value_of(node: Any, shapes: Mapping[str, Any], weights: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """The outputs of a node whose inputs are all small known integers; None for any other."""
    import numpy as np
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    if node.op_type in ("Shape", "Size") and node.input[0] in shapes and node.input[0] not in values:
        shape = shapes[node.input[0]][0]
        attributes = {a.name: a.i for a in node.attribute}
        part = shape[attributes.get("start", 0) : attributes.get("end", len(shape))]
        return {node.output[0]: np.array(part if node.op_type == "Shape" else math.prod(shape), dtype=np.int64)}
    inputs = {}
    for name in (name for name in node.input if name):
        if name in values:
            inputs[name] = values[name]
        elif name in weights and math.prod(weights[name].dims) <= _SMALL and not weights[name].external_data:
            inputs[name] = numpy_helper.to_array(weights[name])
        else:
            return None
    if any(a.dtype.kind == "O" for a in inputs.values()) or node.domain not in ("", "ai.onnx") or _has_graph(node):
        return None
    results = dict(zip(node.output, ReferenceEvaluator(node).run(None, inputs), strict=True))
    is_small = all(a.size <= _SMALL and a.dtype.kind in "iub" for a in map(np.asarray, results.values()))
    return {name: np.asarray(array) for name, array in results.items()} if is_small else None


def _has_graph(node: Any) -> bool:
    return any(attribute.HasField("g") for attribute in node.attribute) or node.op_type.startswith("Random")


def _infer_ml(graph: Any) -> bool:
    """Write shapes that follow from the definitions of `ai.onnx.ml`; True when there were new ones."""
    import onnx

    shapes = known_shapes(graph)
    written = {value.name for value in graph.value_info} | {value.name for value in graph.output}
    is_new = False
    for node in graph.node:
        for name, shape, dtype in _ml_outputs(node, shapes):
            if name in shapes:
                continue
            is_new, shapes[name] = True, (shape, dtype)
            if name in written:
                for value in (*graph.value_info, *graph.output):
                    if value.name == name:
                        value.CopyFrom(onnx.helper.make_tensor_value_info(name, dtype, shape))
            else:
                graph.value_info.append(onnx.helper.make_tensor_value_info(name, dtype, shape))
    return is_new


def _ml_outputs(node: Any, shapes: Mapping[str, tuple[Shape, int]]) -> list[tuple[str, Shape, int]]:
    """Name, shape and dtype of each output of such a node."""
    if node.domain != "ai.onnx.ml" or not node.input or node.input[0] not in shapes:
        return []
    shape, dtype = shapes[node.input[0]]
    attributes = {a.name: a for a in node.attribute}
    rows, single = shape[0] if shape else 1, 1
    if node.op_type in _CLASSIFIERS:
        names = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")
        classes = max((len(attributes[n].strings or attributes[n].ints) for n in names if n in attributes), default=2)
        labels = 8 if "classlabels_strings" in attributes and attributes["classlabels_strings"].strings else 7
        return [(node.output[0], (rows,), labels), (node.output[1], (rows, classes), single)]
    if node.op_type in ("TreeEnsembleRegressor", "LinearRegressor"):
        targets = attributes.get("n_targets", attributes.get("targets"))
        return [(node.output[0], (rows, int(targets.i) if targets else 1), single)]
    if node.op_type == "OneHotEncoder":
        categories = max(
            len(attributes[n].strings or attributes[n].ints) for n in ("cats_strings", "cats_int64s") if n in attributes
        )
        return [(node.output[0], (*shape, categories), single)]
    if node.op_type == "ArrayFeatureExtractor" and node.input[1] in shapes:
        return [(node.output[0], (*shape[:-1], math.prod(shapes[node.input[1]][0])), dtype)]
    if node.op_type in _SAME_SHAPE:
        kinds = {"values_int64s": 7, "values_floats": 1, "values_strings": 8}
        kept = dtype if node.op_type == "LabelEncoder" else single
        return [(node.output[0], shape, next((kind for name, kind in kinds.items() if name in attributes), kept))]
    return []


def _value(value: Any) -> tuple[Shape, int] | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return tuple(int(dim.dim_value) for dim in tensor.shape.dim), int(tensor.elem_type)
