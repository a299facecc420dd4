"""One gRPC connection as hand-written HTTP/2 frames on a non-blocking socket: one call in flight, every time kept.

In: length-prefixed messages as bytes. Out: an outcome, the times of the exchange and the answer's bytes. It does not
know protobuf, but for the place of the error in a response of ModelStreamInfer.

Why frames by hand: a call whose message is built once costs 51 us of CPU over grpc.aio with identity serializers, and
7 us as frames on the loop that drives HTTP too; the difference is objects made for each call. Nothing of a call is new
but the number of its stream: the header block is constant, and so, byte for byte, are the frames of a usual answer
around its message, which are compared rather than parsed.
"""

from __future__ import annotations

import struct
from typing import Any

from toolkit.load import http2
from toolkit.load.grpc_message import PREFIX_BYTES, Messages, stream_error
from toolkit.load.http2 import FRAME_HEAD, HEAD_BYTES, window_update
from toolkit.load.http2_connection import REPLENISH_BYTES, Http2Connection, Malformed
from toolkit.load.outcome import OK, PENDING, STREAM_ERROR, outcome_of_grpc
from toolkit.load.socket_connection import Address

SERVICE = "/inference.GRPCInferenceService"
#: gRPC's codes for HTTP/2's reasons to reset a stream: REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY.
CODE_OF_RESET = {7: 14, 8: 1, 11: 8, 12: 7}
INTERNAL = 13
#: The frame head and the prefix of a message that comes in one frame.
_MESSAGE_HEAD = struct.Struct(">IBIBI")
#: gRPC's own servers open the connection's window again at the end of every answer.
_UPDATE_HEAD, _UPDATE_BYTES = window_update(0, 0)[:HEAD_BYTES], len(window_update(0, 0))
#: A message that one frame can hold; and what is longer than any answer, so that none is taken for a known one.
_MAX_WHOLE, _UNKNOWN = http2.DEFAULT_FRAME_BYTES - PREFIX_BYTES, 1 << 31
_USUAL = [(http2.HEADERS, http2.END_HEADERS), (http2.DATA, 0), (http2.HEADERS, http2.END_HEADERS | http2.END_STREAM)]


