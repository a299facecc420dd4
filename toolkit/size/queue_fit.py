"""The queues of a served model, fitted to what Triton's statistics say: how long an execution takes by batch size.

In: the server's side of one or more load points, and how each model is served. Out: a chain of Queues. Pure.
Executions are taken as equally long: the statistics hold means only. What that costs is part of a curve's error.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.load.measurement import Measurement
from toolkit.load.queue_model import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How one model is served: Triton's instances, its largest batch, and how long it waits for one to fill."""

    instances: int = 1
    max_batch_size: int = 1
    queue_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The queues that a request passes in turn, and the mean time that it spends outside them."""

    stages: tuple[Queue, ...]
    overhead_s: float

    @property
    def capacity_per_s(self) -> float:
        """The rate that the slowest stage can do with full batches."""
        rates = [
            q.capacity * q.max_batch_size / (q.service_s + q.row_s * q.max_batch_size)
            for q in self.stages
            if q.service_s + q.row_s > 0
        ]
        return min(rates, default=float("inf"))


def chain_of(measurements: Sequence[Measurement], served: Mapping[str, Served]) -> Chain | None:
    """The chain of the models in `served` that executed, in the order of the statistics; None without statistics."""
    stages = []
    for model in dict.fromkeys(split.model for m in measurements for split in m.models if split.model in served):
        stages.append(_stage(model, measurements, served[model]))
    outside_s = [
        m.split.network_s + m.split.client_s + max(0.0, m.split.remainder_s)
        for m in measurements
        if m.split is not None
    ]
    found = tuple(stage for stage in stages if stage is not None)
    return Chain(stages=found, overhead_s=min(outside_s, default=0.0)) if found else None


def _stage(model: str, measurements: Sequence[Measurement], served: Served) -> Queue | None:
    """One model's queue. An instance is held while it gathers inputs, runs, and gives the outputs away."""
    seen: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for split in (s for m in measurements for s in m.models if s.model == model):
        for batch in split.batches:
            seen[batch.size].append((batch.infer_s + split.input_s + split.output_s, batch.executions))
    if not seen:
        return None
    sizes = np.array(sorted(seen), dtype=np.float64)
    times_s = np.array([_mean(seen[int(size)]) for size in sizes])
    weights = np.array([sum(count for _, count in seen[int(size)]) for size in sizes], dtype=np.float64)
    service_s, row_s = service_line(sizes, times_s, weights)
    return Queue(
        service_s=service_s,
        row_s=row_s,
        capacity=served.instances,
        max_batch_size=max(1, served.max_batch_size),
        batch_delay_s=served.queue_delay_s if served.max_batch_size > 1 else 0.0,
    )


def _mean(pairs: Sequence[tuple[float, int]]) -> float:
    return sum(time_s * count for time_s, count in pairs) / sum(count for _, count in pairs)


def service_line(
    sizes: NDArray[np.float64], times_s: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, float]:
    """`time = service + row * size` by weighted least squares, neither part negative.

    Of one size alone the whole time is the rows', unless that size is 1: nobody saw that a batch saves anything.
    """
    if len(sizes) == 1:
        return (0.0, float(times_s[0] / sizes[0])) if sizes[0] > 1 else (float(times_s[0]), 0.0)
    mean_size, mean_s = np.average(sizes, weights=weights), np.average(times_s, weights=weights)
    spread = float(np.average((sizes - mean_size) ** 2, weights=weights))
    row_s = float(np.average((sizes - mean_size) * (times_s - mean_s), weights=weights)) / spread
    row_s = min(max(row_s, 0.0), float(mean_s / mean_size))
    return float(mean_s - row_s * mean_size), row_s
