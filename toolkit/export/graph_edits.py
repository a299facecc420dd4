"""What converters leave of an ONNX graph put right: names of tensors, names of axes, the version of the operators.

In: an `onnx.ModelProto`, which is changed in place. Knows nothing of where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.tensor import BATCH


def name_inputs(made: Any, names: tuple[str, ...]) -> None:
    """Give the inputs these names, in order. Raises ExportFailed where they are not as many."""
    weights = {w.name for w in made.graph.initializer}
    inputs = [value for value in made.graph.input if value.name not in weights]
    if len(inputs) != len(names):
        raise ExportFailed(
            f"the converter kept {len(inputs)} of {len(names)} inputs: {', '.join(value.name for value in inputs)}",
            mend="leave out the inputs that no output depends on",
        )
    for value, name in zip(inputs, names, strict=True):
        if value.name != name:
            rename(made.graph, value.name, name)
            value.name = name


def name_outputs(made: Any, names: tuple[str, ...]) -> None:
    """Keep as many outputs as the model answers, under its names; those of the graph are whatever a library chose."""
    outputs = made.graph.output
    if len(outputs) < len(names):
        raise ExportFailed(f"the converter wrote {len(outputs)} outputs, and the model answers {', '.join(names)}")
    del outputs[len(names) :]
    for output, name in zip(outputs, names, strict=True):
        if output.name != name:
            rename(made.graph, name, f"{name}_of_a_node")
            rename(made.graph, output.name, name)
            output.name = name


def rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [new if value == old else value for value in values]


def set_ranks(graph: Any, widths: Mapping[str, tuple[int, ...]]) -> None:
    """Reshape outputs of another rank than the original's: some labels come as a column."""
    import numpy as np
    from onnx import helper, numpy_helper

    for output in graph.output:
        wanted = widths[output.name]
        if len(output.type.tensor_type.shape.dim) != len(wanted) + 1:
            column, shape = f"{output.name}_as_converted", f"{output.name}_shape"
            rename(graph, output.name, column)
            graph.initializer.append(numpy_helper.from_array(np.array([-1, *wanted], dtype=np.int64), shape))
            graph.node.append(helper.make_node("Reshape", [column, shape], [output.name]))


def set_shapes(graph: Any, widths: Mapping[str, tuple[int, ...]]) -> None:
    """Name the first axis of every tensor `batch`, also of a label declared as [1], and write the others out."""
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        behind = widths.get(value.name, tuple(dim.dim_value for dim in dims[1:]))
        del dims[:]
        dims.add().dim_param = BATCH
        for width in behind:
            dims.add().dim_value = width
    del graph.value_info[:]


def set_axes(graph: Any, shapes: Mapping[str, tuple[int | str, ...]]) -> None:
    """Write the inputs' shapes, and name the first axis of every output `batch`; a converter's own names go."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in shapes[value.name]:
            dims.add(**{"dim_param" if isinstance(size, str) else "dim_value": size})
    named = {d for shape in shapes.values() for d in shape if isinstance(d, str)}
    for value in graph.output:
        first, *others = value.type.tensor_type.shape.dim
        first.dim_param = BATCH
        for dim in others:
            if dim.dim_param not in named:
                dim.ClearField("dim_param")
    del graph.value_info[:]


def with_opset(made: Any, opset: int) -> Any:
    """The graph in the operators of `opset`, converted where a library wrote older ones. Raises ExportFailed."""
    import onnx

    versions = {entry.domain: entry.version for entry in made.opset_import}
    versions.setdefault("", opset)
    del made.opset_import[:]
    made.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    if versions[""] != opset:
        made = onnx.version_converter.convert_version(made, opset)
    written = next(entry.version for entry in made.opset_import if entry.domain == "")
    if written != opset:
        raise ExportFailed(f"asked for opset {opset}, the converter wrote {written}", mend=f"give --opset {written}")
    return made
