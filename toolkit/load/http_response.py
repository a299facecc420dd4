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
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{1,15}")
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


class ChunkedBody:
    """A body in chunks that comes in pieces (RFC 9112, section 7.1), cut anywhere.

    `length` is that of the whole content once it has ended; None before, and -1 when it is malformed.
    """

    __slots__ = ("_left", "_rest", "_taken", "length")

    def __init__(self) -> None:
        self._rest = b""  # the beginning of a size line, or of the trailers
        self._left = self._taken = 0  # what is to come of the chunk, its line end too; what has come of the content
        self.length: int | None = None

    def take(self, piece: bytes) -> bytes:
        """The content in the next piece of the message, of an unfinished chunk too."""
        text, position, found = self._rest + piece, 0, []
        while self.length is None:
            content = text[position : position + max(self._left - 2, 0)]
            found.append(content)
            self._taken += len(content)
            step = min(self._left, len(text) - position)
            position, self._left = position + step, self._left - step
            line_end = text.find(b"\r\n", position)
            if self._left or line_end < 0:
                break
            size = _chunk_size(text[position:line_end])
            if size > 0:
                position, self._left = line_end + 2, size + 2
            elif not self._is_over(size, text, line_end):
                break
        self._rest = text[position:]
        return b"".join(found)

    def _is_over(self, size: int, text: bytes, line_end: int) -> bool:
        """Whether the last chunk has come with all its trailers, or there is no sense in what comes."""
        end = text.find(b"\r\n\r\n", line_end) + 4
        if size == 0 and end < 4:
            return False
        self.length = self._taken if size == 0 and end == len(text) else -1
        return True


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    return int(digits, 16) if _HEXADECIMAL.fullmatch(digits) else -1
