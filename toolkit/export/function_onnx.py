"""A function of TensorFlow or JAX as ONNX, with axes and tensors named as ours. Only the export worker calls this.

In: a FunctionModel, its inputs' specs and outputs' names. Out: an `onnx.ModelProto` whose every input and output begins
with the axis `batch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.export.graph_edits import name_inputs, name_outputs, set_axes, with_opset
from toolkit.export.spec import MODEL_FILE, SINGLE_FILE_BYTES
from toolkit.models.code import customer_code
from toolkit.models.function import FunctionModel
from toolkit.models.source import Source
from toolkit.records import write_bytes, writing
from toolkit.tensor import BATCH, TensorSpec, dtype_from_name

#: tf2onnx 1.17 writes nothing newer; ONNX's own converter brings it on.
_TF2ONNX_OPSET = 18


def function_to_onnx(
    model: FunctionModel, source: Source, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...], opset: int
) -> Any:
    """Convert, and name what the converter left unnamed. Raises ExportFailed."""
    import onnx

    mend = "read export.log; or convert it to ONNX where it came from, and give the .onnx file"
    with customer_code(source.path, "converting it to ONNX", ExportFailed, mend=mend):
        made = _CONVERTERS[source.framework](model, inputs, outputs, opset)
    name_inputs(made, tuple(tensor.name for tensor in inputs))
    name_outputs(made, outputs)
    for value in made.graph.output:
        _check_output(value)
    set_axes(made.graph, {tensor.name: tensor.shape for tensor in inputs})
    made = with_opset(made, opset)
    if made.ByteSize() < SINGLE_FILE_BYTES:
        onnx.checker.check_model(made)
    return made


def write_model(made: Any, path: Path) -> None:
    """Write the graph, its weights in `model.onnx.data` where one file would be too large for protobuf."""
    import onnx

    if made.ByteSize() < SINGLE_FILE_BYTES:
        write_bytes(path, made.SerializeToString(deterministic=True))
        return
    with writing(path):
        onnx.save(made, path, save_as_external_data=True, location=f"{MODEL_FILE}.data")


def _from_tensorflow(model: FunctionModel, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...], opset: int) -> Any:
    import tensorflow as tf
    import tf2onnx

    function, _ = model.original
    declared = function.structured_input_signature[1]
    names = [tensor.name for tensor in inputs]
    takes = [tf.TensorSpec(declared[name].shape, declared[name].dtype, name=name) for name in names]

    def by_position(*arrays: Any) -> list[Any]:
        answer = function(**dict(zip(names, arrays, strict=True)))
        return [answer[name] for name in outputs]

    whole = tf.function(by_position, input_signature=takes)
    made, _ = tf2onnx.convert.from_function(whole, input_signature=takes, opset=min(opset, _TF2ONNX_OPSET))
    return made


def _from_jax(model: FunctionModel, inputs: tuple[TensorSpec, ...], outputs: tuple[str, ...], opset: int) -> Any:
    import jax
    import jax2onnx
    import numpy as np

    names = [tensor.name for tensor in inputs]

    def by_position(*arrays: Any) -> tuple[Any, ...]:
        found = model.original.outputs(dict(zip(names, arrays, strict=True)))
        return tuple(found[name] for name in outputs)

    takes = [jax.ShapeDtypeStruct(t.shape, np.dtype(dtype_from_name(t.dtype).numpy)) for t in inputs]
    return jax2onnx.to_onnx(by_position, takes, opset=opset, input_names=names, output_names=list(outputs))


_CONVERTERS: Mapping[str, Callable[..., Any]] = {"savedmodel": _from_tensorflow, "jax": _from_jax}


def _check_output(value: Any) -> None:
    dims = value.type.tensor_type.shape.dim
    if not dims or dims[0].HasField("dim_value"):
        fixed = f"fixed at {dims[0].dim_value}" if dims else "absent"
        raise ExportFailed(
            f"axis 0 of output '{value.name}' is {fixed} in the ONNX graph, not the {BATCH}",
            mend="return one row per row of the inputs",
        )
