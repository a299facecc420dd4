"""A grid of configurations, each measured at rates around its knee: how it is recorded, kept, and replayed.

Recording is a search like any other (toolkit/tune/search.py), so the same loop, journal and `--resume` do it. A replay
is a `measure` made of what was recorded: between recorded windows it interpolates, its noise is that of the repeats.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.load.measurement import BatchCount, ModelSplit
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.slo import slo_from_text
from toolkit.records import from_data, to_data
from toolkit.tune.comparison import climb_clients
from toolkit.tune.decision import Candidate
from toolkit.tune.evidence import sustained
from toolkit.tune.expect import filling_clients
from toolkit.tune.max_rate_probe import Observation, Seen, bound_of
from toolkit.tune.methods import FIRST, find_rate
from toolkit.tune.plan import Plan
from toolkit.tune.search import Ask, Ledger, Search, Tried, clients_load, rate_load
from toolkit.tune.space import Space

#: Rates of the recorded windows, as multiples of the knee that was found.
AROUND = (0.6, 0.8, 0.92, 1.0, 1.1, 1.3)
REPEATS = 2
#: Windows with which the knee is found, in the first repeat.
KNEE_WINDOWS = 4


def recording(plan: Plan, ledger: Ledger, space: Space) -> Search:
    """Every configuration in every repeat: closed loops, and windows at AROUND times its knee.

    A repeat goes through the whole grid before the next begins, so that what changed in the meantime is in the noise.
    """
    expected = {e.candidate.name: e.rate_per_s for e in plan.ranked}
    knees: dict[str, float] = {}
    for repeat in range(REPEATS):
        for configuration in space.configurations:
            candidate = configuration.candidate
            for clients in sorted({1, filling_clients(configuration), climb_clients(configuration)}):
                if (yield Ask(candidate=candidate, load=clients_load(clients, plan.window_s), why="probe")).refused:
                    break
            if repeat == 0:
                first = FIRST * max(expected[candidate.name], 1.0)
                knees[candidate.name] = (
                    yield from find_rate(plan, ledger, candidate, first, windows=KNEE_WINDOWS)
                ) or first
            for share in AROUND:
                rate = share * knees[candidate.name]
                yield Ask(
                    candidate=candidate, load=rate_load(rate, plan.window_at(rate), seed=len(ledger.tried)), why="load"
                )


# --- the file ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Window:
    """One recorded window: `rate` of an open loop, else `clients`; `batches` by entry, of closed loops alone."""

    rate: float
    clients: int
    duration_s: float
    spent_s: float
    reload_s: float
    throughput_per_s: float
    seen: tuple[Seen, ...]
    batches: dict[str, tuple[BatchCount, ...]]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A whole grid. `simulated`: from a server on a simulated clock. `machine`: where else.

    `window_s`: the shortest window of the recording.
    """

    title: str
    simulated: bool
    machine: str
    slo: str
    cores: float
    space: Space
    window_s: float = 1.0
    windows: dict[str, tuple[Window, ...]] = field(default_factory=dict)

    @cached_property
    def spent_s(self) -> float:
        """What measuring all of it took, reloads included."""
        return sum(w.spent_s + w.reload_s for windows in self.windows.values() for w in windows)

    @cached_property
    def bounds(self) -> tuple[Any, ...]:
        return tuple(bound_of(c) for c in slo_from_text(self.slo).criteria)

    @cached_property
    def rates(self) -> dict[str, float]:
        """The sustained rate of every configuration, by all of its windows in both repeats; 0 where there is none."""
        found = {}
        for name, windows in self.windows.items():
            tried = [
                _tried(Ask(candidate=Candidate(name=name, config={}), load=_load(w), why="load"), w) for w in windows
            ]
            estimate = sustained(
                [t for t in tried if isinstance(t.ask.load, RequestRate)], self.bounds, _middle(windows)
            )
            found[name] = estimate.rate_per_s if estimate else 0.0
        return found


def grid_of(ledger: Ledger, space: Space, **facts: Any) -> Grid:
    """What was recorded as a Grid."""
    windows: dict[str, list[Window]] = {}
    for tried in ledger.tried:
        if not tried.refused:
            windows.setdefault(tried.ask.candidate.name, []).append(_window(tried))
    return Grid(space=space, windows={n: tuple(w) for n, w in windows.items()}, **facts)


def _window(tried: Tried) -> Window:
    load = tried.ask.load
    closed = isinstance(load, Concurrency)
    return Window(
        rate=load.rate_per_s if isinstance(load, RequestRate) else 0.0,
        clients=load.clients if isinstance(load, Concurrency) else 0,
        duration_s=load.duration_s,
        spent_s=tried.observation.spent_s,
        reload_s=tried.reload_s,
        throughput_per_s=tried.throughput_per_s,
        seen=tried.observation.seen,
        batches={s.model: s.batches for s in tried.splits} if closed else {},
    )


def write_grid(path: Path, grid: Grid) -> None:
    """As compressed JSON, six digits a number."""
    data = to_data(grid)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_short(data), separators=(",", ":"))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def read_grid(path: Path) -> Grid:
    """What `write_grid` wrote."""
    return from_data(Grid, json.loads(gzip.decompress(path.read_bytes())), str(path))


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    return [_short(v) for v in value] if isinstance(value, list | tuple) else value


# --- the replay -------------------------------------------------------------------------------------------------------


