"""The HTTP/2 connection against a peer written by hand, that sends any frame at any place."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from toolkit.load import http2
from toolkit.load.connection import Connection, connector
from toolkit.load.http2 import frame
from toolkit.load.http2_connection import REPLENISH_BYTES
from toolkit.load.outcome import (
    CONNECTION_CLOSED,
    CONNECTION_REFUSED,
    GRPC_ERROR,
    MALFORMED_RESPONSE,
    PENDING,
    TIMED_OUT,
)
from toolkit.load.socket_connection import Poller
from toolkit.serve.server import Endpoint

from .peer import exchange, outcome_of, saying, talking
from .test_http2 import message, peer_block

QUESTION, ANSWER = message(b"question"), message(b"answer")
SETTINGS = frame(http2.SETTINGS, 0, 0)
START = peer_block(pseudo_status="200", content_type="application/grpc")
OK = peer_block(grpc_status="0")
DATA, HEADERS, LAST, WHOLE = http2.DATA, http2.HEADERS, http2.END_STREAM, http2.END_HEADERS


def answer(stream: int = 1, content: bytes = ANSWER) -> bytes:
    """A usual answer."""
    return (
        frame(HEADERS, WHOLE, stream, START)
        + frame(DATA, 0, stream, content)
        + frame(HEADERS, WHOLE | LAST, stream, OK)
    )


def grpc(address: str, *, is_streaming: bool = False) -> Any:
    kind = connector(Endpoint(http="", grpc=address), "grpc-stream" if is_streaming else "grpc")
    return kind(Poller(), {})


class Peer:
    """What a peer reads, frame by frame."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.received = connection, b""
        assert self.read(24).startswith(b"PRI *")

    def read(self, size: int) -> bytes:
        while len(self.received) < size:
            data = self.connection.recv(1 << 16)
            if not data:
                raise ConnectionError
            self.received += data
        found, self.received = self.received[:size], self.received[size:]
        return found

    def frame(self) -> tuple[int, int, int, bytes]:
        kind, flags, stream = http2.FRAME_HEAD.unpack(self.read(9))
        return kind & 0xFF, flags, stream, self.read(kind >> 8)

    def until(self, wanted: int, flag: int = 0) -> tuple[int, bytes]:
        """Stream and payload of the next frame of a kind."""
        while True:
            kind, flags, stream, payload = self.frame()
            if kind == wanted and flags & flag == flag:
                return stream, payload

    def calls(self, count: int, reply: Callable[[int], bytes]) -> None:
        """Answers each of so many whole calls."""
        for _ in range(count):
            stream, _ = self.until(DATA, LAST)
            self.connection.sendall(reply(stream))


def test_an_answer_in_pieces_of_every_size() -> None:
    stream = SETTINGS + answer()
    for size in (1, 5, 9, 13, 1000):
        with talking(
            saying(*(stream[at : at + size] for at in range(0, len(stream), size)), pause_s=0.0005, linger_s=10)
        ) as address:
            connection = grpc(address)
            assert exchange(connection, QUESTION) == 200
            assert connection.body() == b"answer"
            assert connection.intended_ns <= connection.sent_ns < connection.first_ns <= connection.done_ns
            assert (connection.response_ns, connection.header_length) == ([], None)
            connection.close()


def test_one_connection_serves_call_after_call_and_each_gets_its_own_answer() -> None:
    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        peer.sendall(SETTINGS)
        frames.calls(50, lambda stream: answer(stream, message(b"%d" % stream * (stream % 9))) + OPENED)

    with talking(talk) as address:
        connection = grpc(address)
        for number in range(50):
            assert exchange(connection, QUESTION) == 200
            stream = 2 * number + 1
            assert connection.body() == b"%d" % stream * (stream % 9)
            assert connection.first_ns == connection.done_ns or number == 0
        connection.close()


