"""The KServe v2 protocol over HTTP with binary tensors: numpy arrays to request bytes, response bytes to arrays.

In: a model's name and its input arrays; or the body of an answer. Out: the bytes of one whole HTTP/1.1 request; or
arrays by name. Nothing here opens a connection: who sends the bytes does not need to know the encoding, and nobody
else does. Source: KServe "Open Inference Protocol", Triton extensions "Binary Tensor Data", "Classification" and
"Generate".
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.server import Endpoint
from toolkit.tensor import dtype_from_name, dtype_from_numpy

Array = NDArray[Any]

#: Names the length of the JSON part in front of the tensors; absent when a body is JSON alone.
HEADER_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedTensor:
    """A tensor that lies in a region of shared memory which the server knows by that name."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    region: str
    offset_bytes: int
    size_bytes: int


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
    header_bytes, body = infer_body(inputs, outputs=outputs, classification=classification)
    return infer_post(model, header_bytes, body, host=host)


def infer_post(model: str, header_bytes: int, body: bytes, *, host: str) -> bytes:
    """The bytes of one whole keep-alive inference request whose body is there: JSON of `header_bytes`, then tensors."""
    head = (
        f"POST {infer_path(model)} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\n"
        f"{HEADER_LENGTH}: {header_bytes}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def generate_request(model: str, payload: Mapping[str, Any], *, host: str, stream: bool = True) -> bytes:
    """The bytes of one whole request of Triton's generate extension; a stream is answered by server-sent events."""
    return json_post(f"/v2/models/{quote(model, safe='')}/generate{'_stream' if stream else ''}", payload, host=host)


def json_post(path: str, payload: Mapping[str, Any], *, host: str) -> bytes:
    """The bytes of one whole keep-alive request that posts JSON: an OpenAI completion, for example."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def addressed(request: bytes, endpoint: Endpoint) -> bytes:
    """A whole HTTP request as it goes out to an endpoint: with its Host, and its Authorization where it has one.

    Requests are kept in files without the latter.
    """
    head, end, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    kept = [line for line in lines if line.partition(b":")[0].strip().lower() not in (b"host", b"authorization")]
    added = [b"Host: " + endpoint.http.encode()]
    if endpoint.authorization:
        added.append(b"Authorization: " + endpoint.authorization.encode())
    return b"\r\n".join((first, *added, *kept)) + end + body


def infer_path(model: str) -> str:
    """The path that a model's inference requests are posted to."""
    return f"/v2/models/{quote(model, safe='')}/infer"


def infer_body(
    inputs: Mapping[str, Array], *, outputs: tuple[str, ...] = (), classification: int = 0
) -> tuple[int, bytes]:
    """The body alone, as `infer_request` has it, and the length of its JSON part."""
    if classification and not outputs:
        raise UsageError("a classification needs the names of the outputs to classify")
    tensors = [bytes_from_array(array) for array in inputs.values()]
    described = [_description(*item) for item in zip(inputs, inputs.values(), tensors, strict=True)]
    header = _header(described, outputs, classification)
    return len(header), b"".join((header, *tensors))


def shared_request(model: str, inputs: Sequence[SharedTensor], *, host: str, outputs: tuple[str, ...] = ()) -> bytes:
    """The bytes of one whole inference request whose inputs the server finds in shared memory."""
    described = [
        {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "datatype": tensor.datatype,
            "parameters": {
                "shared_memory_region": tensor.region,
                "shared_memory_offset": tensor.offset_bytes,
                "shared_memory_byte_size": tensor.size_bytes,
            },
        }
        for tensor in inputs
    ]
    header = _header(described, outputs, 0)
    return infer_post(model, len(header), header, host=host)


def _header(inputs: list[dict[str, Any]], outputs: tuple[str, ...], classification: int) -> bytes:
    described: dict[str, Any] = {"inputs": inputs}
    if outputs:
        wanted = {"classification": classification} if classification else {}
        described["outputs"] = [{"name": name, "parameters": {"binary_data": True, **wanted}} for name in outputs]
    else:
        described["parameters"] = {"binary_data_output": True}
    return json.dumps(described, separators=(",", ":")).encode()


def _description(name: str, array: Array, encoded: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(array.shape),
        "datatype": dtype_from_numpy(array.dtype).name,
        "parameters": {"binary_data_size": len(encoded)},
    }


def bytes_from_array(array: Array) -> bytes:
    """A tensor's bytes as both protocols send them: little-endian, C order, text with its lengths. UsageError."""
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
        else:
            array = array_from_bytes(body[offset : offset + size], dtype)
        decoded[output["name"]] = array.reshape(shape)
        offset += size or 0
    return decoded


def array_from_bytes(encoded: bytes, dtype: str) -> Array:
    """A flat array from a tensor's bytes, numbers as a read-only view of them. Raises ValueError, struct.error."""
    if dtype == "object":
        return _array_from_strings(encoded)
    return np.frombuffer(encoded, np.dtype(dtype).newbyteorder("<"))


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
