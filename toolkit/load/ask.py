"""Asking a server given questions: each request once, several at a time, and the answers in the order of the requests.

In: requests as the protocol's connection takes them. Out: an Answer to each, failed ones too. No rates, no times; that
is the engine's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter_ns

from toolkit.errors import UsageError
from toolkit.load.connection import Connection, WireProtocol, connector, prepared
from toolkit.load.outcome import PENDING, is_refusal, is_success, kind_of
from toolkit.load.socket_connection import POLL_TIMEOUT, Poller
from toolkit.serve.server import Endpoint

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request: HTTP status (0 without an answer, 200 for gRPC's OK), Inference-Header-Content-Length
    and body, which holds the server's own words where it refused.

    `error` says in words what went wrong, "HTTP 503" too, and is empty for a success.
    """

    status: int
    header_length: int | None
    body: bytes
    error: str


def ask(
    endpoint: Endpoint,
    requests: Sequence[bytes],
    *,
    clients: int,
    protocol: WireProtocol = "http",
    timeout_s: float = TIMEOUT_S,
) -> tuple[Answer, ...]:
    """Send each request once over `clients` connections and return the answers in the order of the requests.

    A request that gets no complete answer in `timeout_s` is not sent again. Raises UsageError for fewer than one
    client, ServerTrouble for an unknown address, EnvironmentProblem without sockets.
    """
    if clients < 1:
        raise UsageError(f"clients is {clients}; expected 1 or more")
    poller, by_fd = Poller(), dict[int, Connection]()
    answers: dict[int, Answer] = {}
    connect = connector(endpoint, protocol)
    waiting = iter(enumerate(prepared(requests, endpoint, protocol)))
    try:
        for _ in range(min(clients, len(requests))):
            _next(connect(poller, by_fd), waiting)
        while by_fd:
            for connection in [by_fd[fd] for fd, _ in poller.poll(POLL_TIMEOUT)]:
                if (outcome := connection.advance()) != PENDING:
                    answers[connection.payload] = _answer(connection, outcome)
                    _next(connection, waiting)
            late_ns = perf_counter_ns() - int(timeout_s * 1e9)
            for connection in [c for c in by_fd.values() if c.intended_ns < late_ns]:
                answers[connection.payload] = _answer(connection, connection.give_up())
                _next(connection, waiting)
    finally:
        for connection in tuple(by_fd.values()):
            connection.close()
    return tuple(answers[index] for index in range(len(requests)))


def _next(connection: Connection, waiting: Iterator[tuple[int, bytes]]) -> None:
    """Give a connection the next request, or close it when there is none."""
    for index, request in waiting:
        connection.begin(request, index, perf_counter_ns())
        return
    connection.close()


def _answer(connection: Connection, outcome: int) -> Answer:
    said = is_success(outcome) or is_refusal(outcome)
    return Answer(
        status=max(outcome, 0),
        header_length=connection.header_length if said else None,
        body=connection.body() if said else b"",
        error="" if is_success(outcome) else kind_of(outcome),
    )