OPENED = http2.window_update(0, 8)
ODD = {
    "padded data": frame(HEADERS, WHOLE, 1, START)
    + frame(DATA, http2.PADDED, 1, b"\x03" + ANSWER + b"\0\0\0")
    + frame(HEADERS, WHOLE | LAST, 1, OK),
    "padded headers with a priority": frame(
        HEADERS, WHOLE | http2.PADDED | http2.PRIORITY, 1, b"\x01" + b"\0\0\0\0\x10" + START + b"\0"
    )
    + frame(DATA, 0, 1, ANSWER)
    + frame(HEADERS, WHOLE | LAST, 1, OK),
    "headers in three frames": frame(HEADERS, 0, 1, START[:4])
    + frame(http2.CONTINUATION, 0, 1, START[4:9])
    + frame(http2.CONTINUATION, WHOLE, 1, START[9:])
    + frame(DATA, 0, 1, ANSWER)
    + frame(HEADERS, LAST, 1, OK[:3])
    + frame(http2.CONTINUATION, WHOLE, 1, OK[3:]),
    "data in many frames, empty ones too": frame(HEADERS, WHOLE, 1, START)
    + b"".join(frame(DATA, 0, 1, ANSWER[at : at + 2]) + frame(DATA, 0, 1) for at in range(0, len(ANSWER), 2))
    + frame(HEADERS, WHOLE | LAST, 1, OK),
    "a window after the answer": answer() + OPENED,
    "a frame of an unknown kind": frame(0xFA, 0xFF, 1, b"?") + answer(),
    "a frame of another stream": frame(DATA, 0, 99, b"late") + frame(http2.RST_STREAM, 0, 99, b"\0\0\0\0") + answer(),
    "an end that is gentle": frame(http2.GOAWAY, 0, 0, struct.pack(">II", (1 << 31) - 1, 0)) + answer(),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_unusual_and_right(name: str) -> None:
    with talking(saying(SETTINGS + ODD[name])) as address:
        connection = grpc(address)
        assert (exchange(connection, QUESTION), connection.body()) == (200, b"answer")
        assert connection.is_connected is (name != "an end that is gentle")
        connection.close()


def test_the_beginning_of_a_frame_behind_an_answer_is_kept_for_later() -> None:
    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        frames.calls(1, lambda stream: SETTINGS + answer(stream) + OPENED[:5])
        frames.calls(1, lambda stream: OPENED[5:] + answer(stream))

    with talking(talk) as address:
        connection = grpc(address)
        assert [exchange(connection, QUESTION) for _ in range(2)] == [200, 200]
        assert connection.body() == b"answer"
        connection.close()


def refusal(code: int, text: str = "") -> bytes:
    return peer_block(pseudo_status="200", grpc_status=str(code), grpc_message=text)


START_AND = frame(HEADERS, WHOLE, 1, START)
BAD = {
    "trailers only": (frame(HEADERS, WHOLE | LAST, 1, refusal(5, "no%20model")), GRPC_ERROR - 5, b"no model"),
    "a code that is not defined": (frame(HEADERS, WHOLE | LAST, 1, refusal(77)), GRPC_ERROR - 2, b""),
    "an error after data": (
        START_AND + frame(DATA, 0, 1, ANSWER) + frame(HEADERS, WHOLE | LAST, 1, peer_block(grpc_status="13")),
        GRPC_ERROR - 13,
        None,
    ),
    "refused stream": (frame(http2.RST_STREAM, 0, 1, b"\0\0\0\x07"), GRPC_ERROR - 14, None),
    "cancelled": (START_AND + frame(http2.RST_STREAM, 0, 1, b"\0\0\0\x08"), GRPC_ERROR - 1, None),
    "reset for another reason": (frame(http2.RST_STREAM, 0, 1, b"\0\0\0\x02"), GRPC_ERROR - 13, None),
    "a proxy": (
        frame(HEADERS, WHOLE, 1, peer_block(pseudo_status="502")) + frame(DATA, LAST, 1, b"<html>bad gateway"),
        502,
        b"<html>bad gateway",
    ),
    "going away": (frame(http2.GOAWAY, 0, 0, struct.pack(">II", 0, 0)), CONNECTION_CLOSED, None),
    "no trailers": (START_AND + frame(DATA, LAST, 1, ANSWER), MALFORMED_RESPONSE, None),
    "no status": (frame(HEADERS, WHOLE | LAST, 1, OK), MALFORMED_RESPONSE, None),
    "no message": (START_AND + frame(HEADERS, WHOLE | LAST, 1, OK), MALFORMED_RESPONSE, None),
    "two messages": (answer(content=ANSWER + ANSWER), MALFORMED_RESPONSE, None),
    "half a message": (answer(content=ANSWER[:-1]), MALFORMED_RESPONSE, None),
    "a compressed message": (answer(content=b"\x01" + ANSWER[1:]), MALFORMED_RESPONSE, None),
    "a frame larger than we take": (frame(DATA, 0, 1, b"x" * 16385), MALFORMED_RESPONSE, None),
    "a push": (frame(http2.PUSH_PROMISE, WHOLE, 1, b"\0\0\0\x02"), MALFORMED_RESPONSE, None),
    "headers that are interrupted": (frame(HEADERS, 0, 1, START) + answer(), MALFORMED_RESPONSE, None),
    "a continuation of nothing": (frame(http2.CONTINUATION, WHOLE, 1, START), MALFORMED_RESPONSE, None),
    "headers of nothing": (frame(HEADERS, WHOLE, 1, b"\xff\xff\xff"), MALFORMED_RESPONSE, None),
    "a window of three bytes": (frame(http2.WINDOW_UPDATE, 0, 0, b"\0\0\0"), MALFORMED_RESPONSE, None),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", MALFORMED_RESPONSE, None),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_has_a_class(name: str) -> None:
    said, outcome, words = BAD[name]
    with talking(saying(SETTINGS + said)) as address:
        connection = grpc(address)
        assert exchange(connection, QUESTION) == outcome
        if words is not None:
            assert connection.body() == words
        assert connection.is_connected is (outcome < GRPC_ERROR or outcome > 0)
        connection.close()


def test_an_answer_cut_short_is_a_closed_connection() -> None:
    stream = SETTINGS + answer()
    for length in (0, 9, 12, len(stream) - 1):
        with talking(saying(stream[:length])) as address:
            connection = grpc(address)
            assert exchange(connection, QUESTION) == CONNECTION_CLOSED
            assert not connection.is_connected


def test_nobody_there_and_nobody_answers() -> None:
    assert exchange(grpc("127.0.0.1:1"), QUESTION) == CONNECTION_REFUSED

    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        while True:  # until the other end closes
            frames.frame()

    with talking(talk) as address:
        connection = grpc(address)
        connection.begin(QUESTION, 0, time.perf_counter_ns())
        assert connection.advance() == PENDING
        assert connection.give_up() == TIMED_OUT
        assert not connection.is_connected


def test_settings_and_pings_are_answered_also_while_nothing_is_asked() -> None:
    seen = []

    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        frames.calls(1, lambda stream: SETTINGS + frame(http2.PING, 0, 0, b"12345678") + answer(stream))
        seen.append(frames.until(http2.SETTINGS, http2.ACK)[1])
        seen.append(frames.until(http2.PING, http2.ACK)[1])
        peer.sendall(frame(http2.PING, 0, 0, b"87654321") + frame(http2.PING, http2.ACK, 0, b"not ours"))
        seen.append(frames.until(http2.PING, http2.ACK)[1])

    with talking(talk) as address:
        connection = grpc(address)
        assert exchange(connection, QUESTION) == 200
        while len(seen) < 3:
            connection._poller.poll(0.1)
            assert connection.advance() in (PENDING, CONNECTION_CLOSED)
        connection.close()
    assert seen == [b"", b"12345678", b"87654321"]


def test_a_peer_that_leaves_while_nothing_is_asked() -> None:
    def talk(peer: socket.socket) -> None:
        Peer(peer).calls(1, lambda stream: SETTINGS + answer(stream))
        answered.wait(30)
        peer.sendall(frame(http2.GOAWAY, 0, 0, struct.pack(">II", 1, 0)))
        peer.recv(1 << 16)

    answered = threading.Event()
    with talking(talk, lambda peer: Peer(peer).calls(1, answer)) as address:
        connection = grpc(address)
        assert exchange(connection, QUESTION) == 200
        answered.set()
        assert outcome_of(connection) == CONNECTION_CLOSED
        assert not connection.is_connected
        assert exchange(connection, QUESTION) == 200  # on a new connection
        connection.close()


@pytest.mark.parametrize(("window", "largest"), [(65535, 16384), (1000, 16384), (100_000, 20_000), (0, 16384)])
def test_a_large_message_keeps_within_the_peers_windows_and_frames(window: int, largest: int) -> None:
    question = message(bytes(range(256)) * 1200)
    settings = struct.pack(">HIHI", http2.INITIAL_WINDOW_SIZE, window, http2.MAX_FRAME_SIZE, largest)
    sizes: list[int] = []

    def talk(peer: socket.socket) -> None:
        frames, opened = Peer(peer), 0
        peer.sendall(frame(http2.SETTINGS, 0, 0, settings))
        while sum(sizes) < len(question):
            # The first 65535 bytes may have gone before the settings came.
            allowed = min(len(question), max(65535, min(65535, window) + opened))
            while sum(sizes) < allowed:
                sizes.append(len(frames.until(DATA)[1]))
            within.append(sum(sizes) == allowed)
            peer.sendall(http2.window_update(0, 40_000) + http2.window_update(1, 40_000))
            opened += 40_000
        peer.sendall(answer())

    within: list[bool] = []
    with talking(talk) as address:
        connection = grpc(address)
        assert exchange(connection, question) == 200
        connection.close()
    assert all(within)
    assert len(within) > 3
    assert max(sizes) <= largest
    assert (max(sizes) > 16384) is (largest > 16384)


def test_our_windows_are_opened_again() -> None:
    opened: dict[int, int] = {}
    begun = threading.Event()

    def talk(peer: socket.socket) -> None:
        frames = Peer(peer)
        frames.until(http2.WINDOW_UPDATE)  # of the preface
        frames.until(DATA, LAST)
        peer.sendall(SETTINGS + START_AND)
        begun.wait(30)
        peer.sendall(frame(DATA, 0, 1, ANSWER))
        while len(opened) < 2:
            stream, payload = frames.until(http2.WINDOW_UPDATE)
            opened[stream] = int.from_bytes(payload, "big")
        peer.sendall(frame(HEADERS, WHOLE | LAST, 1, OK))

    with talking(talk) as address:
        connection = grpc(address)
        connection.begin(QUESTION, 0, time.perf_counter_ns())
        while not connection.first_ns:
            connection._poller.poll(0.1)
            assert connection.advance() == PENDING
        connection._consumed = connection._call_consumed = REPLENISH_BYTES - 5  # a gigabyte later
        begun.set()
        assert outcome_of(connection) == 200
        connection.close()
    assert opened == dict.fromkeys((0, 1), REPLENISH_BYTES - 5 + len(ANSWER))


def test_the_last_stream_number_is_followed_by_a_new_connection() -> None:
    with talking(*(lambda peer, n=n: Peer(peer).calls(n, answer) for n in (2, 1))) as address:
        connection = grpc(address)
        assert exchange(connection, QUESTION) == 200
        connection._stream = http2.MAX_STREAM - 2
        assert exchange(connection, QUESTION) == 200
        assert connection._stream == http2.MAX_STREAM
        assert exchange(connection, QUESTION) == 200
        assert connection._stream == 1
        connection.close()


def test_an_early_refusal_of_a_message_that_is_half_sent_ends_the_connection() -> None:
    with talking(saying(SETTINGS + frame(HEADERS, WHOLE | LAST, 1, refusal(8)))) as address:
        connection = grpc(address)
        assert exchange(connection, message(b"x" * 1_000_000)) == GRPC_ERROR - 8
        assert not connection.is_connected


def test_every_response_of_a_stream_has_a_time() -> None:
    parts = [
        START_AND + frame(DATA, 0, 1, ANSWER[:3]),
        frame(DATA, 0, 1, ANSWER[3:]),
        frame(DATA, 0, 1, ANSWER + ANSWER[:5]),
        frame(DATA, 0, 1, ANSWER[5:]),
        frame(HEADERS, WHOLE | LAST, 1, OK),
    ]
    with talking(saying(SETTINGS, *parts, pause_s=0.02)) as address:
        connection: Connection = grpc(address, is_streaming=True)
        assert exchange(connection, QUESTION) == 200
        assert connection.body() == ANSWER * 3
        assert len(set(connection.response_ns)) == len(connection.response_ns) == 3
        assert connection.first_ns < connection.response_ns[0] < connection.response_ns[-1] < connection.done_ns
        connection.close()
