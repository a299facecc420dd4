"""ONNX files as data: is it whole, does its external data stay in its folder, what are its inputs and outputs.

In: a path. Out: facts about it, or ModelRefused naming the file. Nothing here runs the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.errors import ModelRefused, UsageError
from toolkit.tensor import Signature, TensorSpec, dtype_from_onnx


def read_onnx(path: Path) -> Any:
    """The `onnx.ModelProto` of a file, its external data left on disk. Raises ModelRefused when it does not parse."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as err:
        raise ModelRefused(
            f"{path} is truncated, damaged or not ONNX: it does not parse as an ONNX model",
            mend="copy the file again and compare its size with the original's",
        ) from err
    except OSError as err:
        raise ModelRefused(f"{path} cannot be read: {err.strerror}") from err


def check_onnx(path: Path) -> None:
    """Check that an ONNX file is whole and safe to copy and open. Raises ModelRefused naming the file at fault."""
    import onnx

    check_external_files(read_onnx(path), path)
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as err:
        reason = str(err).strip().splitlines()[0]
        raise ModelRefused(
            f"{path} is not a valid ONNX model: {reason}", mend="copy the file again, or export it again"
        ) from err


def check_external_files(model: Any, path: Path) -> None:
    """Check that the weights which an `onnx.ModelProto` keeps beside `path` are there, whole and inside its folder.

    Raises ModelRefused naming the file at fault.
    """
    for tensor in _external_tensors(model):
        _check_external(path, tensor)


def external_files(model: Any) -> tuple[str, ...]:
    """The files, relative to the model's folder, in which an `onnx.ModelProto` keeps its weights."""
    return tuple(sorted({_location(tensor)["location"] for tensor in _external_tensors(model)}))


def signature_from_onnx(path: Path) -> Signature:
    """Names, dtypes and shapes as the file declares them; an axis that it leaves unnamed is called `dim_N`.

    Raises ModelRefused for a tensor that Triton cannot serve (sequence, map, unknown rank or dtype).
    """
    return signature_of_model(read_onnx(path), path)


def signature_of_model(model: Any, path: Path) -> Signature:
    """`signature_from_onnx` of an `onnx.ModelProto` that was read from `path`."""
    graph = model.graph
    weights = {w.name for w in graph.initializer}
    return Signature(
        inputs=tuple(_tensor_spec(path, value) for value in graph.input if value.name not in weights),
        outputs=tuple(_tensor_spec(path, value) for value in graph.output),
    )


def optional_inputs_of_model(model: Any, path: Path, names: Iterable[str]) -> tuple[TensorSpec, ...]:
    """Those of the inputs `names` that a request may leave out, because the graph has a value for them."""
    weights = {w.name for w in model.graph.initializer} & set(names)
    return tuple(_tensor_spec(path, value) for value in model.graph.input if value.name in weights)


def opset_of(model: Any) -> int | None:
    """The version of ONNX's own operators that an `onnx.ModelProto` uses; None when it uses none of them."""
    versions = {entry.domain: int(entry.version) for entry in model.opset_import}
    return versions.get("", versions.get("ai.onnx"))


def count_weights(model: Any) -> int:
    """How many numbers the initializers of an `onnx.ModelProto` hold, those in external data too."""
    return sum(math.prod(tensor.dims) for tensor in model.graph.initializer)


def _tensor_spec(path: Path, value: Any) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ModelRefused(
            f"{path}: '{value.name}' is a {kind or 'value of unknown type'}, and Triton serves tensors only",
            mend="convert again so that it is a tensor (skl2onnx: options={'zipmap': False})",
        )
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise ModelRefused(
            f"{path}: '{value.name}' declares no shape", mend="write one in with onnx.shape_inference.infer_shapes"
        )
    try:
        dtype = dtype_from_onnx(tensor.elem_type).name
    except UsageError as err:
        raise ModelRefused(f"{path}: '{value.name}': {err.message}") from err
    shape = (_dim(axis, dim) for axis, dim in enumerate(tensor.shape.dim))
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(shape))


def _dim(axis: int, dim: Any) -> int | str:
    return int(dim.dim_value) if dim.HasField("dim_value") else str(dim.dim_param or f"dim_{axis}")


def _external_tensors(model: Any) -> Iterator[Any]:
    return (t for t in _tensors(model) if t.data_location == t.EXTERNAL)


def _tensors(message: Any) -> Iterator[Any]:
    """Every TensorProto below a protobuf message: weights, attributes, subgraphs, functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for child in value if isinstance(value, Iterable) else (value,):
                yield from _tensors(child)


def _location(tensor: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def _check_external(path: Path, tensor: Any) -> None:
    location = _location(tensor)
    name = location.get("location", "")
    if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise ModelRefused(
            f"{path}: tensor '{tensor.name}' keeps its data in '{name}', outside of the model's folder",
            mend="save the model again with its external data beside it",
        )
    file = path.parent / name
    if not file.is_file():
        raise ModelRefused(
            f"{path}: its external data file '{name}' is missing", mend=f"copy it to {file}, beside the model"
        )
    if not file.resolve().is_relative_to(path.parent.resolve()):
        raise ModelRefused(
            f"{path}: its external data file '{name}' is a link that leaves the model's folder",
            mend="copy the model with its links followed: cp -rL",
        )
    needed = int(location.get("offset", 0)) + int(location.get("length", 0))
    if file.stat().st_size < needed:
        raise ModelRefused(
            f"{path}: its external data file '{name}' has {file.stat().st_size} bytes,"
            f" and tensor '{tensor.name}' ends at byte {needed}",
            mend=f"copy {file} again: it is truncated",
        )
