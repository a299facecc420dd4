"""The trial itself, small: what is driven is found in the log, and a planted stall shows where it must.

Whether the bounds hold is a matter of the machine and is asked in tests/benchmarks; here only what must hold anywhere.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.load.certify.accuracy import AccuracyPoint
from toolkit.load.certify.trial import QUICK, accuracy_points, behaviours_for, stall_check, stream_points
from toolkit.load.queue_model import finish_times_s

pytestmark = pytest.mark.timing
SMALL = replace(QUICK, shares=(0.5,), behaviours=("exponential", "batching"), rounds=1, point_s=0.5, stream_s=0.5)


def assert_whole(points: Sequence[AccuracyPoint]) -> None:
    """Nothing failed, all of it is in the log, and nothing was answered before it was sent."""
    for point in points:
        assert point.requests > 0
        assert (point.unpaired, point.acausal, point.failed) == (0, 0, 0)
        assert point.server_late_p99_s > 0
        for found in point.comparisons:
            assert found.measured_s > 0 and found.true_s > 0


def test_latency_is_compared_with_the_log() -> None:
    said: list[str] = []
    points = list(accuracy_points(600.0, SMALL, said.append))
    assert [p.behaviour for p in points] == ["exponential", "batching"]
    assert_whole(points)
    for found in (c for p in points for c in p.comparisons):
        assert found.measured_s >= found.true_s, "an answer cannot be seen before it is given"
        assert found.measured_s < 2 * found.true_s + 0.05
    assert len(said) == 1


def test_streams_are_compared_response_by_response() -> None:
    (point,) = stream_points(1600.0, SMALL, print)
    assert_whole([point])
    by_quantity = {(c.quantity, c.q): c for c in point.comparisons}
    assert {q for q, _ in by_quantity} == {"time to first token", "inter-token latency"}
    assert by_quantity["time to first token", 0.5].true_s >= 0.020
    assert 0.001 < by_quantity["inter-token latency", 0.5].measured_s < 0.05


def test_a_planted_stall_shows_in_the_open_loop_and_not_in_the_closed() -> None:
    stall = stall_check(1000.0, replace(SMALL, stall_s=0.3, around_stall_s=1.2))
    assert 0.15 < stall.open.true_s < 2.0
    assert abs(stall.open.error_s) < 0.1 * stall.open.true_s
    assert stall.closed.measured_s < 0.15 and stall.closed.true_s < 0.15


def test_behaviours_hold_the_rate_that_they_are_made_for() -> None:
    """On a simulated clock: at the rate that they are made for, the last half of the requests waits no longer."""
    arrivals_s = np.cumsum(np.random.default_rng(0).exponential(1 / 5000.0, 50_000))
    for name, behaviour in behaviours_for(5000.0).items():
        waits_s = finish_times_s(behaviour, arrivals_s) - arrivals_s
        first, last = (half.mean() for half in np.array_split(waits_s, 2))
        assert last < 1.3 * first, name


def test_ctrl_c_ends_it_and_leaves_no_server_behind() -> None:
    command = [sys.executable, "-m", "toolkit", "certify", "--quick"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert said == "- the null server's own ceiling\n"
    assert (process.returncode, out) == (130, ""), err
    assert len(children) == 1 and not Path(f"/proc/{children[0]}").exists()
