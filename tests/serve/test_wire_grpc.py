"""Arrays to messages of gRPC and back, checked by protobuf's own classes."""

from __future__ import annotations

import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.wire import SharedTensor
from toolkit.serve.wire_grpc import infer_answer, infer_message, prefixed, shared_message, stream_answers

from .test_wire import ARRAYS, SPECIAL


def request_of(message: bytes) -> pb.ModelInferRequest:
    assert message[0] == 0
    assert int.from_bytes(message[1:5], "big") == len(message) - 5
    return pb.ModelInferRequest.FromString(message[5:])


def echoed(message: bytes) -> pb.ModelInferResponse:
    """The answer of a server that gives back what it got."""
    asked = request_of(message)
    response = pb.ModelInferResponse(model_name=asked.model_name, raw_output_contents=asked.raw_input_contents)
    for tensor in asked.inputs:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
    return response


@pytest.mark.parametrize("name", ARRAYS)
def test_each_dtype_survives_the_round_trip(name: str) -> None:
    message = infer_message("m", {"x": ARRAYS[name]})
    assert request_of(message).inputs[0].datatype == name
    found = infer_answer(echoed(message).SerializeToString())["x"]
    np.testing.assert_array_equal(found, ARRAYS[name])
    assert (found.dtype, found.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_not_a_plain_array_arrives_as_one(name: str) -> None:
    sent, expected = SPECIAL[name]
    found = infer_answer(echoed(infer_message("m", {"x": sent})).SerializeToString())["x"]
    np.testing.assert_array_equal(found, expected)
    assert found.shape == expected.shape


def test_a_message_names_the_model_and_what_is_wanted() -> None:
    asked = request_of(infer_message("a model", ARRAYS, outputs=("y", "z"), classification=2))
    assert asked.model_name == "a model"
    assert [tensor.name for tensor in asked.inputs] == list(ARRAYS)
    assert [(o.name, o.parameters["classification"].int64_param) for o in asked.outputs] == [("y", 2), ("z", 2)]
    with pytest.raises(UsageError, match="names of the outputs"):
        infer_message("m", ARRAYS, classification=2)


def test_inputs_in_shared_memory_are_named_not_sent() -> None:
    tensor = SharedTensor(name="x", datatype="FP32", shape=(2, 3), region="r", offset_bytes=64, size_bytes=24)
    asked = request_of(shared_message("m", [tensor], outputs=("y",)))
    parameters = asked.inputs[0].parameters
    assert parameters["shared_memory_region"].string_param == "r"
    assert parameters["shared_memory_offset"].int64_param == 64
    assert parameters["shared_memory_byte_size"].int64_param == 24
    assert (list(asked.inputs[0].shape), len(asked.raw_input_contents)) == ([2, 3], 0)


def test_a_stream_is_its_responses_or_its_error() -> None:
    answers = [echoed(infer_message("m", {"x": np.full(n, n, np.int32)})) for n in (1, 2)]
    responses = [pb.ModelStreamInferResponse(infer_response=answer).SerializeToString() for answer in answers]
    found = stream_answers(b"".join(map(prefixed, responses)))
    assert [answer["x"].tolist() for answer in found] == [[1], [2, 2]]
    failed = pb.ModelStreamInferResponse(error_message="no memory").SerializeToString()
    with pytest.raises(ServerTrouble, match="no memory"):
        stream_answers(prefixed(responses[0]) + prefixed(failed))


@pytest.mark.parametrize("body", [b"\xff\xff", pb.ModelInferResponse(outputs=[{"name": "y"}]).SerializeToString()])
def test_what_is_no_answer_is_trouble(body: bytes) -> None:
    with pytest.raises(ServerTrouble, match="not a ModelInferResponse"):
        infer_answer(body)
    with pytest.raises(ServerTrouble, match="not a stream"):
        stream_answers(prefixed(b"\xff\xff"))
