"""One generation at a time over HTTP, piece by piece as it comes, for eyes. Load is driven elsewhere.

In: an endpoint, an entry and the JSON of a request. Out: each Piece with the moment at which it came. Whoever stops
reading closes the connection, which is how a server learns that nobody waits any more.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any
from urllib.parse import quote

from toolkit.errors import ServerTrouble
from toolkit.serve.client import connection_to, trouble_of
from toolkit.serve.event_stream import DONE, Events, data_of
from toolkit.serve.generation import Piece, piece_from_event
from toolkit.serve.server import Endpoint

TIMEOUT_S = 60.0
_PORTION = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A piece, and how long after the request was sent it came, in seconds."""

    piece: Piece
    after_s: float


def generate_path(model: str) -> str:
    """The path that streamed generations of an entry are posted to."""
    return f"/v2/models/{quote(model, safe='')}/generate_stream"


def stream_pieces(
    endpoint: Endpoint, model: str, request: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S
) -> Iterator[Timed]:
    """Send a request and yield its pieces as they come; `timeout_s` without one ends it.

    Raises ServerTrouble with the server's words for a refusal, an error within the stream, a stream that is cut short
    and a server that cannot be reached.
    """
    connection = connection_to(endpoint, timeout_s)
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    headers |= {"Authorization": endpoint.authorization} if endpoint.authorization else {}
    began_ns, count = perf_counter_ns(), 0
    try:
        connection.request("POST", generate_path(model), json.dumps(request).encode(), headers)
        response = connection.getresponse()
        if response.status != 200:
            said = response.read()  # Triton writes the error of a stream as an event
            raise trouble_of(endpoint, f"model '{model}'", response.status, data_of(said) or said)
        for piece in _pieces(response):
            count += 1
            yield Timed(piece=piece, after_s=(perf_counter_ns() - began_ns) / 1e9)
    except (OSError, http.client.HTTPException) as err:
        what = "was cut short" if count else "failed"
        raise ServerTrouble(
            f"{endpoint.http}: the generation of '{model}' {what} after {count} responses: {err or type(err).__name__}",
            mend="see the server's log; start one with: toolkit serve",
        ) from err
    finally:
        connection.close()


def _pieces(response: http.client.HTTPResponse) -> Iterator[Piece]:
    events = Events()
    while data := response.read1(_PORTION):
        for event in events.complete_with(data):
            if event != DONE:
                yield piece_from_event(event)
