"""A queue of known behaviour: when each request that arrives will be done. Pure; no clock, no sockets.

The null server answers by it on the real clock, and tests of the verdict, of the search for the highest rate and of
the certificate run it on a simulated one. First come, first served, by `capacity` servers; each takes up to
`max_batch_size` waiting requests at a time, and waits `batch_delay_s` for a batch to fill.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Law = Literal["constant", "exponential", "bimodal"]

#: bimodal: nine requests in ten take half the mean, the tenth takes five and a half times the mean.
BIMODAL_SHARE, BIMODAL_SHORT, BIMODAL_LONG = 0.9, 0.5, 5.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What the servers do. `service_s` is the mean time of one execution, to which every row of a batch adds `row_s`.

    From `stall_at_s` on, measured from the first arrival, nothing is begun or finished for `stall_s`; no stall when 0.
    """

    service_s: float = 0.0
    row_s: float = 0.0
    law: Law = "constant"
    capacity: int = 1
    max_batch_size: int = 1
    batch_delay_s: float = 0.0
    stall_at_s: float = 0.0
    stall_s: float = 0.0
    seed: int = 0


class QueueModel:
    """The state of a Queue. Give it arrivals in their order, and ask it what is done by when.

    `arrive` and `advance` must be called with times that do not fall.
    """

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.waiting: deque[tuple[int, float]] = deque()
        self.free_at_s = [0.0] * queue.capacity
        self.running: list[tuple[float, tuple[int, ...]]] = []
        self.began_s: float | None = None
        self._random = np.random.default_rng(queue.seed)

    def arrive(self, request: int, now_s: float) -> None:
        """A request joins the queue."""
        if self.began_s is None:
            self.began_s = now_s
        self.waiting.append((request, now_s))
        self._begin(now_s)

    def next_event_s(self) -> float:
        """When something will happen without another arrival; infinite when nothing is waiting or running."""
        finish_s = min((finish for finish, _ in self.running), default=np.inf)
        return min(finish_s, self._next_begin_s()) if self.waiting else finish_s

    def advance(self, now_s: float) -> list[tuple[int, float]]:
        """The requests that are done by `now_s` and have not been told yet, with their times, in the order of these."""
        while self.waiting and (begin_s := self._next_begin_s()) <= now_s:
            self._begin(begin_s)
        done = sorted(batch for batch in self.running if batch[0] <= now_s)
        self.running = [batch for batch in self.running if batch[0] > now_s]
        return [(request, finish_s) for finish_s, requests in done for request in requests]

    def _next_begin_s(self) -> float:
        """When the next batch is begun: a server is free, and the batch is full or its first request waited enough."""
        free_s = min(self.free_at_s)
        if len(self.waiting) >= self.queue.max_batch_size:
            return max(free_s, self.waiting[self.queue.max_batch_size - 1][1])
        return max(free_s, self.waiting[0][1] + self.queue.batch_delay_s)

    def _begin(self, now_s: float) -> None:
        while self.waiting and (begin_s := self._next_begin_s()) <= now_s:
            size = min(self.queue.max_batch_size, sum(arrived <= begin_s for _, arrived in self.waiting))
            requests = tuple(self.waiting.popleft()[0] for _ in range(max(1, size)))
            finish_s = self._after_stall(begin_s, self._execution_s(len(requests)))
            self.free_at_s[self.free_at_s.index(min(self.free_at_s))] = finish_s
            self.running.append((finish_s, requests))

    def _execution_s(self, size: int) -> float:
        return float(service_times_s(self.queue, 1, self._random)[0]) + self.queue.row_s * size

    def _after_stall(self, begin_s: float, execution_s: float) -> float:
        """When an execution is done: one that meets the stall is as much later as the stall lasts from then on."""
        start_s = (self.began_s or 0.0) + self.queue.stall_at_s
        end_s = start_s + self.queue.stall_s
        if end_s <= begin_s or begin_s + execution_s <= start_s or not self.queue.stall_s:
            return begin_s + execution_s
        return begin_s + execution_s + end_s - max(begin_s, start_s)


def service_times_s(queue: Queue, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """`count` draws from the law of the service time, without the rows' part."""
    if queue.law == "exponential":
        return generator.exponential(queue.service_s, count)
    if queue.law == "bimodal":
        short = generator.random(count) < BIMODAL_SHARE
        return queue.service_s * np.where(short, BIMODAL_SHORT, BIMODAL_LONG)
    return np.full(count, queue.service_s)


def finish_times_s(queue: Queue, arrivals_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """When each of `arrivals_s` (ascending) is done, on a simulated clock.

    One server without batches and stall is computed at once (Lindley's recursion), anything else event by event.
    """
    if queue.capacity == 1 and queue.max_batch_size == 1 and not queue.stall_s:
        service_s = service_times_s(queue, len(arrivals_s), np.random.default_rng(queue.seed)) + queue.row_s
        total_s = np.cumsum(service_s)
        idle_s = np.maximum.accumulate(arrivals_s - total_s + service_s)
        finish_s: NDArray[np.float64] = total_s + idle_s
        return finish_s
    model, finish_s = QueueModel(queue), np.empty(len(arrivals_s))
    for request, now_s in enumerate(arrivals_s.tolist()):
        for done, at_s in model.advance(now_s):
            finish_s[done] = at_s
        model.arrive(request, now_s)
    for done, at_s in model.advance(np.inf):
        finish_s[done] = at_s
    return finish_s
