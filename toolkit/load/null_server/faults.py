"""The planted faults: what an inference gets in place of its right answer."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.load.null_server.behaviour import Behaviour
from toolkit.load.null_server.exchange import Exchange
from toolkit.load.null_server.messages import ANSWER, CHUNKED_HEAD, Request, chunk, failure, infer_answer

Reply = Callable[[Exchange, Request, Behaviour], None]


def close(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """The end of the connection, and no answer."""
    exchange.close()


def send_error(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """HTTP `error_status` with a message."""
    exchange.send(failure(behaviour.error_status, "planted"))


def send_half(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """The head and half of the body, then the end."""
    exchange.send(f"HTTP/1.1 200 OK\r\nContent-Length: {2 * len(ANSWER)}\r\n\r\n".encode() + ANSWER)
    exchange.close()


def send_chunked(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """The right answer in two chunks that arrive apart."""
    exchange.send(CHUNKED_HEAD + b"\r\n")
    for part in (ANSWER[:10], ANSWER[10:], b""):
        exchange.send(chunk(part))


def stall(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """Nothing, ever."""


def send_malformed(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """Something that is not HTTP."""
    exchange.send(b"SSH-2.0-null\r\n\r\n")


def send_goodbye(exchange: Exchange, request: Request, behaviour: Behaviour) -> None:
    """The right answer, and the announced end of the connection."""
    exchange.send(infer_answer(request.identity, "Connection: close\r\n"))
    exchange.close()


REPLIES: dict[str, Reply] = {
    "close": close,
    "error": send_error,
    "half": send_half,
    "chunked": send_chunked,
    "stall": stall,
    "malformed": send_malformed,
    "goodbye": send_goodbye,
}
