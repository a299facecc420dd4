"""From batch statistics to service times, by tables."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.measurement import BatchCount, ModelSplit
from toolkit.tune.service_law import ServiceProbe, fit_line, probe_from_split, service_law


def counts(*pairs: tuple[int, float], executions: int = 10) -> tuple[BatchCount, ...]:
    return tuple(BatchCount(size=size, executions=executions, infer_s=seconds) for size, seconds in pairs)


def probe(threads: int, instances: int, *pairs: tuple[int, float], busy: float = 1.0) -> ServiceProbe:
    return ServiceProbe(threads=threads, instances=instances, busy=busy, batches=counts(*pairs))


@pytest.mark.parametrize(
    ("pairs", "fixed_s", "row_s"),
    [
        (((1, 0.003), (8, 0.010)), 0.002, 0.001),
        (((1, 0.004), (2, 0.004), (8, 0.004)), 0.004, 0.0),
        (((4, 0.008),), 0.004, 0.001),  # one size alone: half of it is fixed
        (((1, 0.002), (8, 0.001)), 0.0015, 0.0),  # no execution gets shorter by more rows
    ],
)
def test_a_line_through_the_executions(pairs: tuple[tuple[int, float], ...], fixed_s: float, row_s: float) -> None:
    line = fit_line((count, 0.0) for count in counts(*pairs))
    assert (line.fixed_s, line.row_s) == pytest.approx((fixed_s, row_s))


def test_input_and_output_belong_to_an_execution() -> None:
    split = ModelSplit(
        model="m", requests=20, failures=0, executions=20, request_s=0.02, queue_s=0.01, input_s=0.001, infer_s=0.004,
        output_s=0.002, cache_hits=0, batches=counts((1, 0.004), executions=20),
    )  # fmt: skip
    found = probe_from_split(split, threads=1, instances=4, window_s=0.05)
    assert found.extra_s == pytest.approx(0.003)
    assert found.busy == pytest.approx(20 * 0.007 / 0.05)


def test_threads_that_were_not_probed_take_the_nearest_line() -> None:
    law = service_law((probe(1, 1, (1, 0.004), (8, 0.032)), probe(4, 1, (1, 0.002), (8, 0.016))), cores=4)
    assert law.seconds(1, 8, 1) == pytest.approx(0.032)
    assert law.seconds(3, 8, 1) == law.seconds(4, 8, 1) == law.seconds(0, 8, 1) == pytest.approx(0.016)


def test_executions_slow_each_other_beyond_the_cores_as_was_seen() -> None:
    alone, crowded = probe(1, 1, (1, 0.004), (8, 0.032)), probe(1, 4, (1, 0.010), (8, 0.080), busy=4.0)
    law = service_law((alone, crowded), cores=2)
    assert law.slowdown == pytest.approx(1.5)
    assert law.seconds(1, 8, 2) == pytest.approx(0.032)
    assert law.seconds(1, 8, 4) == pytest.approx(0.080)
    assert service_law((alone, probe(1, 2, (1, 0.004), busy=2.0)), cores=2).slowdown == 1.0


def test_probes_without_an_execution_say_nothing() -> None:
    with pytest.raises(UsageError, match="no probe executed anything"):
        service_law((probe(1, 1),), cores=2)
