"""Tiny ONNX models, hand-written configs, and one server that all read-only tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.serve.embedded import problems, serve_embedded
from toolkit.serve.server import Server

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)
TABLE = np.array([[0.0, 1.0], [10.0, 11.0], [20.0, 21.0]], np.float32)

CONFIGS = {
    "linear": """
        name: "linear" backend: "onnxruntime" default_model_filename: "model.onnx" max_batch_size: 16
        input { name: "x" data_type: TYPE_FP32 dims: 4 }
        output { name: "y" data_type: TYPE_FP32 dims: 3 label_filename: "labels.txt" }
        instance_group { count: 2 kind: KIND_AUTO }
        dynamic_batching { max_queue_delay_microseconds: 20000 }
        optimization { graph { level: 1 } }
        parameters { key: "intra_op_thread_count" value { string_value: "1" } }
        parameters { key: "inter_op_thread_count" value { string_value: "1" } }
        parameters { key: "execution_mode" value { string_value: "0" } }
        parameters { key: "enable_mem_arena" value { string_value: "1" } }
        model_warmup { name: "ones" batch_size: 4
          inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 random_data: true } } }
    """,
    "join": """
        name: "join" backend: "onnxruntime" max_batch_size: 8
        input { name: "left" data_type: TYPE_STRING dims: -1 }
        input { name: "right" data_type: TYPE_STRING dims: -1 }
        output { name: "joined" data_type: TYPE_STRING dims: -1 }
        dynamic_batching { }
    """,
    "several": """
        name: "several" backend: "onnxruntime" max_batch_size: 8
        input { name: "half" data_type: TYPE_FP16 dims: 2 }
        input { name: "whole" data_type: TYPE_INT64 dims: 2 }
        output { name: "sum" data_type: TYPE_INT64 dims: 1 reshape { shape: [] } }
        output { name: "positive" data_type: TYPE_BOOL dims: 2 }
        output { name: "doubled" data_type: TYPE_FP16 dims: 2 }
    """,
    "total": """
        name: "total" backend: "onnxruntime" max_batch_size: 0
        input { name: "x" data_type: TYPE_FP32 dims: [ 2, -1 ] }
        output { name: "y" data_type: TYPE_FP32 dims: 1 }
    """,
    "lookup": """
        name: "lookup" backend: "onnxruntime" max_batch_size: 8
        input { name: "index" data_type: TYPE_INT64 dims: 1 }
        output { name: "row" data_type: TYPE_FP32 dims: [ 1, 2 ] }
        instance_group { count: 1 kind: KIND_AUTO }
        dynamic_batching { max_queue_delay_microseconds: 50000 }
    """,
    "uneven": """
        name: "uneven" backend: "onnxruntime" max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 1 }
        output { name: "y" data_type: TYPE_FP32 dims: 1 }
    """,
    "reloaded": """
        name: "reloaded" backend: "onnxruntime" max_batch_size: 8
        input { name: "x" data_type: TYPE_FP32 dims: 4 }
        output { name: "y" data_type: TYPE_FP32 dims: 3 }
    """,
}


def _value(name: str, kind: int, *shape: str | int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    **constants: np.ndarray,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def linear() -> onnx.ModelProto:
    return _model(
        [helper.make_node("MatMul", ["x", "weight"], ["y"])],
        [_value("x", TensorProto.FLOAT, "batch", 4)],
        [_value("y", TensorProto.FLOAT, "batch", 3)],
        weight=WEIGHT,
    )


def _models() -> dict[str, onnx.ModelProto]:
    text, flag, half, whole = TensorProto.STRING, TensorProto.BOOL, TensorProto.FLOAT16, TensorProto.INT64
    return {
        "linear": linear(),
        "bare": linear(),
        "reloaded": linear(),
        "join": _model(
            [helper.make_node("StringConcat", ["left", "right"], ["joined"])],
            [_value("left", text, "batch", "length"), _value("right", text, "batch", "length")],
            [_value("joined", text, "batch", "length")],
        ),
        "several": _model(
            [
                helper.make_node("Add", ["half", "half"], ["doubled"]),
                helper.make_node("Greater", ["whole", "zero"], ["positive"]),
                helper.make_node("ReduceSum", ["whole", "last"], ["sum"], keepdims=0),
            ],
            [_value("half", half, "batch", 2), _value("whole", whole, "batch", 2)],
            [_value("doubled", half, "batch", 2), _value("positive", flag, "batch", 2), _value("sum", whole, "batch")],
            zero=np.array(0),
            last=np.array([1]),
        ),
        "total": _model(
            [helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [_value("x", TensorProto.FLOAT, 2, "length")],
            [_value("y", TensorProto.FLOAT)],
        ),
        "lookup": _model(
            [helper.make_node("Gather", ["table", "index"], ["row"])],
            [_value("index", whole, "batch", 1)],
            [_value("row", TensorProto.FLOAT, "batch", 1, 2)],
            table=TABLE,
        ),
        # Drops the rows that are not positive: a leading -1 that is no batch axis.
        "uneven": _model(
            [
                helper.make_node("Greater", ["x", "zero"], ["mask"]),
                helper.make_node("Flatten", ["mask"], ["flat"], axis=0),
                helper.make_node("Squeeze", ["flat", "first"], ["keep"]),
                helper.make_node("Compress", ["x", "keep"], ["y"], axis=0),
            ],
            [_value("x", TensorProto.FLOAT, "batch", 1)],
            [_value("y", TensorProto.FLOAT, "kept", 1)],
            zero=np.array(0, np.float32),
            first=np.array([0]),
        ),
    }


def write_entry(repository: Path, name: str, model: onnx.ModelProto, config: str | None) -> Path:
    """One entry of a repository; its model file."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    onnx.save(model, version / "model.onnx")
    if config:
        (repository / name / "config.pbtxt").write_text(config)
    return version / "model.onnx"


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one entry for each thing that differs."""
    folder = tmp_path_factory.mktemp("repository")
    for name, model in _models().items():
        write_entry(folder, name, model, CONFIGS.get(name))
    (folder / "linear" / "labels.txt").write_text("cat\ndog\nowl\n")
    return folder


@pytest.fixture(scope="session")
def can_serve() -> None:
    """Skips where the embedded server cannot run, and says why."""
    found = problems()
    if found:
        pytest.skip(str(found[0]))


@pytest.fixture(scope="session")
def server(can_serve: None, repository: Path) -> Iterator[Server]:
    """A server with every entry loaded; for tests that leave it as it is."""
    with serve_embedded(repository) as running:
        yield running


@pytest.fixture
def small_repository(tmp_path: Path) -> Path:
    """One entry on the python backend: stub and shared memory, and quickly ready."""
    (tmp_path / "repository" / "echo" / "1").mkdir(parents=True)
    (tmp_path / "repository" / "echo" / "config.pbtxt").write_text("""
        name: "echo" backend: "python" max_batch_size: 4
        input { name: "x" data_type: TYPE_FP32 dims: 1 } output { name: "x" data_type: TYPE_FP32 dims: 1 }
        instance_group { count: 1 kind: KIND_CPU }
    """)
    (tmp_path / "repository" / "echo" / "1" / "model.py").write_text(
        "import triton_python_backend_utils as pb\n"
        "class TritonPythonModel:\n"
        "    def execute(self, requests):\n"
        "        return [pb.InferenceResponse([pb.Tensor('x', r.inputs()[0].as_numpy())]) for r in requests]\n"
    )
    return tmp_path / "repository"
