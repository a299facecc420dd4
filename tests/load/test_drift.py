"""Drift: a change counts when it is large and the intervals of the two medians lie apart."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.load.drift import drift_between
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import Concurrency

LOAD = Concurrency(clients=4)


def measured(records_of, median_s: float, *, spread: float = 0.2, count: int = 1000):
    times_s = median_s * np.random.default_rng(0).uniform(1 - spread, 1 + spread, count)
    return measurement_from_records(records_of(times_s), LOAD)


@pytest.mark.parametrize(
    ("again_s", "more", "drifts"),
    [
        (0.010, {}, False),
        (0.0105, {}, False),
        (0.013, {}, True),
        (0.008, {}, True),
        (0.013, {"spread": 0.9, "count": 25}, False),
    ],
)
def test_drift(records_of, again_s, more, drifts) -> None:
    drift = drift_between(measured(records_of, 0.010, **more), measured(records_of, again_s, **more))
    assert drift is not None and drift.load == LOAD
    assert drift.change == pytest.approx(again_s / 0.010 - 1)
    assert (drift.warning is not None) == drifts
    if drift.warning is not None:
        assert drift.warning.kind == "Drifting" and not drift.warning.invalid
        assert "with 4 clients" in drift.warning.text and f"{drift.change:+.0%}" in drift.warning.text


def test_without_an_answer_there_is_nothing_to_compare(records_of) -> None:
    failed = measurement_from_records(records_of([0.01] * 20, status=503), LOAD)
    assert drift_between(measured(records_of, 0.01), failed) is None
