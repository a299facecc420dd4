"""A tabular model of any library as ONNX, with outputs that Triton can serve. Only the export worker calls this.

In: a TabularModel. Out: an `onnx.ModelProto` whose every input and output begins with the axis `batch`, named as the
model's own `outputs`: no maps (ZipMap), no fixed label shape of 1, one version of the operators.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.export.graph_edits import name_outputs, set_ranks, set_shapes, with_opset
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
    name_outputs(made, model.outputs)
    set_ranks(made.graph, widths)
    set_shapes(made.graph, widths)
    made = with_opset(made, opset)
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
