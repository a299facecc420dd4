"""Server-sent events as they come (WHATWG HTML, "Server-sent events"). Pure; no sockets.

In: pieces of a body, cut anywhere. Out: the data of the events that are complete by now.
"""

from __future__ import annotations

import json
import re

#: OpenAI's servers end a stream with it; it is no response.
DONE = b"[DONE]"

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


class Events:
    """Gathers the data of events; what is left of an unfinished one is kept for later."""

    def __init__(self) -> None:
        self._rest = b""

    def complete_with(self, data: bytes) -> list[bytes]:
        """The data of each event that ends within `data`; comments and events without data are none."""
        text = self._rest + data
        start, found = 0, []
        for end in _END.finditer(text):
            found.append(data_of(text[start : end.start()]))
            start = end.end()
        self._rest = text[start:]
        return [event for event in found if event]


def data_of(event: bytes) -> bytes:
    """The lines of an event's data, without the field's name and one space."""
    lines = [line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:")]
    return b"\n".join(lines)


def is_error(data: bytes) -> bool:
    """Whether the data of an event is a JSON object that tells of an error, as Triton's and OpenAI's do."""
    if b'"error"' not in data:
        return False
    try:
        value = json.loads(data)
    except ValueError:
        return False
    return bool(isinstance(value, dict) and value.get("error"))
