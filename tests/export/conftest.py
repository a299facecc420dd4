"""A customer's model file from a few lines, the request to export it, and small ONNX files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.export.spec import ExportSpec, WorkerRequest
from toolkit.models.source import source_from_path

LINEAR = """\
import numpy as np, torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x):
        {body}

def load_model():
    return Net()

def sample_inputs(seed, n):
    return {{"x": np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)}}
"""


@pytest.fixture
def model_py(tmp_path: Path) -> Callable[..., Path]:
    """Write model.py: a linear layer whose forward has `body`, followed by `more`."""

    def write(body: str = "return self.linear(x)", more: str = "") -> Path:
        path = tmp_path / "customer" / "model.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(LINEAR.format(body=body.replace("\n", "\n        ")) + more)
        return path

    return write


@pytest.fixture
def request_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerRequest]:
    """A request that the worker's functions serve in this process; the import path is put back afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(path: Path, **spec: Any) -> WorkerRequest:
        return WorkerRequest(action="export", source=source_from_path(str(path)), spec=ExportSpec(**spec))

    return make


@pytest.fixture
def make_onnx(tmp_path: Path) -> Callable[..., Path]:
    """`y = x @ w` with w of shape 4, 3, whose axes carry any names; `external` keeps w in a file of its own."""

    def make(
        *, x: tuple[Any, ...] = ("N", 4), y: tuple[Any, ...] = ("N", 3), external: str = "", op: str = "MatMul"
    ) -> Path:
        weight = numpy_helper.from_array(np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3), "w")
        graph = helper.make_graph(
            [helper.make_node(op, ["x", "w"], ["y"])],
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        path = tmp_path / "customer" / "theirs.onnx"
        path.parent.mkdir(exist_ok=True)
        onnx.save(model, path, save_as_external_data=bool(external), location=external or None, size_threshold=0)
        return path

    return make
