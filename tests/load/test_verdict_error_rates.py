"""The verdict's error rates on queues and drifting machines whose truth is known, at the confidence that is stated.

A part of the table of tests/benchmarks/test_verdict_error_rates.py; all seeds are fixed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from simulated_series import SIMULATIONS, Series, closed_loop_times, windows

from toolkit.load.early_stopping import CONFIDENCE, decide
from toolkit.load.metrics import distribution, measurement_from_records
from toolkit.load.pattern import Concurrency
from toolkit.load.queue_model import Queue, finish_times_s
from toolkit.load.request_records import Records
from toolkit.load.slo import slo_from_text
from toolkit.load.statistics import binomial_at_most
from toolkit.load.verdict import judge

Make = Callable[..., Records]
RUNS = 120
ALLOWED_ERRORS = RUNS * (1 - CONFIDENCE)


@lru_cache(maxsize=4)
def series(name: str, requests: int = 1_000_000) -> Series:
    return SIMULATIONS[name](requests, 1)


def outcomes(name: str, window: int, q: float, share: float, looks: int = 1) -> Counter[str]:
    """Of `looks` windows that double up to `window`, of which the first that decides ends the run."""
    known = series(name, 150_000 if "batch" in name or "client" in name else 1_000_000)
    limit = float(np.quantile(known, 1 - share))

    def run(values: Series) -> str:
        for look in reversed(range(looks)):
            seen = values[: window >> look]
            outcome = decide(seen, seen > limit, 1 - q, limit=limit, looks=looks).outcome
            if outcome != "UNDECIDED":
                break
        return outcome

    return Counter(run(values) for values in windows(known, window, RUNS))


@pytest.mark.parametrize(
    ("name", "window", "q"),
    [
        ("M/D/1 50%", 3000, 0.99),
        ("M/D/1 80%", 6000, 0.99),
        ("M/D/1 95%", 2000, 0.9),
        ("M/M/1 80%", 6000, 0.99),
        ("batcher 80%", 2000, 0.99),
        ("batcher 95%", 2000, 0.9),
        ("8 clients", 2000, 0.9),
        ("level drifts 30 %, 100", 2000, 0.9),
        ("M/D/1 80% drifts, 1000", 5000, 0.9),
        ("M/M/1 80% drifts, 300", 2000, 0.9),
    ],
)
def test_errors_exactly_at_the_limit(name: str, window: int, q: float) -> None:
    found = outcomes(name, window, q, 1 - q)
    assert found["PASS"] <= ALLOWED_ERRORS and found["FAIL"] <= ALLOWED_ERRORS, found


@pytest.mark.parametrize(("name", "q"), [("independent", 0.99), ("M/D/1 80%", 0.9), ("M/M/1 80% drifts, 300", 0.9)])
def test_errors_of_four_looks_are_no_more_than_those_of_one(name: str, q: float) -> None:
    found = outcomes(name, 16_000, q, 1 - q, looks=4)
    assert found["PASS"] <= ALLOWED_ERRORS and found["FAIL"] <= ALLOWED_ERRORS, found


def test_plain_counts_would_lie() -> None:
    """Twice the allowed misses on M/D/1 at 80 %: LoadGen's rule passes every fifth window of 3 000, ours none."""
    known = series("M/D/1 80%")
    limit = float(np.quantile(known, 0.98))
    misses = [int((values > limit).sum()) for values in windows(known, 3000, RUNS)]
    assert sum(binomial_at_most(t, 3000, 0.01) <= 0.01 for t in misses) > RUNS / 10
    assert outcomes("M/D/1 80%", 3000, 0.99, 0.02)["PASS"] == 0


