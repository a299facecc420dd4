"""ONNX to a TensorRT engine, and an engine's answers: one path for TensorRT 10 and 11.

In: an ONNX file whose types are its precision (float16, or QDQ), and options. Out: a serialized engine, or ExportFailed
with what the parser or the builder said. TensorRT 11 has no precision flags and no calibrators any more, so none are
used: the network is strongly typed. TensorRT is imported here only, and is no dependency of the toolkit.
Source: TensorRT Python API, IBuilderConfig, OnnxParser, IExecutionContext.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed, MissingDependency
from toolkit.export.engine import EngineOptions, EngineStamp, shape_profiles, stamp_here
from toolkit.extras import require
from toolkit.models.onnx import signature_from_onnx
from toolkit.records import write_bytes

Array = np.ndarray[Any, Any]


def require_tensorrt() -> Any:
    """The module `tensorrt`. Raises MissingDependency where it, or a library of it, is absent."""
    try:
        return require("tensorrt")
    except (ImportError, OSError) as err:
        raise MissingDependency(
            f"TensorRT is installed and cannot be loaded: {err}",
            mend="install the libraries too, or build the engine in a container: see build_engine.sh",
        ) from err


def engine_from_onnx(
    onnx: Path, options: EngineOptions, *, timing_cache: Path | None = None
) -> tuple[bytes, EngineStamp]:
    """Build the engine of an ONNX file for the GPU here; every input with a named axis gets one profile.

    `timing_cache` is read when it is there and written: the next build of a like network takes seconds. Returns the
    engine and its stamp. Raises MissingDependency without TensorRT, ExportFailed when it cannot parse or build.
    """
    trt = require_tensorrt()
    log = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(log)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(onnx)):
        raise ExportFailed(
            f"TensorRT {trt.__version__} cannot parse {onnx}: {'; '.join(_parser_errors(parser))}",
            mend="serve the ONNX file with the onnxruntime backend, or export it with another --opset",
        )
    config = _config(trt, builder, onnx, options)
    cache = _timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ExportFailed(
            f"TensorRT {trt.__version__} cannot build an engine from {onnx}; its messages are in the log",
            mend="give it a larger workspace, smaller shapes, or another precision",
        )
    if cache is not None and timing_cache is not None:
        write_bytes(timing_cache, bytes(cache.serialize()))
    return bytes(plan), _stamp(trt, options)


def _network_flags(trt: Any) -> int:
    """Strongly typed, where that still has to be asked for."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _parser_errors(parser: Any) -> Iterator[str]:
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        yield f"node {error.node()} ({error.desc()})"


def _config(trt: Any, builder: Any, onnx: Path, options: EngineOptions) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
    config.builder_optimization_level = options.optimization_level
    profile = builder.create_optimization_profile()
    shapes = shape_profiles(signature_from_onnx(onnx), options.axes)
    for shape in shapes:
        profile.set_shape(shape.name, shape.least, shape.usual, shape.most)
    if shapes:
        config.add_optimization_profile(profile)
    if options.hardware != "none":
        levels = {
            "ampere+": trt.HardwareCompatibilityLevel.AMPERE_PLUS,
            "same": trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY,
        }
        config.hardware_compatibility_level = levels[options.hardware]
    if options.any_version:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    return config


def _timing_cache(config: Any, path: Path | None) -> Any:
    if path is None:
        return None
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    # One of another GPU or TensorRT is refused: then the build measures anew, and writes its own.
    return cache if config.set_timing_cache(cache, False) else None


def _stamp(trt: Any, options: EngineOptions) -> EngineStamp:
    here = stamp_here(str(trt.__version__))
    return EngineStamp(
        tensorrt=here.tensorrt,
        gpu=here.gpu,
        architecture=here.architecture,
        driver=here.driver,
        hardware=options.hardware,
        any_version=options.any_version,
        most_rows=options.most_rows,
    )


class EngineSession:
    """A loaded engine that answers arrays by input name; torch holds its memory on the GPU."""

    def __init__(self, plan: bytes) -> None:
        """Load a serialized engine. Raises ExportFailed when this TensorRT or GPU refuses it."""
        trt = require_tensorrt()
        self._torch = require("torch")
        self._input = trt.TensorIOMode.INPUT
        # TensorRT does not keep its logger and runtime alive by itself.
        self._log = trt.Logger(trt.Logger.WARNING)
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ExportFailed("TensorRT refuses the engine: it was built by another version or for another GPU")
        self._context = self._engine.create_execution_context()

    def answers(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All rows of `inputs` in one run. Raises ExportFailed for shapes outside of the profile."""
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        given = [name for name in names if self._engine.get_tensor_mode(name) == self._input]
        held = {name: self._torch.from_numpy(np.ascontiguousarray(inputs[name])).cuda() for name in given}
        for name, tensor in held.items():
            if not self._context.set_input_shape(name, tuple(tensor.shape)):
                raise ExportFailed(f"input '{name}' has shape {tuple(tensor.shape)}, outside of the engine's profile")
        results = [name for name in names if name not in held]
        for name in results:
            dtype = getattr(self._torch, _TORCH_NAMES[self._engine.get_tensor_dtype(name).name])
            shape = tuple(self._context.get_tensor_shape(name))
            held[name] = self._torch.empty(shape, dtype=dtype, device="cuda")
        for name, tensor in held.items():
            self._context.set_tensor_address(name, tensor.data_ptr())
        stream = self._torch.cuda.current_stream()
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise ExportFailed("TensorRT failed while running the engine; its messages are in the log")
        stream.synchronize()
        return {name: held[name].cpu().numpy() for name in results}


#: trt.DataType -> torch.
_TORCH_NAMES = {
    "FLOAT": "float32",
    "HALF": "float16",
    "INT8": "int8",
    "INT32": "int32",
    "INT64": "int64",
    "BOOL": "bool",
    "UINT8": "uint8",
}
