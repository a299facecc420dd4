from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from toolkit.errors import ServerTrouble, UsageError
from toolkit.serve import client
from toolkit.serve.server import Endpoint


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://gpu-box:8000", "gpu-box:8000"),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000"),
        ("localhost:80", "localhost:80"),
        ("http://[::1]:8000", "[::1]:8000"),
    ],
)
def test_an_address_is_read_from_a_url(url: str, address: str) -> None:
    assert client.endpoint_from_url(url) == Endpoint(http=address)


@pytest.mark.parametrize(
    "url", ["grpc://host:8001", "https://host:8000", "host", "http://host:port", "http://h:1/v2", ""]
)
def test_another_url_is_refused_with_the_form_that_is_right(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        client.endpoint_from_url(url)
    assert "http://127.0.0.1:8000" in caught.value.mend


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = Endpoint(http=f"127.0.0.1:{closed.getsockname()[1]}")
    assert not client.is_ready(endpoint)
    with pytest.raises(ServerTrouble, match=endpoint.http) as caught:
        client.server_metadata(endpoint)
    assert "toolkit serve" in caught.value.mend


def test_a_server_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = Endpoint(http=f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ServerTrouble, match=r"not answered within 0\.05 s"):
            client.infer(endpoint, "m", {"x": np.zeros(1, np.float32)}, timeout_s=0.05)


def test_a_server_that_is_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        endpoint = Endpoint(http=f"127.0.0.1:{other.getsockname()[1]}")
        thread = threading.Thread(target=_answer_once, args=(other,))
        thread.start()
        with pytest.raises(ServerTrouble, match="not JSON"):
            client.server_metadata(endpoint)
        thread.join()


def _answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
