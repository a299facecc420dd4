"""How a request can end: an HTTP status, or one of our own classes of error below zero; and the words for them."""

from __future__ import annotations

#: Not an end: the answer is still to come.
PENDING = 0
#: An answer as it should be. gRPC's OK counts as one.
OK = 200
CONNECTION_REFUSED = -1
CONNECTION_CLOSED = -2
TIMED_OUT = -3
MALFORMED_RESPONSE = -4
#: The answer came, and was not the expected one.
WRONG_ANSWER = -5
#: A streamed answer held an error among its responses.
STREAM_ERROR = -6
#: No agreement on TLS: an unknown authority, another host's certificate, one that has expired.
TLS_FAILED = -7
#: gRPC's code c is the class GRPC_ERROR - c.
GRPC_ERROR = -100

#: gRPC's codes 1 to 16 in their order (grpc/doc/statuscodes.md).
GRPC_CODES = (
    "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip

KINDS = {
    CONNECTION_REFUSED: "connection refused",
    CONNECTION_CLOSED: "connection closed",
    TIMED_OUT: "timed out",
    MALFORMED_RESPONSE: "malformed response",
    WRONG_ANSWER: "wrong answer",
    STREAM_ERROR: "error within a stream",
    TLS_FAILED: "TLS failed",
} | {GRPC_ERROR - code: f"gRPC {name}" for code, name in enumerate(GRPC_CODES, 1)}


def kind_of(outcome: int) -> str:
    """An outcome in words: "HTTP 503", "timed out", "gRPC UNAVAILABLE"."""
    return KINDS.get(outcome, f"HTTP {outcome}")


def is_success(outcome: int) -> bool:
    """Whether it is an HTTP 2xx, or gRPC's OK."""
    return 200 <= outcome < 300


def is_refusal(outcome: int) -> bool:
    """Whether the server itself said that it failed, with words of its own."""
    return outcome >= 300 or outcome == STREAM_ERROR or outcome < GRPC_ERROR


def outcome_of_grpc(code: int) -> int:
    """The outcome of a gRPC status; one that gRPC does not define is UNKNOWN, as its specification has it."""
    return OK if code == 0 else GRPC_ERROR - (code if 0 < code <= len(GRPC_CODES) else 2)
