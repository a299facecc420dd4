from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from certificates import certificate, server_context

from toolkit.errors import ConfigurationError, ServerTrouble, UsageError
from toolkit.serve import client
from toolkit.serve.server import Endpoint
from toolkit.serve.tls import Tls


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
    "url", ["ftp://host:21", "host", "grpc://host", "http://host:port", "http://h:1/v2", "https://me:secret@h", ""]
)
def test_another_url_is_refused_with_the_form_that_is_right(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        client.endpoint_from_url(url)
    assert "http://127.0.0.1:8000" in caught.value.mend


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://gpu-box", Endpoint(http="gpu-box:443", tls=Tls())),
        ("https://gpu-box:8443/", Endpoint(http="gpu-box:8443", tls=Tls())),
        ("grpc://gpu-box:8001", Endpoint(http="", grpc="gpu-box:8001")),
        ("grpcs://[::1]:8001", Endpoint(http="", grpc="[::1]:8001", tls=Tls())),
        ("http://gpu-box:8000,grpc://gpu-box:8001", Endpoint(http="gpu-box:8000", grpc="gpu-box:8001")),
        ("grpcs://gpu-box, https://gpu-box", Endpoint(http="gpu-box:443", grpc="gpu-box:443", tls=Tls())),
    ],
)
def test_a_scheme_says_protocol_and_tls(url: str, endpoint: Endpoint) -> None:
    assert client.endpoint_from_url(url) == endpoint


@pytest.mark.parametrize("url", ["http://a:1,http://a:2", "https://a:1,grpc://a:2", "a:1,a:2", "http://a:1,"])
def test_two_urls_are_of_one_server(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        client.endpoint_from_url(url)
    assert "http://" in caught.value.mend


def test_the_authorization_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLKIT_AUTHORIZATION", " Bearer abc\n")
    endpoint = client.endpoint_from_url("http://gpu-box:8000")
    assert endpoint.authorization == "Bearer abc"
    assert "abc" not in repr(endpoint)
    monkeypatch.setenv("TOOLKIT_AUTHORIZATION", "Bearer abc\r\nX-Other: 1")
    with pytest.raises(UsageError, match="not the value of a header") as caught:
        client.endpoint_from_url("http://gpu-box:8000")
    assert "abc" not in str(caught.value)


def test_calls_go_over_tls_with_the_authorization(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with answering(server_context(pem)) as (address, requests):
        endpoint = Endpoint(http=address, tls=Tls(ca=pem), authorization="Bearer abc")
        assert client.server_metadata(endpoint) == {"name": "test"}
    assert b"\r\nAuthorization: Bearer abc\r\n" in requests[0]
    assert f"\r\nHost: {address}\r\n".encode() in requests[0]


def test_without_trust_there_is_trouble_that_says_why(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    with answering(server_context(pem)) as (address, _):
        with pytest.raises(ServerTrouble, match=r"TLS failed: self.signed certificate") as caught:
            client.server_metadata(Endpoint(http=address, tls=Tls()))
        assert "SSL_CERT_FILE" in caught.value.mend
    elsewhere = certificate(tmp_path, "elsewhere", host="elsewhere.example")
    with answering(server_context(elsewhere)) as (address, _):
        with pytest.raises(ServerTrouble, match=r"TLS failed: .*not valid for '127\.0\.0\.1'"):
            client.server_metadata(Endpoint(http=address, tls=Tls(ca=elsewhere)))
        assert not client.is_ready(Endpoint(http=address, tls=Tls(ca=elsewhere)))


def test_an_authority_that_is_no_file_and_a_name_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.pem") as caught:
        client.server_metadata(Endpoint(http="127.0.0.1:1", tls=Tls(ca=tmp_path / "absent.pem")))
    assert "PEM" in caught.value.mend
    with pytest.raises(ServerTrouble, match="not known") as trouble:
        client.server_metadata(Endpoint(http="name.invalid:8000"))
    assert "host and port" in trouble.value.mend


def test_a_server_of_which_only_the_grpc_address_is_known() -> None:
    with pytest.raises(ServerTrouble, match="over HTTP") as caught:
        client.statistics(client.endpoint_from_url("grpc://127.0.0.1:8001"), "m")
    assert "http://" in caught.value.mend


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


@contextmanager
def answering(context: ssl.SSLContext) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server for some calls: its address, and what it was sent."""
    requests: list[bytes] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as agreed:
                    requests.append(agreed.recv(4096))
                    agreed.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"name":"test"}')

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", requests
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
