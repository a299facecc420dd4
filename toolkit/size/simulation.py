"""What a chain of queues does under a load, on a simulated clock: a Load goes in, latencies come out.

In: the queues that one request passes in turn, and a closed loop or the moments of an open one. Pure. It does not know
where the queues come from (queue_fit.py) or what is wanted of the latencies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from math import inf

import numpy as np
from numpy.typing import NDArray

from toolkit.load.pattern import Concurrency, Load, arrivals_s
from toolkit.load.queue_model import Queue, QueueModel, finish_times_s

Seconds = NDArray[np.float64]

#: Of every simulation, this share of the requests comes first and does not count: the queue fills.
WARMUP = 0.1
OTHER_SEEDS = 7919


def latencies_s(stages: Sequence[Queue], load: Load, *, overhead_s: float = 0.0, requests: int = 20_000) -> Seconds:
    """The latencies of about `requests` requests, in the order of their beginnings, without the first tenth.

    `overhead_s` is what every request takes outside the queues. An open load keeps its rate and kind of arrivals, and
    is as long as `requests` need.
    """
    # A stage must not draw the very numbers that the arrivals are drawn from.
    stages = [replace(stage, seed=OTHER_SEEDS + number) for number, stage in enumerate(stages)]
    if isinstance(load, Concurrency):
        begins_s, ends_s = _closed(stages, load.clients, overhead_s, requests)
    else:
        begins_s = _moments_s(load, requests)
        ends_s = open_finishes_s(stages, begins_s) + overhead_s
    return (ends_s - begins_s)[int(WARMUP * len(begins_s)) :]


def open_finishes_s(stages: Sequence[Queue], begins_s: Seconds) -> Seconds:
    """When requests that arrive at `begins_s` (ascending) have passed all stages, one after the other."""
    at_s = begins_s
    for stage in stages:
        order = np.argsort(at_s, kind="stable")
        finished = np.empty_like(at_s)
        finished[order] = finish_times_s(stage, at_s[order])
        at_s = finished
    return at_s


def _moments_s(load: Load, requests: int) -> Seconds:
    """About as many arrivals as asked, by stretching the duration of the load; a trace is as long as it is."""
    if isinstance(load, Concurrency) or hasattr(load, "timestamps_s"):
        return arrivals_s(load)  # type: ignore[arg-type]
    mean_per_s = load.rate_per_s if hasattr(load, "rate_per_s") else (load.from_per_s + load.to_per_s) / 2
    return arrivals_s(replace(load, duration_s=requests / mean_per_s, warmup_s=0.0))


def _closed(stages: Sequence[Queue], clients: int, overhead_s: float, requests: int) -> tuple[Seconds, Seconds]:
    """Clients that ask again when they are answered; the overhead passes before each request reaches the server."""
    models = [QueueModel(stage) for stage in stages]
    begins_s, ends_s = np.zeros(requests), np.full(requests, np.nan)
    begun = min(clients, requests)
    # (time, request, the stage that it arrives at); clients start a little apart, as they really do.
    events = [(overhead_s * (1 + number / max(begun, 1)), number, 0) for number in range(begun)]
    finished = 0

    def completed(request: int, at_s: float) -> None:
        nonlocal begun, finished
        ends_s[request] = at_s
        finished += 1
        if begun < requests:
            begins_s[begun] = at_s
            heappush(events, (at_s + overhead_s, begun, 0))
            begun += 1

    events.sort()
    next_s = [inf] * len(models)
    while finished < requests:
        _advance(models, next_s, events, completed)
    return begins_s, ends_s


def _advance(
    models: Sequence[QueueModel],
    next_s: list[float],
    events: list[tuple[float, int, int]],
    completed: Callable[[int, float], None],
) -> None:
    """Go on to the next moment at which something happens, and let it happen. next_s: by stage, when something will."""
    now_s = min(events[0][0] if events else inf, *next_s)
    for stage, model in enumerate(models):
        if next_s[stage] > now_s:
            continue
        for request, at_s in model.advance(now_s):
            if stage + 1 < len(models):
                heappush(events, (at_s, request, stage + 1))
            else:
                completed(request, at_s)
        next_s[stage] = model.next_event_s()
    while events and events[0][0] <= now_s:
        at_s, request, stage = heappop(events)
        models[stage].arrive(request, at_s)
        next_s[stage] = models[stage].next_event_s()
