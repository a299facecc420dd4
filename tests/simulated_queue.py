"""A queue of known behaviour on a simulated clock, as the search for the highest rate drives it, and its capacity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toolkit.load.pattern import RequestRate, arrivals_s
from toolkit.load.queue_model import Queue, finish_times_s
from toolkit.load.slo import Criterion, slo_from_text
from toolkit.load.statistics import dependence
from toolkit.tune.max_rate import MaxRate, max_rate
from toolkit.tune.max_rate_probe import Observation, Seen, bound_of

#: What starting and ending a probe costs besides its load.
OVERHEAD_S = 0.02


@dataclass(frozen=True)
class Case:
    """A queue and an SLO of one latency criterion."""

    queue: Queue
    slo: str

    @property
    def criterion(self) -> Criterion:
        return slo_from_text(self.slo).criteria[0]

    @property
    def saturated_per_s(self) -> float:
        """The throughput of the queue when requests are always waiting."""
        queue = self.queue
        return queue.capacity * queue.max_batch_size / (queue.service_s + queue.row_s * queue.max_batch_size)


def series(criterion: Criterion, latencies_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return latencies_s if criterion.quantile is None else (latencies_s > criterion.limit).astype(np.float64)


def measure_on(case: Case, seed: int) -> Callable[[float, float, float], Observation]:
    """A `measure` whose every call has arrivals and service times of its own; all of them follow from `seed`."""
    seeds = np.random.default_rng(seed)

    def measure(rate_per_s: float, warmup_s: float, duration_s: float) -> Observation:
        of_arrivals, of_service = (int(s) for s in seeds.integers(1 << 32, size=2))
        load = RequestRate(rate_per_s=rate_per_s, warmup_s=warmup_s, duration_s=duration_s, seed=of_arrivals)
        arrivals = arrivals_s(load)
        finished = finish_times_s(replace(case.queue, seed=of_service), arrivals)
        latencies = (finished - arrivals)[arrivals >= warmup_s]
        values = series(case.criterion, latencies)
        effective = len(values) / dependence(latencies) if len(values) else 0.0
        seen = Seen(mean=float(values.mean()) if len(values) else 0.0, samples=len(values), effective_samples=effective)
        ended_s = max(warmup_s + duration_s, float(finished[-1]) if len(finished) else 0.0)
        return Observation(seen=(seen,), outcome="UNDECIDED", spent_s=ended_s + OVERHEAD_S)

    return measure


def search(case: Case, seed: int, budget_s: float) -> MaxRate:
    """One search, from 60 % of the saturated throughput, as the workflow begins it."""
    slo = slo_from_text(case.slo)
    return max_rate(measure_on(case, seed), slo, first_per_s=0.6 * case.saturated_per_s, budget_s=budget_s)


def capacity_per_s(case: Case, requests: int) -> float:
    """The true capacity by bisection of one long run, the same arrivals and service times at every rate."""
    bound, unit = bound_of(case.criterion), arrivals_s(RequestRate(rate_per_s=1.0, duration_s=requests, seed=99))
    low, high = 0.01 * case.saturated_per_s, 0.9999 * case.saturated_per_s
    for _ in range(14):
        rate = (low + high) / 2
        latencies = finish_times_s(replace(case.queue, seed=5), unit / rate) - unit / rate
        met = float(series(case.criterion, latencies).mean()) <= bound.limit
        low, high = (rate, high) if met else (low, rate)
    return low


def md1_share_over(rate_per_s: float, service_s: float, limit_s: float) -> float:
    """P(latency > limit) of M/D/1: Erlang's sum (1909), in integers of 10^-60 because its terms cancel."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 60
        load, waits = Decimal(rate_per_s) * Decimal(service_s), Decimal(limit_s) / Decimal(service_s) - 1
        total, factorial = Decimal(0), Decimal(1)
        for k in range(int(waits) + 1):
            factorial *= max(k, 1)
            exponent = load * (Decimal(k) - waits)
            total += (exponent**k if k else Decimal(1)) / factorial * (-exponent).exp()
        return float(1 - (1 - load) * total)


def md1_capacity_per_s(service_s: float, limit_s: float, allowed: float) -> float:
    """The rate at which exactly `allowed` of the requests of M/D/1 take longer than the limit."""
    low, high = 0.001 / service_s, 0.99999 / service_s
    for _ in range(40):
        rate = (low + high) / 2
        low, high = (rate, high) if md1_share_over(rate, service_s, limit_s) <= allowed else (low, rate)
    return low
