"""Triton's dynamic batcher on a simulated clock: what latency and which rate a configuration would give. Pure.

In: how long an execution takes by its batch size (service_law.py, fitted to a few probes), and the batcher's settings.
Out: the latency of every request of a schedule, and the highest rate that holds an SLO. It orders candidates before
they are measured; it decides nothing.

The rule is that of `DynamicBatchScheduler::GetDynamicBatch` (core/src/dynamic_batch_scheduler.cc): when
an instance is free, the largest preferred size that is waiting is executed; what waits longer than the queue delay is
executed as it is; a delay of 0 executes what is there. Without preferred sizes the only one is max_batch_size.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError
from toolkit.load.slo import Criterion, Slo
from toolkit.tune.max_rate_fit import Bound
from toolkit.tune.max_rate_probe import bound_of

Times = NDArray[np.float64]
#: Seconds of one execution, by the number of requests in it and of instances that are busy with it, this one included.
Service = Callable[[int, int], float]

#: Requests of the schedule that a rate is tried on, and steps of the bisection: about 3 % of the rate.
REQUESTS, STEPS = 1200, 7
#: The spread of single executions around their mean, as a coefficient of variation. Shared machines have more.
SPREAD = 0.10
_NOISES = 997
#: Metrics of the whole time of a request.
WHOLE = ("latency", "service")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One model of a pipeline: its batcher's settings in Triton's terms, and how long its executions take.

    `overhead_s` is what a request spends outside queue and execution. `is_batching` False: requests alone.
    """

    service: Service
    instances: int = 1
    max_batch_size: int = 1
    queue_delay_s: float = 0.0
    preferred_batch_sizes: tuple[int, ...] = ()
    overhead_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a batcher that cannot be. Raises UsageError."""
        if self.instances < 1 or self.max_batch_size < 1:
            found = f"{self.instances} instances and max_batch_size {self.max_batch_size}"
            raise UsageError(f"a batcher with {found}; expected 1 or more of both")
        if any(not 1 <= size <= self.max_batch_size for size in self.preferred_batch_sizes):
            raise UsageError(
                f"preferred_batch_size {list(self.preferred_batch_sizes)} is not within 1..{self.max_batch_size}"
            )

    @property
    def preferred(self) -> tuple[int, ...]:
        """The sizes that are executed at once, ascending."""
        return tuple(sorted(self.preferred_batch_sizes)) or (self.max_batch_size,)


def finish_times_s(stage: Stage, arrivals_s: Sequence[float], *, noise: Sequence[float] = (1.0,)) -> Times:
    """When each of `arrivals_s` (ascending) is done. `noise` multiplies the executions' times, in rotation."""
    count, first, batch = len(arrivals_s), 0, 0
    free_s = [-math.inf] * stage.instances
    finish_s = np.empty(count)
    while first < count:
        ready_s = max(heapq.heappop(free_s), arrivals_s[first])
        start_s, size = next_batch(stage, arrivals_s, first, ready_s)
        busy = 1 + sum(1 for other_s in free_s if other_s > start_s)
        done_s = start_s + stage.service(size, busy) * noise[batch % len(noise)]
        heapq.heappush(free_s, done_s)
        finish_s[first : first + size] = done_s + stage.overhead_s
        first, batch = first + size, batch + 1
    return finish_s


def next_batch(stage: Stage, arrivals_s: Sequence[float], first: int, ready_s: float) -> tuple[float, int]:
    """When an instance that is free from `ready_s` on begins the next batch, and with how many of the waiting."""
    most, preferred = stage.max_batch_size, stage.preferred
    last = min(len(arrivals_s), first + most)
    waiting = bisect_right(arrivals_s, ready_s, first, last) - first
    deadline_s = arrivals_s[first] + stage.queue_delay_s
    if stage.queue_delay_s and ready_s >= deadline_s:
        return ready_s, waiting
    reached = [size for size in preferred if size <= waiting]
    if reached:
        return ready_s, reached[-1]
    if not stage.queue_delay_s or waiting >= most:
        return ready_s, waiting
    wanted = first + preferred[0] - 1
    if wanted < len(arrivals_s) and arrivals_s[wanted] <= deadline_s:
        return arrivals_s[wanted], preferred[0]
    return deadline_s, bisect_right(arrivals_s, deadline_s, first, last) - first


def latencies_s(stages: Sequence[Stage], arrivals_s: Times, *, noise: Sequence[float] = (1.0,)) -> Times:
    """From its arrival to the end of the last stage, for each request; stages follow on each other."""
    at_s = arrivals_s
    for stage in stages:
        order = np.argsort(at_s, kind="stable")
        done_s = np.empty_like(at_s)
        done_s[order] = finish_times_s(stage, at_s[order].tolist(), noise=noise)
        at_s = done_s
    return at_s - arrivals_s


def saturated_per_s(stages: Sequence[Stage]) -> float:
    """The throughput when requests are always waiting: that of the slowest stage with full batches."""
    return min(s.instances * s.max_batch_size / s.service(s.max_batch_size, s.instances) for s in stages)


def sustained_rate_per_s(
    stages: Sequence[Stage], slo: Slo, *, seed: int = 0, requests: int = REQUESTS, spread: float = SPREAD
) -> float:
    """The highest rate of Poisson arrivals at which the latencies keep the SLO; 0.0 where none does.

    The same arrivals and noise at every rate and for every candidate, so that candidates differ by themselves alone.
    Criteria that are not about the whole latency (errors, times of a stream) say nothing here. Raises UsageError for an
    SLO with a throughput.
    """
    generator = np.random.default_rng(seed)
    unit_s = np.cumsum(generator.exponential(1.0, requests))
    noise = np.exp(generator.normal(-(spread**2) / 2, spread, _NOISES)).tolist()
    limits = [(bound_of(criterion), latency_limit_s(criterion)) for criterion in slo.criteria]

    def holds(rate_per_s: float) -> bool:
        times_s = latencies_s(stages, unit_s / rate_per_s, noise=noise)[requests // 10 :]
        return all(_is_kept(bound, limit_s, times_s) for bound, limit_s in limits if limit_s is not None)

    high = 1.02 * saturated_per_s(stages)
    low = high / 50
    if not holds(low):
        return 0.0
    for _ in range(STEPS):
        middle = math.sqrt(low * high) if high / low > 4 else (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def percentile_s(stages: Sequence[Stage], rate_per_s: float, q: float, *, seed: int = 0) -> float:
    """The latency's quantile `q` at a rate of Poisson arrivals, without the first tenth of REQUESTS requests."""
    generator = np.random.default_rng(seed)
    arrivals_s = np.cumsum(generator.exponential(1.0 / rate_per_s, REQUESTS))
    noise = np.exp(generator.normal(-(SPREAD**2) / 2, SPREAD, _NOISES)).tolist()
    return float(np.quantile(latencies_s(stages, arrivals_s, noise=noise)[REQUESTS // 10 :], q))


def latency_limit_s(criterion: Criterion) -> float | None:
    """The time within which a request must be answered by a criterion; None where it is about something else."""
    if criterion.metric == "goodput":
        return min((w.limit_s for w in criterion.within if w.metric in WHOLE), default=None)
    return criterion.limit if criterion.metric in WHOLE else None


def _is_kept(bound: Bound, limit_s: float, times_s: Times) -> bool:
    if bound.is_share:
        return float((times_s > limit_s).mean()) <= bound.limit
    return float(times_s.mean()) <= bound.limit
