"""Latencies of queues and of drifting machines, long enough to know their law, to try statistical rules on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from toolkit.load.queue_model import Law, Queue, QueueModel, finish_times_s, service_times_s

Series = NDArray[np.float64]
Simulation = Callable[[int, int], Series]

#: An execution takes 1 s and a tenth more for every row: 8 rows in 1.8 s, by each of two instances.
BATCHER = Queue(service_s=1.0, row_s=0.1, capacity=2, max_batch_size=8, batch_delay_s=0.3)
SETTLING = 5000


def open_queue(law: Law, load: float) -> Simulation:
    """Poisson arrivals at one server of mean service time 1, in its steady state."""

    def simulate(requests: int, seed: int) -> Series:
        generator = np.random.default_rng(seed)
        arrivals = np.cumsum(generator.exponential(1.0 / load, requests + SETTLING))
        queue = Queue(service_s=1.0, law=law, seed=seed + 1000)
        return (finish_times_s(queue, arrivals) - arrivals)[SETTLING:]

    return simulate


def batcher(load: float) -> Simulation:
    """Poisson arrivals at two instances that batch."""

    def simulate(requests: int, seed: int) -> Series:
        rate = load * BATCHER.capacity * BATCHER.max_batch_size / 1.8
        arrivals = np.cumsum(np.random.default_rng(seed).exponential(1.0 / rate, requests + SETTLING))
        return (finish_times_s(BATCHER, arrivals) - arrivals)[SETTLING:]

    return simulate


def closed_loop(queue: Queue, clients: int = 8, pause_s: float = 0.02) -> Simulation:
    """Each client sends its next request a short pause after its last answer."""

    def simulate(requests: int, seed: int) -> Series:
        sent, done = closed_loop_times(queue, clients, pause_s, requests + SETTLING // 10, seed)
        return (done - sent)[SETTLING // 10 :]

    return simulate


def closed_loop_times(queue: Queue, clients: int, pause_s: float, requests: int, seed: int) -> tuple[Series, Series]:
    """When each request of a closed loop was sent and was done, in the order of the sends."""
    generator, model = np.random.default_rng(seed), QueueModel(queue)
    ready = sorted(generator.random(clients).tolist())
    sent, done = np.zeros(requests + clients), np.full(requests + clients, np.inf)
    begun = finished = 0
    while finished < requests:
        now = min(model.next_event_s(), ready[0] if ready else np.inf)
        for request, at in model.advance(now):
            done[request] = at
            finished += 1
            heapq.heappush(ready, at + generator.exponential(pause_s))
        while ready and ready[0] <= now and begun < len(sent):
            sent[begun] = now
            heapq.heappop(ready)
            model.arrive(begun, now)
            begun += 1
    return sent[:requests], np.minimum(done[:requests], now)


def autoregressive(requests: int, steps: float, generator: np.random.Generator) -> Series:
    """AR(1) with variance 1 whose correlation falls to 1/e over `steps`, by blocks that are short against it."""
    from scipy.signal import lfilter

    phi = np.exp(-1.0 / steps)
    noise = generator.standard_normal(requests) * np.sqrt(1 - phi * phi)
    noise[0] = generator.standard_normal()
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def drifting(load: float, steps: float, spread: float, law: Law = "constant") -> Simulation:
    """An open queue whose service time is modulated by an AR(1), as by neighbours on a shared machine."""

    def simulate(requests: int, seed: int) -> Series:
        generator, count = np.random.default_rng(seed), requests + SETTLING
        arrivals = np.cumsum(generator.exponential(1.0 / load, count))
        service = service_times_s(Queue(service_s=1.0, law=law), count, generator)
        service *= np.exp(spread * autoregressive(count, steps, generator) - spread**2 / 2)
        total = np.cumsum(service)
        return (total + np.maximum.accumulate(arrivals - total + service) - arrivals)[SETTLING:]

    return simulate


def drifting_level(steps: float, spread: float, noise: float = 0.2) -> Simulation:
    """Latencies without a queue, whose level is an AR(1), times independent noise; both lognormal."""

    def simulate(requests: int, seed: int) -> Series:
        generator = np.random.default_rng(seed)
        level = spread * autoregressive(requests, steps, generator)
        return np.asarray(np.exp(level + noise * generator.standard_normal(requests)))

    return simulate


#: What a rule must be right on. Drifts are named by their time constant in requests.
SIMULATIONS: dict[str, Simulation] = {
    "independent": drifting_level(1.0, 0.0, 0.5),
    **{f"M/D/1 {load:.0%}": open_queue("constant", load) for load in (0.5, 0.8, 0.95)},
    **{f"M/M/1 {load:.0%}": open_queue("exponential", load) for load in (0.5, 0.8, 0.95)},
    **{f"bimodal {load:.0%}": open_queue("bimodal", load) for load in (0.5, 0.8, 0.95)},
    **{f"batcher {load:.0%}": batcher(load) for load in (0.5, 0.8, 0.95)},
    "8 clients": closed_loop(Queue(service_s=1.0, law="exponential", capacity=2)),
    "8 clients, batches": closed_loop(
        Queue(service_s=1.0, row_s=0.1, law="exponential", capacity=2, max_batch_size=4, batch_delay_s=0.3)
    ),
    "level drifts 10 %, 1000": drifting_level(1000, 0.1),
    "level drifts 30 %, 1000": drifting_level(1000, 0.3),
    "level drifts 30 %, 100": drifting_level(100, 0.3),
    "M/D/1 50% drifts, 1000": drifting(0.5, 1000, 0.15),
    "M/D/1 80% drifts, 1000": drifting(0.8, 1000, 0.1),
    "M/M/1 80% drifts, 300": drifting(0.8, 300, 0.15, "exponential"),
}
#: Windows shorter than that many time constants of a drift are told in the table, and not counted: from within a
#: window, nothing tells a phase of the machine that is longer than it.
TIME_CONSTANTS = 5


def is_counted(name: str, window: int) -> bool:
    """Whether a window of that many requests is long enough against the drift of a simulation."""
    return "drifts" not in name or window >= TIME_CONSTANTS * int(name.rpartition(" ")[2])


def windows(series: Series, length: int, most: int) -> Iterator[Series]:
    """At most `most` windows of a long series, evenly over it, overlapping by half at most."""
    count = max(1, min(most, 2 * len(series) // length - 1))
    return (series[first : first + length] for first in np.linspace(0, len(series) - length, count).astype(int))
