from __future__ import annotations

import json

import numpy as np
import pytest
from tritonclient.http import InferResult

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve.wire import infer_body, infer_request, infer_response

ARRAYS = {
    "FP32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
    "FP64": np.array([[np.pi], [-0.0]]),
    "FP16": np.array([1.5, -2.25, 65504], np.float16),
    "BOOL": np.array([[True, False], [False, True]]),
    "INT8": np.array([-128, 127], np.int8),
    "UINT8": np.arange(256, dtype=np.uint8).reshape(1, 2, 128),
    "INT16": np.array([-(2**15)], np.int16),
    "UINT16": np.array([2**16 - 1], np.uint16),
    "INT32": np.array([[-(2**31), 2**31 - 1]], np.int32),
    "UINT32": np.array([2**32 - 1], np.uint32),
    "INT64": np.array([-(2**63), 2**63 - 1]),
    "UINT64": np.array([2**64 - 1], np.uint64),
    "BYTES": np.array([[b"", b"\x00\xff"], [b"a" * 300, b"\n"]], object),
}
SPECIAL = {
    "not contiguous": (ARRAYS["FP32"].T, ARRAYS["FP32"].T),
    "big endian": (np.array([1, 258], ">i4"), np.array([1, 258], np.int32)),
    "no rows": (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)),
    "text": (np.array(["né", ""], object), np.array(["né".encode(), b""], object)),
    "fixed-width text": (np.array(["ab", "c"]), np.array([b"ab", b"c"], object)),
    "no text": (np.zeros((0, 1), object), np.zeros((0, 1), object)),
}


def answer_of(inputs: dict[str, np.ndarray]) -> tuple[bytes, int]:
    """The answer of a server that gives back what it got: the two bodies have the same form."""
    length, body = infer_body(inputs)
    header = json.loads(body[:length])
    echoed = json.dumps({"model_name": "echo", "model_version": "1", "outputs": header["inputs"]}).encode()
    return echoed + body[length:], len(echoed)


@pytest.mark.parametrize("name", ARRAYS)
def test_each_dtype_survives_the_round_trip_and_tritonclient_reads_the_same(name: str) -> None:
    body, length = answer_of({"x": ARRAYS[name]})
    decoded = infer_response(body, length)["x"]
    np.testing.assert_array_equal(decoded, ARRAYS[name])
    assert decoded.dtype == ARRAYS[name].dtype
    np.testing.assert_array_equal(InferResult.from_response_body(body, header_length=length).as_numpy("x"), decoded)


@pytest.mark.parametrize("name", SPECIAL)
def test_what_is_not_a_plain_array_arrives_as_one(name: str) -> None:
    sent, expected = SPECIAL[name]
    decoded = infer_response(*answer_of({"x": sent}))["x"]
    np.testing.assert_array_equal(decoded, expected)
    assert decoded.shape == expected.shape


def test_several_tensors_keep_names_and_order() -> None:
    decoded = infer_response(*answer_of(ARRAYS))
    assert list(decoded) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(decoded[name], array)


def test_a_request_is_one_whole_http_message() -> None:
    request = infer_request("a model", {"x": ARRAYS["INT8"]}, host="h:1", outputs=("y", "z"), classification=2)
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ") for line in lines[1:])
    assert lines[0] == "POST /v2/models/a%20model/infer HTTP/1.1"
    assert fields["Host"] == "h:1"
    assert int(fields["Content-Length"]) == len(body)
    header = json.loads(body[: int(fields["Inference-Header-Content-Length"])])
    assert [output["name"] for output in header["outputs"]] == ["y", "z"]
    assert all(output["parameters"] == {"binary_data": True, "classification": 2} for output in header["outputs"])
    assert body.endswith(ARRAYS["INT8"].tobytes())


def test_without_output_names_all_of_them_come_in_binary() -> None:
    length, body = infer_body({"x": ARRAYS["INT8"]})
    assert json.loads(body[:length])["parameters"] == {"binary_data_output": True}


def test_an_answer_in_plain_json_is_read_too() -> None:
    outputs = [
        {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1]},
        {"name": "t", "datatype": "BYTES", "shape": [1], "data": ["cat"]},
    ]
    decoded = infer_response(json.dumps({"outputs": outputs}).encode(), None)
    np.testing.assert_array_equal(decoded["y"], np.array([[0.5, 1]], np.float32))
    assert decoded["t"].tolist() == [b"cat"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": "no such model"}', "no such model"),
        (b"<html>404</html>", "not KServe v2"),
        (b"[]", "not KServe v2"),
        (b'{"outputs": [{"name": "y", "datatype": "FP32", "shape": [3], "data": [1]}]}', "not KServe v2"),
        (b'{"outputs": [{"name": "y", "shape": [3], "data": [1]}]}', "not KServe v2"),
    ],
)
def test_what_is_no_answer_is_trouble(body: bytes, words: str) -> None:
    with pytest.raises(ServerTrouble, match=words):
        infer_response(body, None)


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(UsageError, match="complex64"):
        infer_body({"x": np.zeros(2, np.complex64)})
    with pytest.raises(UsageError, match="names of the outputs"):
        infer_body({"x": ARRAYS["INT8"]}, classification=3)
