"""Server-sent events, cut anywhere."""

from __future__ import annotations

import pytest

from toolkit.serve.event_stream import Events, is_error


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\r\n\r\ndata:  two\r\n\r\n", [b"one", b" two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b": ping\n\nevent: token\nid: 7\ndata: one\n\nretry: 5\n\n", [b"one"]),
        (b"data: first line\ndata: second\n\n", [b"first line\nsecond"]),
        (b"data: one\n\ndata: unfinished\n", [b"one"]),
        (b"\n\n\n\ndata: one\n\n", [b"one"]),
        (b"", []),
    ],
)
def test_events_in_pieces_of_every_size(stream: bytes, events: list[bytes]) -> None:
    for size in range(1, len(stream) + 1):
        reader, found = Events(), []
        for start in range(0, len(stream), size):
            found += reader.complete_with(stream[start : start + size])
        assert found == events


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"error":"out of memory"}', True),
        (b'{"error":{"message":"too long","code":400}}', True),
        (b'{"text_output":"an \\"error\\""}', False),
        (b'{"choices":[],"error":null}', False),
        (b'["error"]', False),
        (b'the word "error"', False),
    ],
)
def test_an_error_is_an_object_that_says_so(data: bytes, expected: bool) -> None:
    assert is_error(data) is expected
