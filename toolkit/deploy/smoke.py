"""One request and the answer that it must get, as files that smoke.py of the bundle sends and compares.

In: input and expected arrays by tensor name, or a prompt's request and its greedy answer. Out: the request body (KServe
v2 with binary tensors, or JSON) and expected.json.
This module does not know where the bundle will run, and sends nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.records import to_json
from toolkit.tensor import dtype_from_numpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toolkit.export.parity import Tolerance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SmokeRequest:
    """Inputs and expected outputs with their full shapes, batch axis included; BYTES as arrays of bytes or str."""

    inputs: Mapping[str, NDArray[Any]]
    expected: Mapping[str, NDArray[Any]]
    tolerance: Tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeGeneration:
    """The JSON of a greedy request that `path` answers in a stream, and how the answer must begin.

    The tokens are compared where the server tells them, the text where it does not.
    """

    path: str
    request: Mapping[str, Any]
    token_ids: tuple[int, ...]
    text: str


def smoke_files(model: str, smoke: SmokeRequest | SmokeGeneration, *, ready: str) -> dict[str, str | bytes]:
    """The request and the expectation by file name; `ready` is the path of the server's readiness.

    Raises UsageError for a dtype without a wire form.
    """
    asked = {"model": model, "ready": ready}
    return _generation_files(asked, smoke) if isinstance(smoke, SmokeGeneration) else _tensor_files(asked, smoke)


def _generation_files(asked: Mapping[str, Any], smoke: SmokeGeneration) -> dict[str, str | bytes]:
    expectation = {**asked, "path": smoke.path, "token_ids": smoke.token_ids, "text": smoke.text}
    return {"request.json": to_json(dict(smoke.request)), "expected.json": to_json(expectation)}


def _tensor_files(asked: Mapping[str, Any], smoke: SmokeRequest) -> dict[str, str | bytes]:
    from toolkit.serve.wire import infer_body

    header_length, body = infer_body(smoke.inputs, outputs=tuple(smoke.expected))
    expectation = {
        **asked,
        "header_length": header_length,
        "absolute": smoke.tolerance.absolute,
        "relative": smoke.tolerance.relative,
        "outputs": [_output(name, array) for name, array in smoke.expected.items()],
    }
    return {"request.bin": body, "expected.json": to_json(expectation)}


def _output(name: str, array: NDArray[Any]) -> dict[str, Any]:
    elements = [_element(e) for e in array.ravel().tolist()]
    return {
        "name": name,
        "datatype": dtype_from_numpy(array.dtype).name,
        "shape": list(array.shape),
        "data": elements,
    }


def _element(value: Any) -> Any:
    """A JSON value; bytes as escaped text and non-finite floats by name, since JSON has neither."""
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
