"""A Triton on a simulated clock, richer than the model that orders candidates: what a search is tried on, SIMULATED.

Executions pay for each request besides the rows, threads speed up less than in proportion, those that share cores slow
each other more than in proportion, one in fifty hiccups, and every configuration has a factor of its own that no model
knows. A `measure` made of it answers every kind of trial from the arrivals of its load.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from simulated_queue import series

from toolkit.load.measurement import BatchCount, ModelSplit
from toolkit.load.pattern import Concurrency, arrivals_s
from toolkit.load.slo import Slo
from toolkit.load.statistics import dependence
from toolkit.tune.batcher import Stage, next_batch
from toolkit.tune.max_rate_probe import Observation, Seen
from toolkit.tune.search import Ask, Tried
from toolkit.tune.space import Setting, Space

CORES = 2
RELOAD_S, OVERHEAD_S = 1.4, 0.05


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a model really costs: an execution, a row of one thread, and a request's handling."""

    fixed_s: float
    row_s: float
    request_s: float = 0.0001
    spread: float = 0.15
    hidden: float = 0.05

    def seconds(self, setting: Setting, size: int, load: float) -> float:
        threads = min(setting.threads or 1, CORES)
        compute_s = self.row_s * size**0.95 / threads**0.7
        return (self.fixed_s + compute_s + self.request_s * size) * max(1.0, (load + 0.2) / CORES) ** 1.15


