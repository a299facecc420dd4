"""Ends of requests, in words and classes."""

from __future__ import annotations

import pytest

from toolkit.load import outcome


@pytest.mark.parametrize(
    ("value", "words", "is_success", "is_refusal"),
    [
        (200, "HTTP 200", True, False),
        (204, "HTTP 204", True, False),
        (503, "HTTP 503", False, True),
        (outcome.TIMED_OUT, "timed out", False, False),
        (outcome.TLS_FAILED, "TLS failed", False, False),
        (outcome.STREAM_ERROR, "error within a stream", False, True),
        (-101, "gRPC CANCELLED", False, True),
        (-114, "gRPC UNAVAILABLE", False, True),
        (-116, "gRPC UNAUTHENTICATED", False, True),
    ],
)
def test_words_and_classes(value: int, words: str, is_success: bool, is_refusal: bool) -> None:
    assert outcome.kind_of(value) == words
    assert (outcome.is_success(value), outcome.is_refusal(value)) == (is_success, is_refusal)


@pytest.mark.parametrize(("code", "expected"), [(0, 200), (1, -101), (14, -114), (16, -116), (17, -102), (-1, -102)])
def test_grpc_codes(code: int, expected: int) -> None:
    assert outcome.outcome_of_grpc(code) == expected


def test_every_kind_has_its_own_words() -> None:
    assert len(set(outcome.KINDS.values())) == len(outcome.KINDS)
