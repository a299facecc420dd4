"""Heads and bodies of HTTP/1.1 responses, as tables."""

from __future__ import annotations

import pytest

from toolkit.load.http_response import ChunkedBody, parse_head
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


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"3\r\nabc\r\nA;name=value\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", b"abc0123456789"),
        (b"4\r\na\r\nb\r\n0\r\n\r\n", b"a\r\nb"),
        (b"03 \r\nabc\r\n000\r\n\r\n", b"abc"),
        (b"0\r\n\r\n", b""),
    ],
)
def test_chunks_in_pieces_of_every_size(raw: bytes, content: bytes) -> None:
    for size in range(1, len(raw) + 1):
        body, found = ChunkedBody(), b""
        for start in range(0, len(raw), size):
            assert body.length is None
            found += body.take(raw[start : start + size])
        assert (found, body.length) == (content, len(content))


def test_content_is_given_before_its_chunk_is_whole() -> None:
    body = ChunkedBody()
    assert [body.take(piece) for piece in (b"6", b"\r", b"\nab", b"cd", b"ef\r", b"\n2\r\ngh")] == [
        b"", b"", b"ab", b"cd", b"ef", b"gh"
    ]  # fmt: skip
    assert body.length is None


@pytest.mark.parametrize("raw", [b"xyz\r\nabc\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"\r\n", b"0\r\n\r\nmore"])
def test_malformed_chunks(raw: bytes) -> None:
    body = ChunkedBody()
    body.take(raw)
    assert body.length == -1
