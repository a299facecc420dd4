"""gRPC's messages in the bytes of a stream (grpc/doc/PROTOCOL-HTTP2.md). Pure; no sockets, no protobuf classes.

In: pieces of a stream, cut anywhere. Out: the messages that are complete by now.
"""

from __future__ import annotations

PREFIX_BYTES = 5


class Messages:
    """The messages of one stream. `raw` is all of it so far, prefixes too; of `count` messages all has come."""

    __slots__ = ("_begin", "count", "raw")

    def __init__(self) -> None:
        self.raw, self.count, self._begin = bytearray(), 0, 0

    def complete_with(self, piece: bytes) -> list[bytes]:
        """The messages that end within `piece`. Raises ValueError for a compressed one: nobody has asked for that."""
        self.raw += piece
        is_whole = self._begin + len(piece) == len(self.raw) and piece[:1] == b"\0"
        if is_whole and int.from_bytes(piece[1:PREFIX_BYTES], "big") == len(piece) - PREFIX_BYTES:  # the usual case
            self._begin, self.count = len(self.raw), self.count + 1
            return [piece[PREFIX_BYTES:]]
        found = []
        while (start := self._begin + PREFIX_BYTES) <= len(self.raw):
            if self.raw[self._begin]:
                raise ValueError("a compressed message")
            end = start + int.from_bytes(self.raw[start - 4 : start], "big")
            if end > len(self.raw):
                break
            found.append(bytes(self.raw[start:end]))
            self._begin, self.count = end, self.count + 1
        return found

    @property
    def is_whole(self) -> bool:
        """Whether no message is cut short."""
        return self._begin == len(self.raw)


def stream_error(message: bytes) -> str:
    """The `error_message` of a ModelStreamInferResponse, field 1 of two; empty when it has none, or cannot be read."""
    position = 0
    while position < len(message):
        tag = message[position]
        size, start = _varint(message, position + 1)
        if tag == 0x0A and size:
            return message[start : start + size].decode(errors="replace")
        position = start + size
    return ""


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A protobuf number, and the position behind it."""
    value = shift = 0
    while position < len(data):
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if data[position - 1] < 0x80:
            break
    return value, position