@dataclass(kw_only=True)
class SimulatedTriton:
    """`truths` by entry, in the order of the pipeline."""

    truths: Mapping[str, Truth]
    space: Space
    slo: Slo
    loaded: str = ""
    hidden: dict[str, float] = field(default_factory=dict)

    def measure(self, ask: Ask, number: int, *, salt: int = 0) -> Tried:
        """What a window would show. The same trial with the same number and salt shows the same."""
        generator = np.random.default_rng([number, salt, _digest(ask.candidate.name)])
        reload_s = 0.0 if self.loaded == ask.candidate.name else RELOAD_S
        self.loaded = ask.candidate.name
        settings = next(c for c in self.space.configurations if c.name == ask.candidate.name).settings
        if isinstance(ask.load, Concurrency):
            latency, ended_s, splits = self._closed(settings, ask.load, generator)
            sent = np.linspace(0, ask.load.warmup_s + ask.load.duration_s, len(latency))
        else:
            sent = arrivals_s(ask.load)
            done, splits = sent, []
            for entry, setting in settings.items():
                done, split = self._stage(entry, setting, done, generator)
                splits.append(split)
            latency, ended_s = done - sent, float(done.max(initial=0.0))
        counted = latency[sent >= ask.load.warmup_s]
        window_s = ask.load.warmup_s + ask.load.duration_s
        finished = (sent + latency >= ask.load.warmup_s) & (sent + latency < window_s)
        return Tried(
            ask=ask,
            observation=self._observation(counted, max(window_s, ended_s) + OVERHEAD_S),
            reload_s=reload_s,
            throughput_per_s=float(finished.sum()) / ask.load.duration_s,
            tail_s=float(np.quantile(counted, 0.95)) if len(counted) else None,
            splits=tuple(splits),
        )

    def _observation(self, latency: NDArray[np.float64], spent_s: float) -> Observation:
        seen = []
        for criterion in self.slo.criteria:
            values = series(criterion, latency)
            effective = len(values) / dependence(latency) if len(values) else 0.0
            mean = float(values.mean()) if len(values) else 0.0
            seen.append(Seen(mean=mean, samples=len(values), effective_samples=effective))
        return Observation(seen=tuple(seen), outcome="UNDECIDED", spent_s=spent_s)

    def _factor(self, entry: str, setting: Setting) -> float:
        """What is special about a configuration; the same every time."""
        key = f"{entry} {setting.name}"
        if key not in self.hidden:
            drawn = np.random.default_rng(_digest(key)).normal(0.0, self.truths[entry].hidden)
            self.hidden[key] = float(np.exp(drawn))
        return self.hidden[key]

    def _stage(
        self, entry: str, setting: Setting, at_s: NDArray[np.float64], generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], ModelSplit]:
        """One entry with arrivals from outside, in the order of their arrival."""
        order = np.argsort(at_s, kind="stable")
        arrivals, done = at_s[order].tolist(), np.empty_like(at_s)
        take = self._taker(entry, setting, generator)
        stage = _stage_of(setting)
        free_s, first, sizes = [-np.inf] * setting.instances, 0, defaultdict[int, list[float]](list)
        while first < len(arrivals):
            ready_s = max(heapq.heappop(free_s), arrivals[first])
            start_s, size = next_batch(stage, arrivals, first, ready_s)
            took_s = take(size, 1 + sum(other > start_s for other in free_s))
            heapq.heappush(free_s, start_s + took_s)
            done[order[first : first + size]] = start_s + took_s
            sizes[size].append(took_s)
            first += size
        return done, _split(entry, sizes, len(arrivals))

    def _taker(self, entry: str, setting: Setting, generator: np.random.Generator) -> Callable[[int, int], float]:
        truth, factor = self.truths[entry], self._factor(entry, setting)
        noise = generator.lognormal(-(truth.spread**2) / 2, truth.spread, 4096)
        noise = np.where(generator.random(4096) < 0.02, 3.0 * noise, noise).tolist()
        drawn = iter(range(1 << 60))

        def take(size: int, busy: int) -> float:
            load = busy * min(setting.threads or 1, CORES)
            return truth.seconds(setting, size, load) * factor * noise[next(drawn) % 4096]

        return take

    def _closed(
        self, settings: Mapping[str, Setting], load: Concurrency, generator: np.random.Generator
    ) -> tuple[NDArray[np.float64], float, list[ModelSplit]]:
        """Clients that ask when answered: rounds in which as many as fit are executed by each stage in turn."""
        until_s, now_s, latency, splits = load.warmup_s + load.duration_s, 0.0, [], []
        sizes: dict[str, defaultdict[int, list[float]]] = {n: defaultdict(list) for n in settings}
        takers = {n: self._taker(n, s, generator) for n, s in settings.items()}
        while now_s < until_s:
            took_s = 0.0
            for entry, setting in settings.items():
                size = min(setting.max_batch_size, -(-load.clients // setting.instances))
                busy = min(setting.instances, -(-load.clients // size))
                rounds = max(1.0, load.clients / (size * busy))
                one_s = takers[entry](size, busy)
                sizes[entry][size] += [one_s] * round(busy * rounds)
                took_s = (
                    max(took_s, one_s * rounds) if len(settings) > 1 and load.clients > 1 else took_s + one_s * rounds
                )
            latency += [took_s * generator.uniform(0.9, 1.1) for _ in range(load.clients)]
            now_s += took_s
        splits = [_split(n, s, len(latency)) for n, s in sizes.items()]
        return np.array(latency), now_s, splits


def _stage_of(setting: Setting) -> Stage:
    return Stage(
        service=lambda size, busy: 0.0,
        instances=setting.instances,
        max_batch_size=setting.max_batch_size,
        queue_delay_s=setting.delay_us / 1e6,
        preferred_batch_sizes=setting.preferred,
    )


def _split(entry: str, sizes: Mapping[int, list[float]], requests: int) -> ModelSplit:
    batches = tuple(
        BatchCount(size=n, executions=len(t), infer_s=sum(t) / len(t)) for n, t in sorted(sizes.items()) if t
    )
    executions = sum(b.executions for b in batches)
    return ModelSplit(
        model=entry,
        requests=requests,
        failures=0,
        executions=executions,
        request_s=0.0,
        queue_s=0.0,
        input_s=0.0,
        infer_s=0.0,
        output_s=0.0,
        cache_hits=0,
        batches=batches,
    )


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
