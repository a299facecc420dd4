"""Run an ONNX file with ONNX Runtime on the CPU, at a batch size of choice.

In: a path and arrays by input name, one row per sample. Out: the answers by output name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.extras import require

Array = np.ndarray[Any, Any]
_FATAL = 4
#: How far a graph is optimised -> ONNX Runtime's name for it, from nothing to everything.
LEVELS = {"none": "ORT_DISABLE_ALL", "basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}
LEVELS["all"] = "ORT_ENABLE_ALL"


def open_onnx(path: Path, *, level: str = "all", spin: bool = True) -> Any:
    """An `onnxruntime.InferenceSession` that prints nothing. Raises ModelRefused when the runtime cannot load it.

    `level` of LEVELS says how far the graph is optimised; without `spin` its threads sleep while there is no work.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spin)))
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, LEVELS[level])
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except runtime_errors() as err:
        raise ModelRefused(
            f"ONNX Runtime {runtime.__version__} cannot load {path}: {err}",
            mend="export it with operators and an opset that this version of ONNX Runtime has",
        ) from err


def runtime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises when it cannot load or run a graph."""
    state = require("onnxruntime.capi.onnxruntime_pybind11_state")
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
    return tuple(getattr(state, name) for name in names)


def answers_of(session: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All rows of `inputs` in one run."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, texts_as_objects(inputs)), strict=True))


def texts_as_objects(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The inputs with text as ONNX Runtime takes it."""
    return {name: _text(array) if array.dtype.kind in "SO" else array for name, array in inputs.items()}


def run_onnx(path: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All rows of `inputs` in one run of the file at `path`. Raises ModelRefused when it cannot be loaded."""
    return answers_of(open_onnx(path), inputs)


def chunks(inputs: Mapping[str, Array], batch_size: int) -> Iterator[dict[str, Array]]:
    """The rows of `inputs` in groups of `batch_size`, the last one smaller where they do not divide."""
    rows = min(len(array) for array in inputs.values())
    for start in range(0, rows, batch_size):
        yield {name: array[start : start + batch_size] for name, array in inputs.items()}


def _text(array: Array) -> Array:
    """ONNX Runtime takes text as str objects."""
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
    return np.array(texts, dtype=object).reshape(array.shape)
