"""How a request can end: an HTTP status, or one of our own classes of error below zero; and the words for them."""

from __future__ import annotations

#: Not an end: the answer is still to come.
PENDING = 0
CONNECTION_REFUSED = -1
CONNECTION_CLOSED = -2
TIMED_OUT = -3
MALFORMED_RESPONSE = -4
#: The answer came, and was not the expected one.
WRONG_ANSWER = -5

KINDS = {
    CONNECTION_REFUSED: "connection refused",
    CONNECTION_CLOSED: "connection closed",
    TIMED_OUT: "timed out",
    MALFORMED_RESPONSE: "malformed response",
    WRONG_ANSWER: "wrong answer",
}


def kind_of(outcome: int) -> str:
    """An outcome in words: "HTTP 503", "timed out"."""
    return KINDS.get(outcome, f"HTTP {outcome}")


def is_success(outcome: int) -> bool:
    """Whether it is an HTTP 2xx."""
    return 200 <= outcome < 300
