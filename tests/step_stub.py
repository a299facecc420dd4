"""A step's own code, called as Triton's stub calls it; `triton_python_backend_utils` exists only inside the stub."""

from __future__ import annotations

import importlib.util
import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest

from toolkit.repository.config import to_load_json
from toolkit.repository.entry import RepositoryEntry


@dataclass
class Tensor:
    name: str
    values: Any

    def as_numpy(self) -> Any:
        return self.values


class TritonError(Exception):
    INVALID_ARG = 3


@dataclass
class InferenceResponse:
    output_tensors: tuple[Tensor, ...] = ()
    error: TritonError | None = None


STUB = types.SimpleNamespace(
    Tensor=Tensor,
    TritonError=TritonError,
    InferenceResponse=InferenceResponse,
    TritonModelException=RuntimeError,
    get_input_tensor_by_name=lambda request, name: request.get(name),
)


def step_model(entry: RepositoryEntry, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The initialised model of an entry that `add_step` wrote. A request is a dict of Tensor by name."""
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", STUB)
    spec = importlib.util.spec_from_file_location("step_model", entry.path / "1" / "model.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.TritonPythonModel()
    model.initialize(
        {
            "model_config": to_load_json(entry.config),
            "model_repository": str(entry.path),
            "model_version": str(entry.version),
        }
    )
    return model
