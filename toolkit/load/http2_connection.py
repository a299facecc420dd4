"""HTTP/2 on a non-blocking socket, for a client with one call in flight: frames, windows, what keeps a peer content.

In: the header block and the message of a call. Out: what comes back on its stream, given to a subclass piece by piece,
which says when the call is over. It does not know what the message means.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from hpack import HPACKError

from toolkit.load import http2
from toolkit.load.http2 import FRAME_HEAD, HEAD_BYTES, frame, window_update
from toolkit.load.outcome import CONNECTION_CLOSED, MALFORMED_RESPONSE, OK, PENDING
from toolkit.load.socket_connection import Address, SocketConnection

#: A window of ours is opened again when so much of it is used up.
REPLENISH_BYTES = 1 << 30
MAX_BLOCK_BYTES = 1 << 16
#: Type and flags of a DATA frame that ends a message.
_LAST_DATA = bytes((http2.DATA, http2.END_STREAM))
_WRAPPED = http2.PADDED | http2.PRIORITY
_TOO_LARGE = http2.DEFAULT_FRAME_BYTES + 1 << 8


class Malformed(Exception):
    """The peer does not keep to the protocol."""


class Http2Connection(SocketConnection):
    """A connection for calls with one constant header block. A subclass has the `_on` methods of its stream.

    `_outcome` is PENDING while a call is in flight, then its end, and None when that has been told.
    """

    __slots__ = (
        "_block", "_block_head", "_call_consumed", "_call_window", "_connection_window", "_consumed", "_fragment",
        "_held", "_initial_window", "_is_leaving", "_largest", "_max_frame", "_outcome", "_rest", "_stream",
    )  # fmt: skip

    def __init__(self, address: Address, poller: Any, by_fd: dict[int, Any], block: bytes) -> None:
        super().__init__(address, poller, by_fd)
        self._block, self._block_head = block, frame(http2.HEADERS, http2.END_HEADERS, 0, block)[:5]
        self._outcome: int | None = None
        self._held: memoryview | None = None  # of the message, what no window lets through yet
        self._stream = self._connection_window = self._initial_window = self._max_frame = self._largest = 0
        self._forget()

    def begin(self, request: bytes, payload: int, intended_ns: int) -> None:
        """Call with a message, as far as windows and socket allow; trouble of any kind shows in `advance`."""
        self.payload, self.intended_ns, self.first_ns = payload, intended_ns, 0
        self.sent_ns = perf_counter_ns()
        if self._stream >= http2.MAX_STREAM:
            self.close()
        self._stream = stream = self._stream + 2
        self._outcome = PENDING
        size, number = len(request), stream.to_bytes(4, "big")
        if size <= self._largest and size <= self._connection_window:
            self._connection_window -= size
            head, length = self._block_head, size.to_bytes(3, "big")
            data = b"".join((head, number, self._block, length, _LAST_DATA, number, request))
        else:
            self._held, self._call_window = memoryview(request), self._initial_window
            data = b"".join((self._block_head, number, self._block, self._released()))
        if self._socket is None:
            self._open(http2.PREFACE + data)
        else:
            self._send(data)

    def close(self) -> None:
        """Close the socket and forget what was half received; the next `begin` opens a new one."""
        super().close()
        self._forget()

    def _forget(self) -> None:
        self._stream = -1
        self._connection_window = self._initial_window = http2.DEFAULT_WINDOW
        self._max_frame = self._largest = http2.DEFAULT_FRAME_BYTES
        self._call_window = self._consumed = self._call_consumed = 0
        self._rest, self._fragment = b"", b""
        self._is_leaving = False
        self._held = None

    def _is_usual(self, data: bytes) -> bool:
        """Whether this is a whole answer of a known form; if so, takes it."""
        raise NotImplementedError

    def _on_first(self) -> None:
        """Forget the last answer: the next one has begun to come."""
        raise NotImplementedError

    def _on_content(self, content: bytes, *, is_last: bool) -> None:
        """Take a piece of the answer's content."""
        raise NotImplementedError

    def _on_fields(self, fields: http2.Fields, *, is_last: bool) -> None:
        """Take the answer's headers or trailers."""
        raise NotImplementedError

    def _on_reset(self, reason: int) -> None:
        """Set what comes of a call whose stream the peer has reset."""
        raise NotImplementedError

    def _take(self, data: bytes) -> int:
        """PENDING, else the end of the call. CONNECTION_CLOSED also where there is none."""
        return OK if self._is_usual(data) else self._take_frames(data)

    def _take_frames(self, data: bytes) -> int:
        """Answer every whole frame that has come; the outcome when the call has ended with one of them."""
        if not data:
            return self._end(CONNECTION_CLOSED)
        try:
            self._answer_frames(self._rest + data if self._rest else data)
        except (Malformed, ValueError, HPACKError, struct.error):
            return self._end(MALFORMED_RESPONSE)
        if self._held is not None and (released := self._released()):
            self._send(released)
        if self._outcome is None:
            return self._end(CONNECTION_CLOSED) if self._is_leaving else PENDING
        if self._outcome == PENDING:
            return PENDING
        outcome, self._outcome = self._outcome, None
        # What has not been sent of a call that is over cannot be taken back.
        return self._end(outcome) if self._is_leaving or self._held or self._unsent else outcome

    def _answer_frames(self, received: bytes) -> None:
        position, end = 0, len(received)
        while (start := position + HEAD_BYTES) <= end:
            kind, flags, stream = FRAME_HEAD.unpack_from(received, position)
            if kind >= _TOO_LARGE:
                raise Malformed
            stop, kind = start + (kind >> 8), kind & 0xFF
            if stop > end:
                break
            if self._fragment and kind != http2.CONTINUATION:
                raise Malformed
            if handle := _HANDLERS.get(kind):
                handle(self, flags, stream & http2.MAX_STREAM, received[start:stop])
            position = stop
        self._rest = received[position:]

    def _data(self, flags: int, stream: int, payload: bytes) -> None:
        self._consumed += len(payload)
        if self._consumed > REPLENISH_BYTES:
            self._send(window_update(0, self._consumed))
            self._consumed = 0
        if stream != self._stream or self._outcome != PENDING:
            return
        is_last = bool(flags & http2.END_STREAM)
        self._mark_first()
        self._call_consumed += len(payload)
        if self._call_consumed > REPLENISH_BYTES and not is_last:
            self._send(window_update(stream, self._call_consumed))
            self._call_consumed = 0
        content = http2.content_of(http2.DATA, flags, payload) if flags & http2.PADDED else payload
        self._on_content(content, is_last=is_last)

    def _mark_first(self) -> None:
        """Note when an answer begins."""
        if not self.first_ns:
            self.first_ns, self._call_consumed = self.done_ns, 0
            self._on_first()

    def _headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = http2.content_of(http2.HEADERS, flags, payload) if flags & _WRAPPED else payload
        if flags & http2.END_HEADERS:
            self._on_block(flags, stream, block)
        else:
            self._fragment = bytes((flags,)) + block

    def _continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if not self._fragment or len(self._fragment) > MAX_BLOCK_BYTES:
            raise Malformed
        self._fragment += payload
        if flags & http2.END_HEADERS:
            whole, self._fragment = self._fragment, b""
            self._on_block(whole[0], stream, whole[1:])

    def _on_block(self, flags: int, stream: int, block: bytes) -> None:
        if stream == self._stream and self._outcome == PENDING:
            self._mark_first()
            self._on_fields(http2.fields_of(block), is_last=bool(flags & http2.END_STREAM))

    def _reset(self, flags: int, stream: int, payload: bytes) -> None:
        if stream == self._stream and self._outcome == PENDING:
            self._mark_first()
            self._on_reset(*struct.unpack(">I", payload))

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & http2.ACK:
            return
        settings = http2.settings_of(payload)
        self._max_frame = settings.get(http2.MAX_FRAME_SIZE, self._max_frame)
        window = settings.get(http2.INITIAL_WINDOW_SIZE, self._initial_window)
        self._call_window += window - self._initial_window
        self._initial_window, self._largest = window, min(window, self._max_frame)
        self._send(frame(http2.SETTINGS, http2.ACK, 0))

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        if not flags & http2.ACK:
            self._send(frame(http2.PING, http2.ACK, 0, payload))

    def _goaway(self, flags: int, stream: int, payload: bytes) -> None:
        last, _ = struct.unpack_from(">II", payload)
        self._is_leaving = True
        if self._outcome == PENDING and self._stream > last & http2.MAX_STREAM:
            self._outcome = CONNECTION_CLOSED

    def _window_update(self, flags: int, stream: int, payload: bytes) -> None:
        size = struct.unpack(">I", payload)[0] & http2.MAX_WINDOW
        if stream == 0:
            self._connection_window += size
        elif stream == self._stream:
            self._call_window += size

    def _push(self, flags: int, stream: int, payload: bytes) -> None:
        raise Malformed  # the peer was told not to

    def _released(self) -> bytes:
        """The next frames of the message that the windows let through."""
        held, frames = self._held or memoryview(b""), []
        while held and (size := min(len(held), self._max_frame, self._connection_window, self._call_window)) > 0:
            flags = http2.END_STREAM if size == len(held) else 0
            frames.append(frame(http2.DATA, flags, self._stream, held[:size]))
            held = held[size:]
            self._connection_window -= size
            self._call_window -= size
        self._held = held if held else None
        return b"".join(frames)


_HANDLERS: dict[int, Callable[[Http2Connection, int, int, bytes], None]] = {
    http2.DATA: Http2Connection._data,
    http2.HEADERS: Http2Connection._headers,
    http2.RST_STREAM: Http2Connection._reset,
    http2.SETTINGS: Http2Connection._settings,
    http2.PUSH_PROMISE: Http2Connection._push,
    http2.PING: Http2Connection._ping,
    http2.GOAWAY: Http2Connection._goaway,
    http2.WINDOW_UPDATE: Http2Connection._window_update,
    http2.CONTINUATION: Http2Connection._continuation,
}
