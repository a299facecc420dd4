"""HTTP whose answers are streams of server-sent events: the time of every one is kept.

In: whole requests, for `generate_stream` or an OpenAI completion. Out: as of any HTTP connection, and `response_ns`.
An event's time is that of the read that completed it. It does not know what the events say, but for errors.
"""

from __future__ import annotations

from toolkit.load.http import HttpConnection
from toolkit.load.outcome import STREAM_ERROR, is_success
from toolkit.serve.event_stream import DONE, Events, is_error


class SseConnection(HttpConnection):
    """An HTTP connection; a 2xx answer with an event that tells of an error ends as STREAM_ERROR."""

    __slots__ = ("_counted", "_events", "_has_error")

    def begin(self, request: bytes, payload: int, intended_ns: int) -> None:
        """Send a request; the stream of the last one is forgotten."""
        self.response_ns, self._events, self._counted, self._has_error = [], Events(), 0, False
        super().begin(request, payload, intended_ns)

    def advance(self) -> int:
        """As of HTTP; STREAM_ERROR in place of a 2xx when the stream held an error."""
        outcome = super().advance()
        if is_success(outcome):
            self._count(self.body()[self._counted :])  # an answer that came whole
            return STREAM_ERROR if self._has_error else outcome
        return outcome

    def _gained(self, content: bytes) -> None:
        if self._head is not None and is_success(self._head.status):
            self._count(content)

    def _count(self, content: bytes) -> None:
        self._counted += len(content)
        for data in self._events.complete_with(content):
            if data != DONE:
                self.response_ns.append(self.done_ns)
                self._has_error = self._has_error or is_error(data)
