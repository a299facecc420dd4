"""A tabular model of any library as ONNX, with outputs that Triton can serve. Only the export worker calls this.

In: a TabularModel. Out: an `onnx.ModelProto` whose every input and output begins with the axis `batch`, named as the
model's own `outputs`: no maps (ZipMap), no fixed label shape of 1, one version of the operators.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.extras import require
from toolkit.models.tabular import TabularModel
from toolkit.tensor import BATCH

#: The operators of trees: 3 is what ONNX Runtime has executed since 2022; 5 has one node for all trees, which few have.
OPSET_ML = 3
#: onnxmltools 1.16 writes nothing newer.
_ONNXMLTOOLS_OPSET = 15


def tabular_to_onnx(model: TabularModel, framework: str, opset: int, widths: Mapping[str, tuple[int, ...]]) -> Any:
    """Convert and put the outputs right; `widths` are the axes of each output behind the batch.

    Raises ExportFailed and MissingDependency.
    """
    import onnx

    made = _CONVERTERS.get(framework, _sklearn)(model, opset)
    _without_maps(made)
    _name_outputs(made, model.outputs)
    _set_ranks(made.graph, widths)
    _set_shapes(made.graph, widths)
    made = _with_opset(made, opset)
    onnx.checker.check_model(made)
    return made


def _sklearn(model: TabularModel, opset: int) -> Any:
    from toolkit.export.sklearn_onnx import sklearn_to_onnx

    return sklearn_to_onnx(model, opset, OPSET_ML)


def _xgboost(model: TabularModel, opset: int) -> Any:
    tools, types = require("onnxmltools"), require("onnxmltools.convert.common.data_types")
    features = [(t.name, types.FloatTensorType([None, *t.shape[1:]])) for t in model.columns]
    return tools.convert_xgboost(_unnamed(model.estimator), initial_types=features, target_opset=_ONNXMLTOOLS_OPSET)


def _unnamed(booster: Any) -> Any:
    """A copy without feature names: the converter wants them to be f0, f1 and so on."""
    copied = booster.copy()
    copied.feature_names = None
    return copied


def _lightgbm(model: TabularModel, opset: int) -> Any:
    tools, types = require("onnxmltools"), require("onnxmltools.convert.common.data_types")
    features = [(t.name, types.FloatTensorType([None, *t.shape[1:]])) for t in model.columns]
    return tools.convert_lightgbm(
        model.estimator, initial_types=features, target_opset=_ONNXMLTOOLS_OPSET, zipmap=False
    )


def _catboost(model: TabularModel, opset: int) -> Any:
    import onnx

    with tempfile.TemporaryDirectory(prefix="toolkit-catboost-") as folder:
        path = Path(folder) / "model.onnx"
        model.estimator.save_model(str(path), format="onnx")
        return onnx.load(path)


_CONVERTERS: Mapping[str, Callable[[TabularModel, int], Any]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
}


def _without_maps(made: Any) -> None:
    """Take ZipMap nodes out: what they were given, a matrix of probabilities, becomes the output."""
    for node in [n for n in made.graph.node if n.op_type == "ZipMap"]:
        made.graph.node.remove(node)
        for output in made.graph.output:
            if output.name == node.output[0]:
                output.name = node.input[0]
                output.type.Clear()
                output.type.tensor_type.elem_type = 1
                for name in (BATCH, ""):
                    dim = output.type.tensor_type.shape.dim.add()
                    dim.dim_param = name


def _name_outputs(made: Any, names: tuple[str, ...]) -> None:
    """Keep as many outputs as the model answers, under its names; those of the graph are whatever a library chose."""
    outputs = made.graph.output
    if len(outputs) < len(names):
        raise ExportFailed(f"the converter wrote {len(outputs)} outputs, and the model answers {', '.join(names)}")
    del outputs[len(names) :]
    for output, name in zip(outputs, names, strict=True):
        if output.name != name:
            _rename(made.graph, name, f"{name}_of_a_node")
            _rename(made.graph, output.name, name)
            output.name = name


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for values in (node.input, node.output):
            values[:] = [new if value == old else value for value in values]


def _set_ranks(graph: Any, widths: Mapping[str, tuple[int, ...]]) -> None:
    """Reshape outputs of another rank than the original's: some labels come as a column."""
    import numpy as np
    from onnx import helper, numpy_helper

    for output in graph.output:
        wanted = widths[output.name]
        if len(output.type.tensor_type.shape.dim) != len(wanted) + 1:
            column, shape = f"{output.name}_as_converted", f"{output.name}_shape"
            _rename(graph, output.name, column)
            graph.initializer.append(numpy_helper.from_array(np.array([-1, *wanted], dtype=np.int64), shape))
            graph.node.append(helper.make_node("Reshape", [column, shape], [output.name]))


def _set_shapes(graph: Any, widths: Mapping[str, tuple[int, ...]]) -> None:
    """Name the first axis of every tensor `batch`, also of a label declared as [1], and write the others out."""
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        behind = widths.get(value.name, tuple(dim.dim_value for dim in dims[1:]))
        del dims[:]
        dims.add().dim_param = BATCH
        for width in behind:
            dims.add().dim_value = width
    del graph.value_info[:]


def _with_opset(made: Any, opset: int) -> Any:
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