def call_block(method: str, authority: str, *, scheme: str, authorization: str) -> bytes:
    """The header block of every call of a method of Triton's service."""
    known = ((":method", "POST"), (":scheme", scheme), (":path", f"{SERVICE}/{method}"), (":authority", authority))
    asked = (("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "poc-toolkit"))
    return http2.header_block((*known, *asked, *((("authorization", authorization),) if authorization else ())))


class GrpcConnection(Http2Connection):
    """A connection for unary calls of one method, whose header block is given; as of any, `begin` and then `advance`.

    A call ends as OK, as a class of error, or with HTTP's status where that is not 200. `body()` is the message of the
    answer, without its prefix, or the server's words for a refusal.
    """

    __slots__ = ("_known", "_messages", "_status", "_whole", "_words")

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Any], *, block: bytes) -> None:
        super().__init__(address, poller, by_fd, block)
        # The frames around a usual answer's message, without their stream, and how long they are together.
        self._known = (b"", b"", b"", b"", _UNKNOWN)
        self._whole: tuple[bytes, int, int] | None = None  # such an answer, and where its message lies
        self._on_first()

    @property
    def header_length(self) -> int | None:
        """None: gRPC has no such thing."""
        return None

    def body(self) -> bytes:
        """The answer, or the server's words for its refusal."""
        if self._whole is not None:
            data, start, end = self._whole
            return data[start:end]
        return self._words.encode() or bytes(self._messages.raw[PREFIX_BYTES:])

    def _on_first(self) -> None:
        self._messages, self._whole, self._words = Messages(), None, ""
        self._status: int | None = None

    def _is_usual(self, data: bytes) -> bool:
        """Whether this is a whole answer of the form that the last one had; if so, takes it."""
        if (
            self._outcome != PENDING or self.first_ns
            or self._rest or self._held or self._unsent or self._is_leaving or self._consumed > REPLENISH_BYTES
        ):  # fmt: skip
            return False
        head, block, tail, trailers, around = self._known
        stream, end = self._stream, len(data)
        if data[-_UPDATE_BYTES:-4] == _UPDATE_HEAD:
            end -= _UPDATE_BYTES
        size, number = end - around, stream.to_bytes(4, "big")
        if not 0 <= size <= _MAX_WHOLE:
            return False
        # Slices and sums, since methods of bytes and joins take twice as long.
        front = head + number + block + _MESSAGE_HEAD.pack(size + PREFIX_BYTES << 8, 0, stream, 0, size)
        start = len(front)
        if data[:start] != front or data[start + size : end] != tail + number + trailers:
            return False
        if end < len(data):
            self._connection_window += int.from_bytes(data[-4:], "big")
        self.first_ns, self._whole, self._outcome = self.done_ns, (data, start, start + size), None
        self._consumed += size + PREFIX_BYTES
        return True

    def _take_frames(self, data: bytes) -> int:
        is_first = not self._rest and not self.first_ns
        outcome = super()._take_frames(data)
        if is_first and outcome == OK and not self._rest:
            self._learn(data)
        return outcome

    def _learn(self, data: bytes) -> None:
        """Remember the frames around the message of an answer that is HEADERS, DATA, HEADERS, perhaps a window."""
        frames, position = [], 0
        while position < len(data):
            kind, flags, _ = FRAME_HEAD.unpack_from(data, position)
            end = position + HEAD_BYTES + (kind >> 8)
            frames.append((kind & 0xFF, flags, data[position : position + 5], data[position + HEAD_BYTES : end]))
            position = end
        if [item[:2] for item in frames[:3]] == _USUAL:
            parts = (*frames[0][2:], *frames[2][2:])
            self._known = (*parts, sum(map(len, parts)) + 2 * 4 + _MESSAGE_HEAD.size)

    def _on_content(self, content: bytes, *, is_last: bool) -> None:
        if self._status != OK:  # a proxy's words, perhaps
            self._words += content.decode(errors="replace")
        else:
            self._on_messages(self._messages.complete_with(content))
        if is_last:
            self._conclude(None, "")

    def _on_messages(self, messages: list[bytes]) -> None:
        """Called with the messages that are complete by now."""

    def _on_fields(self, fields: http2.Fields, *, is_last: bool) -> None:
        self._status = self._status or fields.status
        if is_last:
            self._conclude(fields.code, fields.message)

    def _on_reset(self, reason: int) -> None:
        self._words = f"the server has reset the stream (HTTP/2 error {reason})"
        self._outcome = outcome_of_grpc(CODE_OF_RESET.get(reason, INTERNAL))

    def _conclude(self, code: int | None, message: str) -> None:
        """Set how the call has ended, from its trailers. Raises Malformed."""
        if code:
            self._outcome, self._words = outcome_of_grpc(code), message
        elif self._status and self._status != OK:
            self._outcome = self._status
        elif code is None or not self._messages.is_whole:
            raise Malformed
        else:
            self._outcome = self._judged()

    def _judged(self) -> int:
        """What comes of a call that the server calls a success. Raises Malformed."""
        if self._messages.count != 1:
            raise Malformed
        return OK


class GrpcStreamConnection(GrpcConnection):
    """A connection for calls whose answers are streams of messages: the time of every one is kept in `response_ns`.

    A stream with an `error_message` ends as STREAM_ERROR. `body()` is all messages with their prefixes, or its words.
    """

    __slots__ = ()

    def begin(self, request: bytes, payload: int, intended_ns: int) -> None:
        """Call with the only message that we send; the times of the last call are forgotten."""
        self.response_ns = []
        super().begin(request, payload, intended_ns)

    def body(self) -> bytes:
        """The answer, or the server's words for its refusal."""
        return self._words.encode() or bytes(self._messages.raw)

    def _is_usual(self, data: bytes) -> bool:
        return False  # each stream is another

    def _on_messages(self, messages: list[bytes]) -> None:
        self.response_ns.extend(self.done_ns for _ in messages)
        self._words = self._words or "".join(map(stream_error, messages))

    def _judged(self) -> int:
        return STREAM_ERROR if self._words else OK
