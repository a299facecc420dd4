"""Frames, header blocks and messages as bytes."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError

from toolkit.load import http2
from toolkit.load.grpc import call_block
from toolkit.load.grpc_message import Messages, stream_error


def test_a_frame_is_its_length_type_flags_stream_and_payload() -> None:
    assert http2.frame(http2.DATA, http2.END_STREAM, 7, b"abc") == bytes.fromhex("000003 00 01 00000007") + b"abc"
    assert http2.window_update(0, 9) == bytes.fromhex("000004 08 00 00000000 00000009")


def test_the_preface_lets_the_peer_keep_no_state_and_send_freely() -> None:
    magic, settings = http2.PREFACE[:24], http2.PREFACE[24:]
    assert magic == b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    size = int.from_bytes(settings[:3], "big")
    assert http2.settings_of(settings[9 : 9 + size]) == {1: 0, 2: 0, 4: (1 << 31) - 1}
    assert settings[9 + size :] == http2.window_update(0, (1 << 31) - 1 - 65535)


@pytest.mark.parametrize(
    ("kind", "flags", "payload", "content"),
    [
        (http2.DATA, 0, b"abc", b"abc"),
        (http2.DATA, http2.PADDED, b"\x02abc\0\0", b"abc"),
        (http2.DATA, http2.PADDED, b"\x00abc", b"abc"),
        (http2.HEADERS, http2.PRIORITY, b"\0\0\0\0\x10abc", b"abc"),
        (http2.HEADERS, http2.PRIORITY | http2.PADDED, b"\x01\0\0\0\0\x10abc\0", b"abc"),
    ],
)
def test_padding_and_priority_are_no_content(kind: int, flags: int, payload: bytes, content: bytes) -> None:
    assert http2.content_of(kind, flags, payload) == content


@pytest.mark.parametrize("payload", [b"", b"\x04abc"])
def test_more_padding_than_frame(payload: bytes) -> None:
    with pytest.raises(ValueError, match="padding"):
        http2.content_of(http2.DATA, http2.PADDED, payload)


def test_the_block_of_a_call_says_the_same_to_every_peer() -> None:
    block = call_block("ModelInfer", "box:8001", scheme="https", authorization="Bearer abc")
    decoder = Decoder()
    first, second = decoder.decode(block), decoder.decode(block)
    assert first == second
    assert dict(first) == {
        ":method": "POST",
        ":scheme": "https",
        ":path": "/inference.GRPCInferenceService/ModelInfer",
        ":authority": "box:8001",
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "poc-toolkit",
        "authorization": "Bearer abc",
    }
    assert b"authorization" not in call_block("ModelInfer", "box:8001", scheme="http", authorization="")


def peer_block(**headers: str) -> bytes:
    """A block from a peer that was told to keep no table, and says so first."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode([(name.replace("_", "-").replace("pseudo-", ":"), value) for name, value in headers.items()])


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({"pseudo_status": "200", "content_type": "application/grpc"}, (200, None, "")),
        ({"grpc_status": "0"}, (None, 0, "")),
        (
            {"pseudo_status": "200", "grpc_status": "5", "grpc_message": "no%20model%3A%20%C3%A9"},
            (200, 5, "no model: é"),
        ),
    ],
)
def test_what_a_block_says(headers: dict[str, str], fields: tuple[int | None, int | None, str]) -> None:
    found = http2.fields_of(peer_block(**headers))
    assert (found.status, found.code, found.message) == fields


@pytest.mark.parametrize("block", [b"\xff\xff", b"\xbe", b"\x3f\xe1\x1f"])
def test_a_block_that_needs_a_table_is_refused(block: bytes) -> None:
    with pytest.raises(HPACKError):
        http2.fields_of(block)


def message(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4, "big") + content


def test_messages_in_pieces_of_every_size() -> None:
    contents = [b"one", b"", b"x" * 300]
    raw = b"".join(map(message, contents))
    for size in range(1, len(raw) + 1):
        messages, found = Messages(), []
        for start in range(0, len(raw), size):
            found += messages.complete_with(raw[start : start + size])
        assert (found, messages.count, messages.is_whole, bytes(messages.raw)) == (contents, 3, True, raw)
    assert not messages.complete_with(b"\0\0\0")
    assert not messages.is_whole


def test_a_compressed_message_is_refused() -> None:
    with pytest.raises(ValueError, match="compressed"):
        Messages().complete_with(b"\x01\0\0\0\x01x")


def test_the_error_of_a_streamed_response() -> None:
    from tritonclient.grpc import service_pb2 as pb

    answer = pb.ModelInferResponse(model_name="m" * 300)
    for words in ("", "bad", "x" * 1000):
        response = pb.ModelStreamInferResponse(error_message=words, infer_response=answer)
        assert stream_error(response.SerializeToString()) == words
    swapped = pb.ModelStreamInferResponse(infer_response=answer).SerializeToString() + b"\x0a\x03bad"
    assert stream_error(swapped) == "bad"
    assert stream_error(b"\x0a") == stream_error(b"\x12\xff") == ""
