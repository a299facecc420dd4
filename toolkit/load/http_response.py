"""An HTTP/1.1 response as bytes: what its head says, and where its body ends (RFC 9112). Pure; no sockets.

A server answers with the same few heads over and over, so the careful parser is cached: it costs a dictionary look-up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from toolkit.load.outcome import MALFORMED_RESPONSE

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_HEADER_LENGTH = re.compile(rb"^inference-header-content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:.*\bchunked[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CONNECTION = re.compile(rb"^connection:[ \t]*(keep-alive|close)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})[ \r]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What matters in a response's head. `length` None: the body ends where its chunks, or the connection, end."""

    status: int
    length: int | None
    header_length: int | None
    is_chunked: bool
    keeps_alive: bool


@lru_cache(maxsize=512)
def parse_head(head: bytes) -> Head:
    """Read a response's head, final empty line included (RFC 9112); one that is no HTTP/1.x is MALFORMED_RESPONSE."""
    start = _STATUS.match(head)
    if start is None:
        return Head(status=MALFORMED_RESPONSE, length=0, header_length=None, is_chunked=False, keeps_alive=False)
    status, length, connection = int(start[2]), _number(_LENGTH, head), _CONNECTION.search(head)
    is_chunked = _CHUNKED.search(head) is not None
    if status in (204, 304):
        length, is_chunked = 0, False
    wish = connection[1].lower() if connection else b"close" if start[1] == b"0" else b"keep-alive"
    return Head(
        status=status,
        length=None if is_chunked else length,
        header_length=_number(_HEADER_LENGTH, head),
        is_chunked=is_chunked,
        keeps_alive=wish == b"keep-alive" and (is_chunked or length is not None),
    )


def _number(pattern: re.Pattern[bytes], head: bytes) -> int | None:
    match = pattern.search(head)
    return int(match[1]) if match else None


def chunks(data: bytes | bytearray, position: int) -> tuple[list[tuple[int, int]], int | None]:
    """Where the chunks at `position` lie, and where the body ends: None when it has not, -1 when it is malformed."""
    spans: list[tuple[int, int]] = []
    while (line_end := data.find(b"\r\n", position)) >= 0:
        try:
            size = int(data[position:line_end].partition(b";")[0], 16)
        except ValueError:
            return spans, -1
        if size == 0:
            trailers_end = data.find(b"\r\n\r\n", line_end)
            return spans, trailers_end + 4 if trailers_end >= 0 else None
        spans.append((line_end + 2, line_end + 2 + size))
        position = line_end + 4 + size
    return spans, None


def body_of(head: Head, raw: bytes) -> bytes:
    """The body in the bytes that followed a head: chunks put together, anything else as it is."""
    return b"".join(raw[start:end] for start, end in chunks(raw, 0)[0]) if head.is_chunked else raw
