"""A queue of known behaviour: when each request that arrives will be done. Pure; no clock, no sockets.

The null server answers by it on the real clock, and tests of the verdict, of the search for the highest rate and of
the certificate run it on a simulated one. First come, first served, by `capacity` servers; each takes up to
`max_batch_size` waiting requests at a time, and waits `batch_delay_s` for a batch to fill.
Every call costs a logarithm of what is waiting and running at most, so that a long queue does not slow the model down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from math import inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import UsageError

Law = Literal["constant", "exponential", "bimodal"]

#: bimodal: nine requests in ten take half the mean, the tenth takes five and a half times the mean.
BIMODAL_SHARE, BIMODAL_SHORT, BIMODAL_LONG = 0.9, 0.5, 5.5
_DRAWS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """What the servers do. `service_s` is the mean time of one execution, to which every row of a batch adds `row_s`.

    From `stall_at_s` on, measured from the first arrival, nothing is begun or finished for `stall_s`; no stall when 0.
    A request that finds `max_queue_size` others waiting is refused; 0 means no limit (Triton's name and meaning).
    """

    service_s: float = 0.0
    row_s: float = 0.0
    law: Law = "constant"
    capacity: int = 1
    max_batch_size: int = 1
    batch_delay_s: float = 0.0
    max_queue_size: int = 0
    stall_at_s: float = 0.0
    stall_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a queue that cannot be. Raises UsageError."""
        for name in ("capacity", "max_batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{type(self).__name__}.{name} is {getattr(self, name)}; expected 1 or more")
        for name in ("service_s", "row_s", "batch_delay_s", "max_queue_size", "stall_at_s", "stall_s"):
            if not 0 <= getattr(self, name) < inf:
                raise UsageError(f"{type(self).__name__}.{name} is {getattr(self, name)}; expected 0 or more")


class QueueModel:
    """The state of a Queue. Give it arrivals in their order, and ask it what is done by when.

    `arrive` and `advance` must be called with times that do not fall. What `advance` has told stands in the counts:
    `queue_s` and `execution_s` are sums over requests, `executions` and `batch_s` (their time) go by batch size.
    """

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.queue_s = self.execution_s = 0.0
        self.executions: Counter[int] = Counter()
        self.batch_s: defaultdict[int, float] = defaultdict(float)
        self._draws = _draws_s(queue)
        self._waiting: deque[tuple[int, float]] = deque()
        self._begins_s: deque[float] = deque()  # of requests that do not wait for a batch, and have a place already
        self._free_at_s = [-inf] * queue.capacity
        # finish, number of the execution, begin, requests, sum of their arrivals
        self._running: list[tuple[float, int, float, tuple[int, ...], float]] = []
        self._begun = 0
        self._stall_s: tuple[float, float] | None = None

    def arrive(self, request: int, now_s: float) -> bool:
        """A request joins the queue; False when it is refused because the queue is full."""
        if self._stall_s is None:
            start_s = now_s + self.queue.stall_at_s
            self._stall_s = (start_s, start_s + self.queue.stall_s)
        if self.queue.max_batch_size == 1:
            return self._arrive_alone(request, now_s)
        if self.queue.max_queue_size:
            self._begin_batches(now_s)
            if len(self._waiting) >= self.queue.max_queue_size:
                return False
        self._waiting.append((request, now_s))
        self._begin_batches(now_s)
        return True

    def next_event_s(self) -> float:
        """When something will happen without another arrival; infinite when nothing is waiting or running."""
        finish_s = self._running[0][0] if self._running else inf
        return min(finish_s, self._next_begin_s()) if self._waiting else finish_s

    def advance(self, now_s: float) -> list[tuple[int, float]]:
        """The requests that are done by `now_s` and have not been told yet, with their times, in the order of these."""
        self._begin_batches(now_s)
        running = self._running
        done: list[tuple[int, float]] = []
        while running and running[0][0] <= now_s:
            finish_s, _, begin_s, requests, arrivals_s = heappop(running)
            size, execution_s = len(requests), finish_s - begin_s
            self.executions[size] += 1
            self.batch_s[size] += execution_s
            self.execution_s += execution_s * size
            self.queue_s += begin_s * size - arrivals_s
            done.extend((request, finish_s) for request in requests)
        return done

    def _arrive_alone(self, request: int, now_s: float) -> bool:
        """Without batches the begin is known on arrival: when the first server is free."""
        free_s = self._free_at_s[0]
        if free_s <= now_s:
            self._begin(now_s, (request,), now_s)
            return True
        if self.queue.max_queue_size:
            begins_s = self._begins_s
            while begins_s and begins_s[0] <= now_s:
                begins_s.popleft()
            if len(begins_s) >= self.queue.max_queue_size:
                return False
            begins_s.append(free_s)
        self._begin(free_s, (request,), now_s)
        return True

    def _begin_batches(self, now_s: float) -> None:
        waiting, most = self._waiting, self.queue.max_batch_size
        while waiting and (begin_s := self._next_begin_s()) <= now_s:
            requests: list[int] = []
            arrivals_s = 0.0
            while waiting and len(requests) < most and waiting[0][1] <= begin_s:
                request, arrived_s = waiting.popleft()
                requests.append(request)
                arrivals_s += arrived_s
            self._begin(begin_s, tuple(requests), arrivals_s)

    def _next_begin_s(self) -> float:
        """When the next batch is begun: a server is free, and the batch is full or its first request waited enough."""
        waiting, most = self._waiting, self.queue.max_batch_size
        ready_s = waiting[0][1] + self.queue.batch_delay_s
        if len(waiting) >= most:
            ready_s = min(ready_s, waiting[most - 1][1])
        return max(self._free_at_s[0], ready_s)

    def _begin(self, begin_s: float, requests: tuple[int, ...], arrivals_s: float) -> None:
        finish_s = begin_s + next(self._draws) + self.queue.row_s * len(requests)
        if self.queue.stall_s:
            finish_s = self._after_stall(begin_s, finish_s)
        heapreplace(self._free_at_s, finish_s)
        self._begun += 1
        heappush(self._running, (finish_s, self._begun, begin_s, requests, arrivals_s))

    def _after_stall(self, begin_s: float, finish_s: float) -> float:
        """When an execution is done: one that meets the stall is as much later as the stall lasts from then on."""
        start_s, end_s = self._stall_s or (0.0, 0.0)
        if end_s <= begin_s or finish_s <= start_s:
            return finish_s
        return finish_s + end_s - max(begin_s, start_s)


def service_times_s(queue: Queue, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """`count` draws from the law of the service time, without the rows' part."""
    if queue.law == "exponential":
        return generator.exponential(queue.service_s, count)
    if queue.law == "bimodal":
        short = generator.random(count) < BIMODAL_SHARE
        return queue.service_s * np.where(short, BIMODAL_SHORT, BIMODAL_LONG)
    return np.full(count, queue.service_s)


def _draws_s(queue: Queue) -> Iterator[float]:
    """The same draws one by one, made by the thousand."""
    generator = np.random.default_rng(queue.seed)
    while True:
        yield from service_times_s(queue, _DRAWS, generator).tolist()


def finish_times_s(queue: Queue, arrivals_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """When each of `arrivals_s` (ascending) is done, on a simulated clock; NaN for one that is refused.

    Without stall and limit, one server without batches is computed at once (Lindley's recursion), the others batch by
    batch; all else goes event by event.
    """
    is_plain = not queue.stall_s and not queue.max_queue_size
    if is_plain and queue.capacity == 1 and queue.max_batch_size == 1:
        service_s = service_times_s(queue, len(arrivals_s), np.random.default_rng(queue.seed)) + queue.row_s
        total_s = np.cumsum(service_s)
        idle_s = np.maximum.accumulate(arrivals_s - total_s + service_s)
        finish_s: NDArray[np.float64] = total_s + idle_s
        return finish_s
    if is_plain:
        return np.array(_finishes_s(queue, arrivals_s.tolist()))
    model, finish_s = QueueModel(queue), np.full(len(arrivals_s), np.nan)
    for request, now_s in enumerate(arrivals_s.tolist()):
        for done, at_s in model.advance(now_s):
            finish_s[done] = at_s
        model.arrive(request, now_s)
    for done, at_s in model.advance(inf):
        finish_s[done] = at_s
    return finish_s


def _finishes_s(queue: Queue, arrivals_s: list[float]) -> list[float]:
    """What a QueueModel without stall and limit comes to, batch by batch since all arrivals are known.

    Arrivals of one moment come one after the other there: a batch that begins at that moment has those before them.
    """
    most, delay_s = queue.max_batch_size, queue.batch_delay_s if queue.max_batch_size > 1 else 0.0
    free_at_s, draws, finish_s = [-inf] * queue.capacity, _draws_s(queue), list(arrivals_s)
    first, count = 0, len(arrivals_s)
    while first < count:
        due_s = arrivals_s[first] + delay_s
        full_s = arrivals_s[first + most - 1] if first + most <= count else inf
        begin_s = max(free_at_s[0], min(due_s, full_s))
        end = bisect_left(arrivals_s, begin_s, first, min(first + most, count))
        end = first + most if full_s == begin_s < due_s else max(end, first + 1)
        done_s = begin_s + next(draws) + queue.row_s * (end - first)
        heapreplace(free_at_s, done_s)
        finish_s[first:end] = [done_s] * (end - first)
        first = end
    return finish_s
