"""Looking at the server at the edges of a window, while the load goes on, from a thread of its own.

In: an endpoint, and from whoever drives the load the word that the window is open, then that it is closed. Out: an
Observed: statistics, processes, /metrics, GPUs and the container's throttling, each as it was at the two edges.
Only GPUs are looked at in between, five times a second: everything else would disturb what it looks at. Stopping the
load for the reading would empty the server's queues.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from toolkit.environment import cpu_throttled_s
from toolkit.errors import ServerTrouble
from toolkit.load.engine import Progress
from toolkit.load.gpu import SAMPLE_PERIOD_S, GpuSample, GpuSampler, gpu_use
from toolkit.load.measurement import GpuUse
from toolkit.load.pattern import Load
from toolkit.load.process_tree import TreeReading, read_processes, tree_of
from toolkit.load.server_metrics import Sample, read_metrics
from toolkit.load.telemetry import Snapshot, snapshot
from toolkit.serve.server import Endpoint, is_on_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What was seen at one edge. `statistics` is None where there are none, and `trouble` says why."""

    statistics: Snapshot | None
    trouble: str
    processes: TreeReading
    metrics: tuple[Sample, ...]
    cpu_throttled_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Both edges of a window, and what the GPUs of this machine did in between."""

    before: Edge
    after: Edge
    gpus: tuple[GpuUse, ...]


class Window:
    """By which a load tells its observer when the window opens and closes; both may be said more than once."""

    def __init__(self) -> None:
        self._opened, self._closed = threading.Event(), threading.Event()
        self._reading: Future[Observed]

    @property
    def is_open(self) -> bool:
        """Whether it was opened, closed since or not."""
        return self._opened.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether it is over."""
        return self._closed.is_set()

    def open(self) -> None:
        """The warm-up is over."""
        self._opened.set()

    def close(self) -> None:
        """The window is over; one that was never opened is both."""
        self._opened.set()
        self._closed.set()

    def follow(self, load: Load, progress: Progress | None) -> Progress:
        """A `progress` for the engine that opens and closes this window by the engine's own clock."""
        opens_at = load.warmup_s / (load.warmup_s + load.duration_s)

        def watch(share: float, finished: int) -> None:
            if share >= opens_at and not self.is_open:
                self.open()
            if share >= 1.0 and not self.is_closed:
                self.close()
            if progress is not None:
                progress(share, finished)

        return watch

    def observed(self) -> Observed:
        """What was seen; for after the `observing` block."""
        return self._reading.result()

    def read(self, endpoint: Endpoint, models: Sequence[str], pid: int | None) -> Observed:
        """Wait for the edges and look at the server at each; runs in the thread."""
        sampler = GpuSampler() if pid is not None or is_on_loopback(endpoint) else None
        tree = tree_of(pid) if pid is not None else ()
        self._opened.wait()
        before = _edge(endpoint, models, tree)
        samples: list[GpuSample] = []
        while not self._closed.wait(SAMPLE_PERIOD_S if sampler and sampler.has_gpus else None):
            samples += sampler.sample() if sampler else ()
        # Processes that came in the meantime are looked for now that it disturbs nothing.
        after = _edge(endpoint, models, tree_of(pid) if pid is not None else ())
        if sampler:
            sampler.close()
        return Observed(before=before, after=after, gpus=gpu_use(samples))


@contextmanager
def observing(endpoint: Endpoint, models: Sequence[str], pid: int | None) -> Iterator[Window]:
    """Observe `models` and the process `pid` (None: it is not known) while the context lasts."""
    window = Window()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="observer") as thread:
        try:  # around the start too: a thread that Ctrl-C left to itself would keep the process from ending
            window._reading = thread.submit(window.read, endpoint, models, pid)
            yield window
        finally:
            window.close()


def _edge(endpoint: Endpoint, models: Sequence[str], tree: Sequence[int]) -> Edge:
    statistics, trouble = None, "the server has only a gRPC address"
    if endpoint.http:
        try:
            statistics, trouble = snapshot(endpoint, models), ""
        except ServerTrouble as err:
            trouble = err.message
    return Edge(
        statistics=statistics,
        trouble=trouble,
        processes=read_processes(tree),
        metrics=read_metrics(endpoint.metrics),
        cpu_throttled_s=cpu_throttled_s(),
    )
