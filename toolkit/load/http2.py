"""HTTP/2 as bytes, as far as a gRPC client needs it (RFC 9113, RFC 7541). Pure; no sockets.

In: what a frame is to hold, or a header block. Out: frames, or what the block says. A block is decoded without a
dynamic table: the peer is told to keep none, so equal bytes mean equal headers, and decoding them can be cached.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
REFUSED_STREAM = 7

#: The three bytes of the length and the type in one number, the flags, the stream.
FRAME_HEAD = struct.Struct(">IBI")
HEAD_BYTES = 9
#: What holds until a peer's SETTINGS say otherwise. Ours leave the size of frames as it is.
DEFAULT_WINDOW, DEFAULT_FRAME_BYTES = (1 << 16) - 1, 1 << 14
MAX_WINDOW = MAX_STREAM = (1 << 31) - 1


def frame(kind: int, flags: int, stream: int, payload: bytes | memoryview = b"") -> bytes:
    """One frame."""
    return b"".join((FRAME_HEAD.pack(len(payload) << 8 | kind, flags, stream), payload))


def window_update(stream: int, size: int) -> bytes:
    """Leave the peer to send `size` bytes more; on all streams together where `stream` is 0."""
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


#: What a connection begins with: windows so large that they are hardly ever replenished, and no state for headers.
PREFACE = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(
        SETTINGS, 0, 0, struct.pack(">HIHIHI", HEADER_TABLE_SIZE, 0, ENABLE_PUSH, 0, INITIAL_WINDOW_SIZE, MAX_WINDOW)
    )
    + window_update(0, MAX_WINDOW - DEFAULT_WINDOW)
)


def settings_of(payload: bytes) -> dict[int, int]:
    """The settings of a frame by their number."""
    return dict(struct.iter_unpack(">HI", payload[: len(payload) // 6 * 6]))


def content_of(kind: int, flags: int, payload: bytes) -> bytes:
    """What a DATA or HEADERS frame carries, without padding and priority. Raises ValueError for padding too long."""
    if flags & PADDED:
        payload, padding = payload[1:], payload[0] if payload else 1
        if padding > len(payload):
            raise ValueError("more padding than frame")
        payload = payload[: len(payload) - padding]
    return payload[5:] if kind == HEADERS and flags & PRIORITY else payload


def header_block(headers: tuple[tuple[str, str], ...]) -> bytes:
    """A block that says the same on any connection at any time, since it enters nothing into the peer's table."""
    return bytes(Encoder().encode([NeverIndexedHeaderTuple(*header) for header in headers], huffman=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What matters in a response's headers or trailers: HTTP's status, gRPC's code and message where they stand."""

    status: int | None
    code: int | None
    message: str


@lru_cache(maxsize=512)
def fields_of(block: bytes) -> Fields:
    """Decode a header block. Raises HPACKError, ValueError."""
    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    found = {bytes(name): bytes(value).decode("latin-1") for name, value in decoder.decode(block, raw=True)}
    status, code = found.get(b":status"), found.get(b"grpc-status")
    return Fields(
        status=None if status is None else int(status),
        code=None if code is None else int(code),
        message=unquote(found.get(b"grpc-message", "")),
    )
