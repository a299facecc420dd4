"""The step's own code, called as Triton's stub calls it; `triton_python_backend_utils` exists only inside the stub."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from step_stub import InferenceResponse, Tensor, step_model

from toolkit.repository.config import to_load_json
from toolkit.repository.entry import add_step


def encoded(pixels: np.ndarray[Any, Any], kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def request(*rows: bytes) -> dict[str, Tensor]:
    return {"IMAGE": Tensor("IMAGE", np.array(rows, dtype=object).reshape(-1, 1))}


@pytest.fixture
def decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function: parameters and requests -> responses."""

    def run(parameters: dict[str, Any], *requests: Any) -> list[InferenceResponse]:
        entry = add_step(tmp_path, "image_decode", name="decode", parameters=parameters, replace=True)
        return step_model(entry, monkeypatch).execute(list(requests))

    return run


GREY = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
COLOUR = np.stack([GREY, GREY + 1, GREY + 2], axis=-1)


def test_a_png_becomes_exactly_its_pixels(decode: Any) -> None:
    (response,) = decode({"width": 4, "height": 3, "mode": "L", "scale": 20}, request(encoded(GREY), encoded(GREY)))
    (tensor,) = response.output_tensors
    assert (tensor.name, tensor.values.dtype, tensor.values.shape) == ("PIXELS", np.float32, (2, 1, 3, 4))
    assert np.array_equal(tensor.values[1, 0], np.arange(12, dtype=np.float32).reshape(3, 4))


def test_colour_is_channels_first_and_normalised_per_channel(decode: Any) -> None:
    parameters = {"width": 4, "height": 3, "scale": 1, "mean": "0,1,2", "std": "1,2,4"}
    (response,) = decode(parameters, request(encoded(COLOUR)))
    expected = np.stack([GREY / 1, GREY / 2, GREY / 4]).astype(np.float32)
    assert np.array_equal(response.output_tensors[0].values[0], expected)


def test_another_size_is_resized_and_another_mode_converted(decode: Any) -> None:
    flat = np.full((30, 50, 3), 200, dtype=np.uint8)
    (response,) = decode({"width": 4, "height": 3, "mode": "L", "scale": 200}, request(encoded(flat, "JPEG")))
    assert response.output_tensors[0].values.shape == (1, 1, 3, 4)
    assert np.allclose(response.output_tensors[0].values, 1, atol=0.02)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"no image",
        encoded(GREY)[:-30],
        encoded(np.zeros((64, 64), np.uint8), "JPEG")[:200],
        encoded(GREY, "GIF"),
        encoded(np.zeros((10_000, 10_000), np.uint8)),
    ],
    ids=["empty", "text", "cut PNG", "cut JPEG", "GIF", "too large"],
)
def test_a_bad_image_fails_its_own_request_only(decode: Any, bad: bytes) -> None:
    good = request(encoded(GREY))
    parameters = {"width": 4, "height": 3, "mode": "L"}
    first, second, third = decode(parameters, good, request(encoded(GREY), bad), good)
    assert second.error is not None and f"IMAGE row 1 ({len(bad)} bytes) is not a readable" in str(second.error)
    assert second.output_tensors == () and "object at" not in str(second.error)
    for response in (first, third):
        assert response.error is None and response.output_tensors[0].values.shape == (1, 1, 3, 4)


def test_the_step_runs_where_the_toolkit_is_not_installed(tmp_path: Path) -> None:
    entry = add_step(tmp_path, "image_decode", name="decode", parameters={"width": 4, "height": 3})
    script = """
import json, sys, types
sys.modules["toolkit"] = None
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
sys.path.insert(0, sys.argv[1])
import model
model.TritonPythonModel().initialize({"model_config": sys.argv[2]})
print(json.dumps(sorted(m for m in sys.modules if m.startswith("toolkit."))))
"""
    command = [sys.executable, "-c", script, str(entry.path / "1"), to_load_json(entry.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout) == []
