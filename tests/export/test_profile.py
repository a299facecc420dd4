"""ONNX Runtime's profile of a small model, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_poc import save_model

from toolkit.errors import ExportFailed
from toolkit.export.profile import operators_of, profile_onnx


def test_a_profile_names_the_operators_and_their_shares(tmp_path: Path) -> None:
    found = profile_onnx(save_model(tmp_path / "model.onnx"), threads=1, batch_size=4)
    assert {o.operator for o in found.operators} >= {"MatMul", "Tanh"}
    assert sum(o.share for o in found.operators) == pytest.approx(1.0)
    assert found.execution_s > 0 and found.batch_size == 4
    assert found.operators == tuple(sorted(found.operators, key=lambda o: -o.share))


def test_a_file_that_is_no_model_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(ExportFailed, match="cannot be profiled"):
        profile_onnx(tmp_path / "model.onnx")


def test_only_kernels_count() -> None:
    events = [
        {"cat": "Node", "name": "a_kernel_time", "dur": 30, "args": {"op_name": "Conv"}},
        {"cat": "Node", "name": "b_kernel_time", "dur": 10, "args": {"op_name": "Relu"}},
        {"cat": "Node", "name": "a_fence_before", "dur": 99, "args": {"op_name": "Conv"}},
        {"cat": "Session", "name": "model_run", "dur": 99},
    ]
    assert [(o.operator, o.share, o.nodes) for o in operators_of(events)] == [("Conv", 0.75, 1), ("Relu", 0.25, 1)]
