"""Whether the interval of the highest rate holds the truth: 200 searches on simulated queues, 20 on a live null server,
and two on the vision PoC. Prints the counts and the half-widths.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from simulated_queue import Case, capacity_per_s, md1_capacity_per_s, search

from toolkit.load.null_server import Behaviour, null_server
from toolkit.load.queue_model import Queue
from toolkit.records import read_json
from toolkit.tune.max_rate import MaxRate
from toolkit.workflow.max_rate import FILE, Asked, run_max_rate
from toolkit.workflow.runs import latest_run
from toolkit.workflow.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ROOT = Path(__file__).parents[2]
SEEDS, LEAST_OF_200 = 200, 184
LIVE_RUNS, LEAST_OF_20 = 20, 17

CASES = {
    "M/D/1, p99 = 20 services": (Case(Queue(service_s=0.001), "p99=20ms"), 60.0),
    "M/D/1, p99 = 5 services": (Case(Queue(service_s=0.001), "p99=5ms"), 60.0),
    "M/D/1 of 20 ms, p99 = 5 services": (Case(Queue(service_s=0.020), "p99=100ms"), 120.0),
    "M/D/1, mean": (Case(Queue(service_s=0.001), "mean=4ms"), 60.0),
    "M/M/1, p99 = 20 services": (Case(Queue(service_s=0.001, law="exponential"), "p99=20ms"), 60.0),
    "bimodal, p99": (Case(Queue(service_s=0.001, law="bimodal"), "p99=30ms"), 60.0),
    "batcher of 8, p99": (
        Case(Queue(service_s=0.002, row_s=0.0005, max_batch_size=8, batch_delay_s=0.001), "p99=20ms"),
        20.0,
    ),
}


def half_width(answer: MaxRate) -> float:
    assert answer.low is not None and answer.high is not None
    return (answer.high - answer.low) / (answer.high + answer.low)


def holds(answer: MaxRate, capacity: float) -> bool:
    return answer.low is not None and answer.high is not None and answer.low <= capacity <= answer.high


@pytest.mark.parametrize("name", CASES)
def test_the_interval_holds_the_truth_in_184_of_200_seeds(name: str) -> None:
    case, budget_s = CASES[name]
    capacity = capacity_per_s(case, 10_000_000 if case.queue.max_batch_size == 1 else 500_000)
    answers = [search(case, seed, budget_s) for seed in range(SEEDS)]
    held = sum(holds(answer, capacity) for answer in answers)
    widths = [half_width(answer) for answer in answers if answer.high is not None]
    errors = [answer.rate_per_s / capacity - 1 for answer in answers if answer.rate_per_s]
    found = sum(answer.outcome == "PASS" for answer in answers)
    print(
        f"\n{name}: capacity {capacity:.1f}/s, budget {budget_s:g} s: held {held} of {SEEDS}, found {found}; "
        f"half-width mean {np.mean(widths):.1%}, median {np.median(widths):.1%}; error rms {np.std(errors):.1%}"
    )
    assert held >= LEAST_OF_200


def test_live_on_the_null_server(tmp_path: Path) -> None:
    """The true capacity is that of the queue: the time that HTTP adds is small beside the limit."""
    service_s, limit_s = 0.001, 0.010
    capacity = md1_capacity_per_s(service_s, limit_s, 0.1)
    answers = []
    with null_server(Behaviour(service_s=service_s)) as server:
        url = f"http://{server.endpoint.http}"
        spec = Sweep(target="null", url=url, repository=Path(), samples=None, inputs=(), slo="p90=10ms")
        for _ in range(LIVE_RUNS):
            asked = Asked(target=spec, budget_s=40.0)
            _, answer = run_max_rate(asked, command="toolkit max-rate null", root=tmp_path, progress=lambda text: None)
            answers.append(answer)
            print(f"\n{answer.sentence} (true: {capacity:.1f}/s)")
    assert sum(holds(answer, capacity) for answer in answers) >= LEAST_OF_20
    near = [a for a in answers if a.rate_per_s is not None and abs(a.rate_per_s / capacity - 1) <= 0.05]
    assert len(near) >= LEAST_OF_20


def test_two_runs_on_the_vision_poc_agree(tmp_path: Path) -> None:
    """Each half-width is at most 10 %, and the intervals overlap."""
    made = subprocess.run(
        [sys.executable, "-m", "toolkit", "run", str(ROOT / "pocs" / "vision"), "--no-publish"],
        cwd=tmp_path,
        check=False,
    )
    assert made.returncode in (0, 1)
    run = latest_run(tmp_path / "runs", "vision")
    assert run is not None
    spec = Sweep(target=str(run), url=None, repository=Path(), samples=None, inputs=(), slo=None)
    answers = []
    for _ in range(2):
        asked = Asked(target=spec, budget_s=240.0)
        folder, _ = run_max_rate(asked, command="toolkit max-rate", root=tmp_path / "runs", progress=print)
        answers.append(read_json(folder / FILE, MaxRate))
        print(f"\n{answers[-1].sentence}")
    assert all(half_width(answer) <= 0.10 for answer in answers)
    (one, other) = answers
    assert one.low and one.high and other.low and other.high
    assert one.low <= other.high and other.low <= one.high
