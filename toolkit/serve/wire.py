"""The KServe v2 protocol over HTTP with binary tensors: numpy arrays to request bytes, response bytes to arrays.

In: a model's name and its input arrays; or the body of an answer. Out: the bytes of one whole HTTP/1.1 request; or
arrays by name. Nothing here opens a connection: who sends the bytes does not need to know the encoding, and nobody
else does. Source: KServe "Open Inference Protocol", Triton extensions "Binary Tensor Data" and "Classification".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ServerTrouble, UsageError
from toolkit.tensor import dtype_from_name, dtype_from_numpy

Array = NDArray[Any]

#: Names the length of the JSON part in front of the tensors; absent when a body is JSON alone.
HEADER_LENGTH = "Inference-Header-Content-Length"


def infer_request(
    model: str,
    inputs: Mapping[str, Array],
    *,
    host: str,
    outputs: tuple[str, ...] = (),
    classification: int = 0,
) -> bytes:
    """The bytes of one whole keep-alive inference request: head, JSON and tensors.

    `inputs` have their full shapes, the batch axis too. Without `outputs` the server answers all of them.
    `classification` k > 0 asks for the k best classes of each named output, which `infer_response` gives as bytes
    "score:index:label". Raises UsageError for a dtype that has no wire form, or a classification without outputs.
    """
    header, body = infer_body(inputs, outputs=outputs, classification=classification)
    head = (
        f"POST {infer_path(model)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n"
        f"{HEADER_LENGTH}: {header}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def infer_path(model: str) -> str:
    """The path that a model's inference requests are posted to."""
    return f"/v2/models/{quote(model, safe='')}/infer"


def infer_body(
    inputs: Mapping[str, Array], *, outputs: tuple[str, ...] = (), classification: int = 0
) -> tuple[int, bytes]:
    """The body alone, as `infer_request` has it, and the length of its JSON part."""
    if classification and not outputs:
        raise UsageError("a classification needs the names of the outputs to classify")
    tensors = [_encode(array) for array in inputs.values()]
    described: dict[str, Any] = {
        "inputs": [_description(*item) for item in zip(inputs, inputs.values(), tensors, strict=True)]
    }
    if outputs:
        wanted = {"classification": classification} if classification else {}
        described["outputs"] = [{"name": name, "parameters": {"binary_data": True, **wanted}} for name in outputs]
    else:
        described["parameters"] = {"binary_data_output": True}
    header = json.dumps(described, separators=(",", ":")).encode()
    return len(header), b"".join((header, *tensors))


def _description(name: str, array: Array, encoded: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": dtype_from_numpy(array.dtype).name,
        "parameters": {"binary_data_size": len(encoded)},
    }


def _encode(array: Array) -> bytes:
    dtype = dtype_from_numpy(array.dtype)
    if dtype.name != "BYTES":
        return array.astype(np.dtype(dtype.numpy).newbyteorder("<"), order="C", copy=False).tobytes()
    elements = (e if isinstance(e, bytes) else str(e).encode() for e in array.ravel().tolist())
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def infer_response(body: bytes, header_length: int | None) -> dict[str, Array]:
    """The outputs of an answer by name, in the server's order, with their full shapes; BYTES as arrays of `bytes`.

    `header_length` is the answer's Inference-Header-Content-Length, None when it had none. Numeric arrays are
    read-only views of `body`. Raises ServerTrouble with the server's own message when the body holds an error, and
    when it is not an answer of this protocol.
    """
    try:
        header = json.loads(body[:header_length])
        if "error" in header:
            raise ServerTrouble(str(header["error"]))
        return _decode_all(header["outputs"], body, len(body) if header_length is None else header_length)
    except (ValueError, KeyError, TypeError, struct.error) as err:
        raise ServerTrouble(f"the answer is not KServe v2: {body[:80]!r} ({err})") from err


def _decode_all(outputs: list[dict[str, Any]], body: bytes, offset: int) -> dict[str, Array]:
    decoded = {}
    for output in outputs:
        dtype, shape = dtype_from_name(output["datatype"]).numpy, output["shape"]
        size = output.get("parameters", {}).get("binary_data_size")
        if size is None:
            array = _array_from_json(output["data"], dtype)
        elif dtype == "object":
            array = _array_from_strings(body[offset : offset + size])
        else:
            array = np.frombuffer(body[offset : offset + size], np.dtype(dtype).newbyteorder("<"))
        decoded[output["name"]] = array.reshape(shape)
        offset += size or 0
    return decoded


def _array_from_json(data: list[Any], dtype: str) -> Array:
    if dtype == "object":
        return _array_from_elements([str(element).encode() for element in data])
    return np.array(data, dtype)


def _array_from_strings(encoded: bytes) -> Array:
    elements, offset = [], 0
    while offset < len(encoded):
        (length,) = struct.unpack_from("<I", encoded, offset)
        elements.append(encoded[offset + 4 : offset + 4 + length])
        offset += 4 + length
    return _array_from_elements(elements)


def _array_from_elements(elements: list[bytes]) -> Array:
    array = np.empty(len(elements), object)
    array[:] = elements
    return array
