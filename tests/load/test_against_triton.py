"""Every protocol against a real tritonserver."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from toolkit.load.ask import ask
from toolkit.load.connection import WireProtocol, connector
from toolkit.load.engine import drive
from toolkit.load.outcome import STREAM_ERROR
from toolkit.load.pattern import Concurrency
from toolkit.load.socket_connection import Poller
from toolkit.serve.embedded import problems, serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import generate_request, infer_request, infer_response
from toolkit.serve.wire_grpc import infer_answer, infer_message, stream_answers

from .peer import exchange
from .triton import write_repository


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    for problem in problems():
        pytest.skip(str(problem))
    with serve_embedded(write_repository(tmp_path_factory.mktemp("repository"), "echo", "count")) as server:
        yield server.endpoint


def arrays(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(1 + 37 * index, np.float32) for index in range(count)]


@pytest.mark.parametrize("clients", [1, 4])
def test_every_protocol_gives_the_same_answers(endpoint: Endpoint, clients: int) -> None:
    inputs = arrays(40)
    messages = [infer_message("echo", {"x": x}) for x in inputs]
    requests = [infer_request("echo", {"x": x}, host="test") for x in inputs]
    http = ask(endpoint, requests, clients=clients)
    unary = ask(endpoint, messages, clients=clients, protocol="grpc")
    streamed = ask(endpoint, messages, clients=clients, protocol="grpc-stream")
    for x, *answers in zip(inputs, http, unary, streamed, strict=True):
        assert [(answer.status, answer.error) for answer in answers] == [(200, "")] * 3
        (first,) = stream_answers(answers[2].body)
        for found in (infer_response(answers[0].body, answers[0].header_length), infer_answer(answers[1].body), first):
            np.testing.assert_array_equal(found["y"], x)


@pytest.mark.parametrize("protocol", ["grpc", "grpc-stream"])
def test_messages_of_megabytes(endpoint: Endpoint, protocol: WireProtocol) -> None:
    x = np.arange(1_300_000, dtype=np.float32)  # more than the windows that a connection begins with
    (answer,) = ask(endpoint, [infer_message("echo", {"x": x}, outputs=("y",))], clients=1, protocol=protocol)
    found = infer_answer(answer.body) if protocol == "grpc" else stream_answers(answer.body)[0]
    np.testing.assert_array_equal(found["y"], x)


def test_refusals_have_their_class_and_words(endpoint: Endpoint) -> None:
    x = np.zeros(1, np.float32)
    messages = [infer_message("absent", {"x": x}), infer_message("echo", {"z": x}), infer_message("echo", {"x": x})]
    unary = ask(endpoint, messages, clients=1, protocol="grpc")
    assert [answer.error for answer in unary] == ["gRPC NOT_FOUND", "gRPC INVALID_ARGUMENT", ""]
    assert b"absent" in unary[0].body
    streamed = ask(endpoint, messages, clients=1, protocol="grpc-stream")
    assert [answer.error for answer in streamed] == ["error within a stream"] * 2 + [""]
    assert b"absent" in streamed[0].body


def count_request(count: int, protocol: WireProtocol) -> bytes:
    if protocol == "sse":
        return generate_request("count", {"count": [count]}, host="test")
    return infer_message("count", {"count": np.array([count], np.int32)})


@pytest.mark.parametrize("protocol", ["sse", "grpc-stream"])
def test_every_response_of_a_decoupled_model_has_its_time(endpoint: Endpoint, protocol: WireProtocol) -> None:
    connection = connector(endpoint, protocol)(Poller(), {})
    for count in (5, 1, 3):
        assert exchange(connection, count_request(count, protocol)) == 200
        assert len(connection.response_ns) == count
        gaps_s = np.diff([connection.sent_ns, *connection.response_ns]) / 1e9
        assert gaps_s.min() > 0.01  # the model waits 20 ms before each
        assert connection.response_ns[-1] <= connection.done_ns
    assert exchange(connection, count_request(-2, protocol)) == STREAM_ERROR
    assert b"counted below zero" in connection.body()
    assert len(connection.response_ns) == 3
    assert exchange(connection, count_request(2, protocol)) == 200
    connection.close()


def test_a_stream_in_the_numbers_it_was_made_of(endpoint: Endpoint) -> None:
    (answer,) = ask(endpoint, [count_request(4, "grpc-stream")], clients=1, protocol="grpc-stream")
    assert [found["number"].tolist() for found in stream_answers(answer.body)] == [[0], [1], [2], [3]]


@pytest.mark.parametrize("protocol", ["grpc", "grpc-stream", "sse"])
def test_the_engine_drives_it(endpoint: Endpoint, protocol: WireProtocol) -> None:
    model = {"grpc": infer_message("echo", {"x": np.ones(8, np.float32)})}
    requests = [model.get(protocol) or count_request(2, protocol)]
    records = drive(endpoint, requests, Concurrency(clients=3, warmup_s=0.1, duration_s=0.6), protocol=protocol)
    assert records.succeeded.all()
    assert len(records.status) > 3
    assert set(records.responses.tolist()) == (set() if protocol == "grpc" else {2})
    assert len(records.response_ns) == records.responses.sum()
