"""Loads that cannot be driven are refused when they are made."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.pattern import Concurrency
from toolkit.load.sweep import describe


@pytest.mark.parametrize(
    ("field", "value"),
    [("clients", 0), ("clients", -1), ("duration_s", 0.0), ("duration_s", float("nan")), ("warmup_s", -1.0)],
)
def test_refused(field: str, value: float) -> None:
    with pytest.raises(UsageError, match=field):
        Concurrency(**({"clients": 1} | {field: value}))


def test_described() -> None:
    assert describe(Concurrency(clients=8)) == "8 clients for 5 s after 1 s of warm-up"
    assert describe(Concurrency(clients=1, duration_s=0.5, warmup_s=0)) == "1 client for 0.5 s after 0 s of warm-up"
