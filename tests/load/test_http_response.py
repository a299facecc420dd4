"""Heads and bodies of HTTP/1.1 responses, as tables."""

from __future__ import annotations

import pytest

from toolkit.load.http_response import body_of, chunks, parse_head
from toolkit.load.outcome import MALFORMED_RESPONSE


@pytest.mark.parametrize(
    ("head", "status", "length", "header_length", "is_chunked", "keeps_alive"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n", 200, 12, None, False, True),
        ("HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 7\r\nContent-Length: 12\r\n", 200, 12, 7, False, True),
        ("HTTP/1.1 200 OK\r\nContent-Length:12\r\nInference-Header-Content-Length: 7\r\n", 200, 12, 7, False, True),
        ("HTTP/1.1 200 OK\r\ninference-header-content-length: 7\r\ncontent-LENGTH: \t5 \r\n", 200, 5, 7, False, True),
        ("HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 7\r\n", 200, None, 7, False, False),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n", 200, None, None, True, True),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", 200, None, None, True, True),
        ("HTTP/1.1 503 \r\nContent-Length: 0\r\nConnection: Close\r\n", 503, 0, None, False, False),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n", 200, 1, None, False, False),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n", 200, 1, None, False, True),
        ("HTTP/1.1 204 No Content\r\n", 204, 0, None, False, True),
        ("SSH-2.0-null\r\n", MALFORMED_RESPONSE, 0, None, False, False),
        ("HTTP/2 200\r\n", MALFORMED_RESPONSE, 0, None, False, False),
    ],
)
def test_heads(
    head: str, status: int, length: int | None, header_length: int | None, is_chunked: bool, keeps_alive: bool
) -> None:
    found = parse_head(head.encode() + b"\r\n")
    assert (found.status, found.length, found.header_length) == (status, length, header_length)
    assert (found.is_chunked, found.keeps_alive) == (is_chunked, keeps_alive)


CHUNKED = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"abc0123456789"),
        (b"4\r\na\r\nb\r\n0\r\n\r\n", b"a\r\nb"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_chunks_put_together_and_every_prefix_is_unfinished(raw: bytes, body: bytes) -> None:
    assert chunks(raw, 0)[1] == len(raw)
    assert body_of(CHUNKED, raw) == body
    assert all(chunks(raw[:length], 0)[1] is None for length in range(len(raw)))


def test_malformed_chunk() -> None:
    assert chunks(b"xyz\r\nabc\r\n", 0)[1] == -1