@pytest.mark.parametrize(
    ("name", "window", "share", "outcome", "at_least"),
    [
        ("independent", 2000, 0.002, "PASS", 0.75),
        ("independent", 2000, 0.03, "FAIL", 0.9),
        ("M/D/1 50%", 8000, 0.002, "PASS", 0.7),
        ("M/D/1 50%", 8000, 0.03, "FAIL", 0.9),
        ("8 clients", 8000, 0.002, "PASS", 0.75),
        ("batcher 50%", 8000, 0.03, "FAIL", 0.9),
    ],
)
def test_clear_cases_are_decided(name: str, window: int, share: float, outcome: str, at_least: float) -> None:
    found = outcomes(name, window, 0.99, share)
    assert found[outcome] >= at_least * sum(found.values()), found


@pytest.mark.parametrize("name", ["M/D/1 50%", "M/D/1 80%", "M/M/1 80%", "M/M/1 95%", "8 clients, batches"])
def test_errors_of_the_mean(records_of: Make, name: str) -> None:
    known = series(name, 150_000 if "client" in name else 1_000_000)
    slo = slo_from_text(f"mean={known.mean():.9f}s")
    valid = measurement_from_records(records_of([0.01] * 100), Concurrency(clients=1))
    found = Counter(judge(slo, valid, records_of(values))[0].outcome for values in windows(known, 3000, RUNS))
    assert found["PASS"] <= ALLOWED_ERRORS and found["FAIL"] <= ALLOWED_ERRORS, found


def throughputs(make: Make, sent: Series, done: Series, window_s: float, count: int) -> Counter[str]:
    """Verdicts on windows of one long run, whose limit is the rate over all of it."""
    first, last = float(sent[0]), float(sent[-1])
    within = (done >= first) & (done < last)
    rate = within.sum() / (last - first)
    slo, found = slo_from_text(f"throughput={rate:.9f}"), Counter[str]()
    valid = measurement_from_records(make([0.01] * 100), Concurrency(clients=1))
    for start in np.linspace(first, last - window_s, count):
        near = (sent < start + window_s) & (done >= start)
        times = {name: (at[near] * 1e9).astype(np.int64) for name, at in (("intended_ns", sent), ("done_ns", done))}
        edges = {"window_start_ns": int(start * 1e9), "window_end_ns": int((start + window_s) * 1e9)}
        records = make(np.zeros(near.sum()), **times, sent_ns=times["intended_ns"], **edges)
        found[judge(slo, valid, records)[0].outcome] += 1
    return found


@pytest.mark.parametrize("clients", [1, 8])
def test_errors_of_throughput_in_a_closed_loop(records_of: Make, clients: int) -> None:
    queue = Queue(service_s=1.0, row_s=0.1, law="exponential", capacity=2, max_batch_size=4, batch_delay_s=0.3)
    sent, done = closed_loop_times(queue, clients, 0.02, 60_000, 3)
    found = throughputs(records_of, sent, done, 500.0, 100)
    assert found["PASS"] <= 5 and found["FAIL"] <= 5, found


def test_errors_of_throughput_in_an_open_loop(records_of: Make) -> None:
    """M/M/1 at 80 %: what is done in a window is Poisson, and depends on the queue at its edges."""
    sent = np.cumsum(np.random.default_rng(1).exponential(1 / 0.8, 200_000))
    done = finish_times_s(Queue(service_s=1.0, law="exponential", seed=2), sent)
    found = throughputs(records_of, sent, done, 2000.0, 100)
    assert found["PASS"] <= 5 and found["FAIL"] <= 5, found


@pytest.mark.parametrize(("name", "window"), [("M/D/1 50%", 3000), ("M/M/1 80%", 6000), ("8 clients", 2000)])
@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_intervals_of_percentiles_cover(name: str, window: int, q: float) -> None:
    known = series(name, 150_000 if "client" in name else 1_000_000)
    truth, covered, runs = float(np.quantile(known, q)), 0, 0
    for values in windows(known, window, 60):
        found = distribution(values).at(q)
        covered += (found.low_s is None or found.low_s <= truth) and (found.high_s is None or truth <= found.high_s)
        runs += 1
    assert covered >= 0.9 * runs