class Replay:
    """A `measure` that answers from a grid. Noise follows from `seed` and the trial's number."""

    def __init__(self, grid: Grid, seed: int) -> None:
        self.grid, self.seed, self.loaded = grid, seed, ""
        self.deviation = repeat_deviation(grid)

    def measure(self, ask: Ask, number: int) -> Tried:
        """A recorded closed window, or an open one between those that were recorded."""
        name, generator = ask.candidate.name, np.random.default_rng([self.seed, number])
        windows = self.grid.windows[name]
        reload_s = float(np.mean([w.reload_s for w in windows if w.reload_s])) if self.loaded != name else 0.0
        self.loaded = name
        if isinstance(ask.load, RequestRate):
            window = self._between([w for w in windows if w.rate], ask.load, generator)
        else:
            clients = ask.load.clients
            nearest = min(abs(math.log(w.clients / clients)) for w in windows if w.clients)
            same = [w for w in windows if w.clients and abs(math.log(w.clients / clients)) == nearest]
            window = same[int(generator.integers(len(same)))]
            scale = (ask.load.duration_s + ask.load.warmup_s) / (1.25 * window.duration_s)
            window = replace(window, spent_s=window.spent_s * scale)
        return _tried(ask, replace(window, reload_s=reload_s))

    def _between(self, windows: Sequence[Window], load: RequestRate, generator: np.random.Generator) -> Window:
        x = np.log([w.rate for w in windows])
        order = np.argsort(x)
        at = math.log(load.rate_per_s)

        def interpolated(values: Sequence[float]) -> float:
            return float(np.interp(at, *_mean_by_rate(x[order], np.asarray(values)[order])))

        samples = max(1, round(load.rate_per_s * load.duration_s))
        scale = math.sqrt(np.mean([w.duration_s for w in windows]) / load.duration_s)
        seen = []
        for index, bound in enumerate(self.grid.bounds):
            link = interpolated([_link(w.seen[index], bound.is_share) for w in windows])
            link += _slope_outside(x, at) + scale * self.deviation[index] * generator.standard_normal()
            mean = _inverse(link, bound.is_share)
            if bound.is_share:
                mean = min(1.0, math.floor(mean * samples + generator.random()) / samples)
            tau = math.exp(interpolated([math.log(_tau(w.seen[index])) for w in windows]))
            seen.append(Seen(mean=mean, samples=samples, effective_samples=samples / tau))
        return Window(
            rate=load.rate_per_s,
            clients=0,
            duration_s=load.duration_s,
            spent_s=(load.duration_s + load.warmup_s)
            * interpolated([w.spent_s / (1.25 * w.duration_s) for w in windows]),
            reload_s=0.0,
            throughput_per_s=load.rate_per_s * min(1.0, interpolated([w.throughput_per_s / w.rate for w in windows])),
            seen=tuple(seen),
            batches={},
        )


def repeat_deviation(grid: Grid) -> tuple[float, ...]:
    """The standard deviation of the link between windows that were meant to be alike, for each criterion."""
    found = []
    for index, bound in enumerate(grid.bounds):
        differences = []
        for windows in grid.windows.values():
            by_rate: dict[float, list[float]] = {}
            for w in windows:
                if w.rate and w.seen[index].samples and _tells(w.seen[index].mean, bound.is_share):
                    by_rate.setdefault(w.rate, []).append(_link(w.seen[index], bound.is_share))
            differences += [pair[1] - pair[0] for pair in by_rate.values() if len(pair) == 2]
        found.append(float(np.sqrt(np.mean(np.square(differences)) / 2)) if differences else 0.5)
    return tuple(found)


def _tells(mean: float, is_share: bool) -> bool:
    return 0.001 < mean < 0.9 if is_share else mean > 0


def _mean_by_rate(x: Any, y: Any) -> tuple[Any, Any]:
    places = np.unique(x)
    return places, np.array([y[x == place].mean() for place in places])


def _slope_outside(x: Any, at: float) -> float:
    """Below the lowest recorded rate misses get fewer, by the slope that queues have; above the highest, more."""
    return 8.0 * (min(0.0, at - float(x.min())) + max(0.0, at - float(x.max())))


def _link(seen: Seen, is_share: bool) -> float:
    if not is_share:
        return math.log(max(seen.mean, 1e-9))
    mean = min(max(seen.mean, 0.3 / max(1, seen.samples)), 1 - 0.3 / max(1, seen.samples))
    return math.log(mean / (1 - mean))


def _inverse(link: float, is_share: bool) -> float:
    return 1 / (1 + math.exp(-min(max(link, -60.0), 60.0))) if is_share else math.exp(link)


def _tau(seen: Seen) -> float:
    return max(1.0, seen.samples / max(seen.effective_samples, 1e-9))


def _load(window: Window) -> Any:
    if window.rate:
        return rate_load(window.rate, window.duration_s, seed=0)
    return clients_load(window.clients, window.duration_s)


def _middle(windows: Sequence[Window]) -> float:
    rates = [w.rate for w in windows if w.rate]
    return float(np.median(rates)) if rates else 1.0


def _tried(ask: Ask, window: Window) -> Tried:
    splits = tuple(
        ModelSplit(
            model=n, requests=1, failures=0, executions=1, request_s=0, queue_s=0, input_s=0, infer_s=0, output_s=0,
            cache_hits=0, batches=b,
        )
        for n, b in window.batches.items()
    )  # fmt: skip
    observation = Observation(seen=window.seen, outcome="UNDECIDED", spent_s=window.spent_s)
    return Tried(
        ask=ask,
        observation=observation,
        reload_s=window.reload_s,
        throughput_per_s=window.throughput_per_s,
        splits=splits,
    )
