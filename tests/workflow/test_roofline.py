"""What a roofline takes from a run: rows and batches from the server's statistics."""

from __future__ import annotations

import pytest

from toolkit.load.measurement import BatchCount, ModelSplit
from toolkit.workflow.roofline import rows_of


def split(*batches: tuple[int, int]) -> ModelSplit:
    counts = tuple(BatchCount(size=size, executions=count, infer_s=0.001) for size, count in batches)
    zero = dict.fromkeys(("request_s", "queue_s", "input_s", "infer_s", "output_s"), 0.0)
    whole = sum(count for _, count in batches)
    return ModelSplit(model="m", requests=1, failures=0, executions=whole, cache_hits=0, batches=counts, **zero)


@pytest.mark.parametrize(
    ("splits", "window_s", "expected"),
    [
        ((split((1, 10), (4, 10)),), 5.0, (2, 10.0)),  # 50 rows in 20 executions and 5 seconds
        ((split((8, 100)),), 10.0, (8, 80.0)),
        ((split(),), 5.0, (1, None)),
        ((), 5.0, (1, None)),
        ((split((8, 100)),), None, (1, None)),
    ],
)
def test_rows_a_second_and_the_mean_batch(splits: tuple, window_s: float | None, expected: tuple) -> None:
    assert rows_of(splits, window_s) == expected
