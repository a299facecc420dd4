"""An ONNX graph in half precision (float16 or bfloat16), its inputs and outputs left in float32.

In: an onnx.ModelProto in float32. Out: the same proto, changed: every float weight and value in half precision, with
casts where ONNX does not define an operator for it. The type is in the graph itself, as a strongly typed TensorRT
network needs it.
Source: onnx.defs, which types each operator takes at each opset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

#: The largest finite float16; a weight beyond it would become infinite.
LARGEST_FLOAT16 = 65504.0
CUT = "Constant weights beyond the largest float16 (65504) were cut to it"


def to_half(model: Any, target: str, *, native: bool = True) -> tuple[str, ...]:
    """Change `model` in place to `target`, "FLOAT16" or "BFLOAT16". Returns notes.

    Without `native` every operator computes in float32 on values rounded to `target`: what the weights and the values
    between operators lose can then be tried on a runtime that has no kernels for it.
    """
    from onnx import TensorProto

    conversion = _Conversion(model, TensorProto.DataType.Value(target), native)
    conversion.convert_main(model.graph)
    return tuple(sorted(conversion.notes))


class _Conversion:
    """What the conversion of one model needs at every node: the opsets, the target, and which values are floats."""

    def __init__(self, model: Any, target: int, native: bool) -> None:
        import onnx

        self.target, self.native = target, native
        self.opsets = {entry.domain or "": entry.version for entry in model.opset_import}
        self.floats = _float_values(onnx.shape_inference.infer_shapes(model).graph)
        self.notes: set[str] = set()
        self.made = 0

    def convert_main(self, graph: Any) -> None:
        """The main graph: float inputs are cast on entry, float outputs on exit, under their own names."""
        weights = {tensor.name for tensor in graph.initializer}
        inner = {v.name: f"{v.name}__half" for v in graph.input if _is_float(v) and v.name not in weights}
        outer = {v.name: f"{v.name}__half" for v in graph.output if _is_float(v)}
        straight = inner.keys() & outer.keys()
        for node in graph.node:
            _rename(node, inner | {k: v for k, v in outer.items() if k not in straight})
        self.floats |= {*inner.values(), *outer.values()}
        entry = [self._cast(name, half, self.target) for name, half in inner.items()]
        body = self._body(graph)
        leave = [self._cast(half, name, 1) for name, half in outer.items() if name not in straight]
        self._replace(graph, [*entry, *body, *leave])
        del graph.value_info[:]

    def _body(self, graph: Any) -> list[Any]:
        for tensor in graph.initializer:
            self._convert_tensor(tensor)
        nodes: list[Any] = []
        for node in graph.node:
            for attribute in node.attribute:
                self._convert_attribute(node, attribute)
            nodes += self._in_its_types(node)
        return nodes

    def _subgraph(self, graph: Any) -> None:
        for value in (*graph.input, *graph.output):
            if _is_float(value):
                value.type.tensor_type.elem_type = self.target
        self._replace(graph, self._body(graph))
        del graph.value_info[:]

    @staticmethod
    def _replace(graph: Any, nodes: list[Any]) -> None:
        kept = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)

    def _convert_attribute(self, node: Any, attribute: Any) -> None:
        if attribute.name == "to" and node.op_type == "Cast" and attribute.i == 1:
            attribute.i = self.target
        elif attribute.name == "value" and node.op_type in ("Constant", "ConstantOfShape"):
            self._convert_tensor(attribute.t)
        elif attribute.name == "value_float" and node.op_type == "Constant":
            tensor = _tensor(np.float32(attribute.f))
            node.attribute.remove(attribute)
            self._convert_tensor(tensor)
            node.attribute.append(_attribute("value", tensor))
        elif attribute.name == "dtype" and attribute.i == 1:
            attribute.i = self.target
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            self._subgraph(graph)

    def _convert_tensor(self, tensor: Any) -> None:
        from onnx import TensorProto, helper, numpy_helper

        if tensor.data_type != TensorProto.FLOAT:
            return
        values = numpy_helper.to_array(tensor)
        if self.target == TensorProto.FLOAT16 and (np.abs(values[np.isfinite(values)]) > LARGEST_FLOAT16).any():
            self.notes.add(CUT)
            values = np.where(np.isfinite(values), np.clip(values, -LARGEST_FLOAT16, LARGEST_FLOAT16), values)
        half = values.astype(helper.tensor_dtype_to_np_dtype(self.target))
        tensor.CopyFrom(numpy_helper.from_array(half, tensor.name))

    def _in_its_types(self, node: Any) -> Iterator[Any]:
        """The node, between casts of those inputs and outputs that its operator has in float32 only."""
        fixed_in, fixed_out = self._fixed(node)
        for position in fixed_in:
            name = node.input[position]
            if name and name in self.floats:
                node.input[position] = self._name(name)
                yield self._cast(name, node.input[position], 1)
        after = []
        for position in fixed_out:
            name = node.output[position]
            if name and name in self.floats:
                node.output[position] = self._name(name)
                after.append(self._cast(node.output[position], name, self.target))
        yield node
        yield from after

    def _fixed(self, node: Any) -> tuple[list[int], list[int]]:
        """Positions of the inputs and outputs that must stay in float32."""
        import onnx

        every = list(range(len(node.input))), list(range(len(node.output)))
        if node.op_type in ("Cast", "Constant", "ConstantOfShape", "If", "Loop", "Scan", "Identity"):
            return [], []
        try:
            schema = onnx.defs.get_schema(node.op_type, self.opsets.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            return every
        wanted = f"tensor({'float16' if self.target == 10 else 'bfloat16'})"
        types = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}

        def is_fixed(formals: Any, position: int) -> bool:
            formal = formals[min(position, len(formals) - 1)]
            return wanted not in types.get(formal.type_str, [formal.type_str])

        inputs = [i for i in every[0] if is_fixed(schema.inputs, i)]
        outputs = [i for i in every[1] if is_fixed(schema.outputs, i)]
        bound = {schema.inputs[min(i, len(schema.inputs) - 1)].type_str for i in inputs} & types.keys()
        return every if bound or not self.native else (inputs, outputs)

    def _cast(self, source: str, result: str, to: int) -> Any:
        from onnx import helper

        self.made += 1
        return helper.make_node("Cast", [source], [result], name=f"half_cast_{self.made}", to=to)

    def _name(self, value: str) -> str:
        self.made += 1
        return f"{value}__float_{self.made}"


def _float_values(graph: Any) -> set[str]:
    """Names of all values and weights of float32, in the subgraphs too."""
    names = {t.name for t in graph.initializer if t.data_type == 1}
    names |= {v.name for v in (*graph.input, *graph.output, *graph.value_info) if _is_float(v)}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and (attribute.t.data_type == 1 or attribute.name == "value_float"):
                names.update(node.output)
            for inner in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
                names |= _float_values(inner)
    return names


def _is_float(value: Any) -> bool:
    return bool(value.type.tensor_type.elem_type == 1)


def _rename(node: Any, names: dict[str, str]) -> None:
    for values in (node.input, node.output):
        for position, name in enumerate(values):
            values[position] = names.get(name, name)
    for attribute in node.attribute:
        for graph in (*([attribute.g] if attribute.HasField("g") else ()), *attribute.graphs):
            for inner in graph.node:
                _rename(inner, names)


def _tensor(value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.asarray(value, np.float32))


def _attribute(name: str, tensor: Any) -> Any:
    from onnx import helper

    return helper.make_attribute(name, tensor)
