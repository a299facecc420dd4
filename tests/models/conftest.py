"""Small ONNX files, good and damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

MakeOnnx = Callable[..., Path]


@pytest.fixture
def make_onnx(tmp_path: Path) -> MakeOnnx:
    """`y = x @ w` with w of shape 4, 3; `external` keeps w in a file of its own."""

    def make(name: str = "model.onnx", *, batch: str | int | None = "N", external: str = "") -> Path:
        weight = numpy_helper.from_array(np.arange(12, dtype=np.float32).reshape(4, 3), "w")
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        path = tmp_path / name
        onnx.save(model, path, save_as_external_data=bool(external), location=external or None, size_threshold=0)
        return path

    return make
