"""An ONNX file that the customer brings: copied beside its external data, with its batch axis named `batch`.

In: a checked ONNX file. Out: the same graph in the artifact's folder. Weights and nodes are never touched; whether
the declared batch axis is true is for parity to prove.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit.errors import ExportFailed, ModelRefused
from toolkit.export.spec import MODEL_FILE, OUTPUT_FILES
from toolkit.models.onnx import external_files, read_onnx
from toolkit.records import write_bytes, writing
from toolkit.tensor import BATCH


def copy_onnx(path: Path, folder: Path) -> None:
    """Copy the model into `folder` as `model.onnx`, external data included. Raises ExportFailed for a fixed batch."""
    model = read_onnx(path)
    was_named = _name_batch(model.graph, path)
    for name in external_files(model):
        if str(PurePosixPath(name)) in OUTPUT_FILES:
            raise ModelRefused(
                f"{path} keeps weights in a file named '{name}', which is a name of the export's own files",
                mend="save the model again with another name for its external data",
            )
        with writing(folder / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path.parent / name, folder / name)
    if was_named:
        with writing(folder / MODEL_FILE):
            shutil.copyfile(path, folder / MODEL_FILE)
    else:
        write_bytes(folder / MODEL_FILE, model.SerializeToString(deterministic=True))


def _name_batch(graph: Any, path: Path) -> bool:
    """Rename the leading axis of every input and output to `batch`; True when there was nothing to rename.

    Safe only when it is one axis: free everywhere, one name on all inputs, and `batch` not the name of another.
    """
    weights = {w.name for w in graph.initializer}
    inputs = [v for v in graph.input if v.name not in weights]
    leading = {_leading(value, path, "input") for value in inputs}
    outputs = {_leading(value, path, "output") for value in graph.output}
    if leading | outputs == {BATCH}:
        return True
    others = {d.dim_param for v in (*inputs, *graph.output) for d in v.type.tensor_type.shape.dim[1:]}
    if len(leading) > 1 or (leading - {""} | {BATCH}) & others:
        names = ", ".join(sorted(repr(name) for name in leading | (others & {BATCH})))
        raise ExportFailed(
            f"{path}: it is not clear which axis is the batch: the axes in question are named {names}",
            mend=f"export it again with axis 0 of every input named '{BATCH}' and no other axis named so",
        )
    for value in (*inputs, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    _rename(graph.value_info, leading | outputs)
    return False


def _leading(value: Any, path: Path, kind: str) -> str:
    dims = value.type.tensor_type.shape.dim
    if not dims or dims[0].HasField("dim_value"):
        fixed = f"is fixed at {dims[0].dim_value}" if dims else "does not exist"
        raise ExportFailed(
            f"{path}: the batch is fixed: axis 0 of {kind} '{value.name}' {fixed}",
            mend="export it again with a free first axis:"
            f" torch.onnx.export(..., dynamo=True, dynamic_shapes={{'{value.name}': {{0: '{BATCH}'}}}})",
        )
    return str(dims[0].dim_param)


def _rename(values: Any, old_names: set[str]) -> None:
    for value in values:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and dim.dim_param in old_names:
                dim.dim_param = BATCH
