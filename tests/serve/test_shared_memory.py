"""Inputs in shared memory: the same answers, and nothing left behind."""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import EnvironmentProblem, ServerTrouble, UsageError
from toolkit.load.ask import ask
from toolkit.serve import client
from toolkit.serve.server import Endpoint, Server
from toolkit.serve.shared_memory import check_is_local, requests_in_shared_memory
from toolkit.serve.wire import infer_response
from toolkit.serve.wire_grpc import infer_answer


def regions(server: Server) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{server.name}_inputs_*"))


def known(endpoint: Endpoint) -> list[str]:
    return [region["name"] for region in client._json(endpoint, "GET", "/v2/systemsharedmemory/status")]


def answers(endpoint: Endpoint, requests: Sequence[bytes], protocol: str) -> list[dict[str, np.ndarray]]:
    found = ask(endpoint, requests, clients=3, protocol=protocol)  # type: ignore[arg-type]
    assert [answer.error for answer in found] == [""] * len(requests)
    if protocol == "grpc":
        return [infer_answer(answer.body) for answer in found]
    return [infer_response(answer.body, answer.header_length) for answer in found]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_answers_are_those_of_plain_requests(server: Server, protocol: str) -> None:
    random = np.random.default_rng(0)
    numbers = [{"x": random.standard_normal((1 + row, 4), np.float32)} for row in range(9)]
    texts = [{side: np.array([["né" * row, side]], object) for side in ("left", "right")} for row in range(3)]
    for model, payloads, output in (("linear", numbers, "y"), ("join", texts, "joined")):
        plain = [client.infer(server.endpoint, model, payload)[output] for payload in payloads]
        with requests_in_shared_memory(server.endpoint, model, payloads, protocol=protocol, outputs=(output,)) as sent:  # type: ignore[arg-type]
            assert len(regions(server)) == 1
            assert len(known(server.endpoint)) == 1
            assert all(
                payload[name].tobytes() not in request for payload in numbers for name in payload for request in sent
            )
            shared = answers(server.endpoint, sent, protocol)
        for expected, found in zip(plain, shared, strict=True):
            np.testing.assert_array_equal(found[output], expected)
        assert (regions(server), known(server.endpoint)) == ([], [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_behind_however_it_ends(server: Server, error: type[BaseException]) -> None:
    payload = {"x": np.zeros((1, 4), np.float32)}
    with pytest.raises(error), requests_in_shared_memory(server.endpoint, "linear", [payload]):
        raise error
    assert (regions(server), known(server.endpoint)) == ([], [])


def test_memory_is_not_shared_with_another_machine() -> None:
    with pytest.raises(UsageError, match="another machine") as caught:
        check_is_local(Endpoint(http="192.0.2.1:8000"))
    assert "127.0.0.1" in caught.value.mend
    for address in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
        check_is_local(Endpoint(http=address))


def test_no_payload_and_no_room(server: Server) -> None:
    with pytest.raises(UsageError, match="no payload"), requests_in_shared_memory(server.endpoint, "linear", []):
        pass
    payload = {"x": np.zeros((100_000, 4), np.float32)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(EnvironmentProblem, match="1600000 bytes of shared memory cannot be had") as caught:
            requests_in_shared_memory(server.endpoint, "linear", [payload]).__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "--shm-size" in caught.value.mend
    assert regions(server) == []


class Elsewhere(BaseHTTPRequestHandler):
    """A server that is reached over the loopback address, and has a /dev/shm of its own."""

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.answer(200, b'{"name":"elsewhere"}')

    def do_POST(self) -> None:
        self.answer(400, b'{"error":"Unable to open shared memory region"}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_server_in_a_container_of_its_own() -> None:
    with HTTPServer(("127.0.0.1", 0), Elsewhere) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        endpoint = Endpoint(http=f"127.0.0.1:{other.server_port}")
        with pytest.raises(ServerTrouble, match=r"cannot map .*Unable to open") as caught:
            requests_in_shared_memory(endpoint, "m", [{"x": np.zeros(3)}]).__enter__()
        other.shutdown()
    assert "--ipc=host" in caught.value.mend
    assert list(Path("/dev/shm").glob("elsewhere_inputs_*")) == []
