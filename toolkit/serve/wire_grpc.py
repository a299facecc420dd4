"""The KServe v2 protocol over gRPC: numpy arrays to the bytes of a message, the bytes of an answer to arrays.

In: a model's name and its input arrays; or an answer. Out: a length-prefixed ModelInferRequest, as unary and streaming
calls take it; or arrays by name. Tensors go as raw contents. Nothing here opens a connection. Source: KServe "Open
Inference Protocol", Triton's grpc_service.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.wire import Array, SharedTensor, array_from_bytes, bytes_from_array
from toolkit.tensor import dtype_from_name, dtype_from_numpy

_PREFIX = struct.Struct(">BI")


def infer_message(
    model: str, inputs: Mapping[str, Array], *, outputs: tuple[str, ...] = (), classification: int = 0
) -> bytes:
    """The length-prefixed message of one inference; the arguments are as of `wire.infer_request`."""
    from tritonclient.grpc import service_pb2

    if classification and not outputs:
        raise UsageError("a classification needs the names of the outputs to classify")
    message = service_pb2.ModelInferRequest(model_name=model)
    for name, array in inputs.items():
        message.inputs.add(name=name, datatype=dtype_from_numpy(array.dtype).name, shape=array.shape)
        message.raw_input_contents.append(bytes_from_array(array))
    for name in outputs:
        wanted = message.outputs.add(name=name)
        if classification:
            wanted.parameters["classification"].int64_param = classification
    return prefixed(message.SerializeToString())


def shared_message(model: str, inputs: Sequence[SharedTensor], *, outputs: tuple[str, ...] = ()) -> bytes:
    """The length-prefixed message of one inference whose inputs the server finds in shared memory."""
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name=model)
    for tensor in inputs:
        added = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        added.parameters["shared_memory_region"].string_param = tensor.region
        added.parameters["shared_memory_offset"].int64_param = tensor.offset_bytes
        added.parameters["shared_memory_byte_size"].int64_param = tensor.size_bytes
    for name in outputs:
        message.outputs.add(name=name)
    return prefixed(message.SerializeToString())


def prefixed(message: bytes) -> bytes:
    """A message as gRPC sends it: not compressed, its length in front."""
    return _PREFIX.pack(0, len(message)) + message


def infer_answer(body: bytes) -> dict[str, Array]:
    """The outputs of a ModelInferResponse (without prefix) by name, as `wire.infer_response` has them.

    Raises ServerTrouble for bytes that are none.
    """
    from google.protobuf.message import DecodeError
    from tritonclient.grpc import service_pb2

    try:
        return _arrays(service_pb2.ModelInferResponse.FromString(body))
    except (DecodeError, ValueError, KeyError, struct.error) as err:
        raise ServerTrouble(f"the answer is not a ModelInferResponse: {body[:80]!r} ({err})") from err


def stream_answers(body: bytes) -> list[dict[str, Array]]:
    """The outputs of every response of a ModelStreamInfer, given with their prefixes. Raises ServerTrouble."""
    from google.protobuf.message import DecodeError
    from tritonclient.grpc import service_pb2

    answers, position = [], 0
    try:
        while position < len(body):
            _, size = _PREFIX.unpack_from(body, position)
            start, position = position + _PREFIX.size, position + _PREFIX.size + size
            response = service_pb2.ModelStreamInferResponse.FromString(body[start:position])
            if response.error_message:
                raise ServerTrouble(response.error_message)
            answers.append(_arrays(response.infer_response))
    except (DecodeError, ValueError, KeyError, struct.error) as err:
        raise ServerTrouble(f"the answer is not a stream of ModelStreamInferResponse: {err}") from err
    return answers


def _arrays(response: Any) -> dict[str, Array]:
    found = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        found[output.name] = array_from_bytes(raw, dtype_from_name(output.datatype).numpy).reshape(tuple(output.shape))
    return found
