"""How long an execution takes by its batch size, from what the server's own statistics say of a few probes. Pure.

In: for each probe its thread count, its instances and `batch_stats` (mean time of an execution at each size). Out: a
ServiceLaw: per thread count a line through those times, and how much executions that run side by side slow each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import UsageError
from toolkit.load.measurement import BatchCount, ModelSplit

#: What a line may not fall below: a batch of any size takes at least this share of the shortest one that was seen.
FLOOR = 0.2
#: A slowdown is told from probes with so much more than the cores busy, and believed within these bounds: threads that
#: share a core take turns, so that much less than 1 is a probe that did not keep its instances busy.
LEAST_LOAD, LEAST_SLOWDOWN, MOST_SLOWDOWN = 1.2, 0.7, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProbe:
    """The executions of one model in one probe; `threads` 0 stands for all cores.

    `busy` is how many executions ran side by side on average, counted only while any ran. `extra_s`: input and output.
    """

    threads: int
    instances: int
    busy: float
    batches: tuple[BatchCount, ...]
    extra_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`fixed_s` an execution, and `row_s` more for every row."""

    fixed_s: float
    row_s: float

    def at(self, size: int) -> float:
        """Seconds of an execution of `size` rows."""
        return self.fixed_s + self.row_s * size


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLaw:
    """A line for each thread count that was probed, and `slowdown`: what one more busy thread than cores costs.

    With k executions of t threads on c cores, each takes max(1, 1 + slowdown * (k * t / c - 1)) as long: 1 is what
    sharing a core costs, more is what changing between threads costs besides.
    """

    lines: dict[int, Line]
    cores: float
    slowdown: float = 1.0

    def seconds(self, threads: int, size: int, busy: int) -> float:
        """Seconds of an execution of `size` rows with `threads` threads while `busy` executions run, this one too."""
        wanted = threads or max(1, int(self.cores))
        line = self.lines.get(threads) or self.lines[min(self.lines, key=lambda t: abs((t or wanted) - wanted))]
        load = busy * min(wanted, self.cores) / self.cores
        return line.at(size) * max(1.0, 1.0 + self.slowdown * (load - 1.0))


def probe_from_split(split: ModelSplit, *, threads: int, instances: int, window_s: float) -> ServiceProbe:
    """What a measured window says of one model's executions; Triton's `compute_infer` by size, the rest as a mean."""
    extra_s = split.input_s + split.output_s
    used_s = sum(b.executions * (b.infer_s + extra_s) for b in split.batches)
    busy = min(max(used_s / window_s, 1.0), float(instances))
    return ServiceProbe(threads=threads, instances=instances, busy=busy, batches=split.batches, extra_s=extra_s)


def service_law(probes: Sequence[ServiceProbe], *, cores: float) -> ServiceLaw:
    """Fit the law: lines to probes of the fewest instances at each thread count, the slowdown to the others.

    Raises UsageError when no probe has an execution.
    """
    seen = [p for p in probes if p.batches]
    if not seen:
        raise UsageError("no probe executed anything, so there is no service time", mend="measure longer")
    fewest = {t: min(p.instances for p in seen if p.threads == t) for t in {p.threads for p in seen}}
    lines = {
        t: fit_line((b, p.extra_s) for p in seen if p.threads == t and p.instances == fewest[t] for b in p.batches)
        for t in fewest
    }
    law = ServiceLaw(lines=lines, cores=cores)
    slowed = [s for p in seen if p.instances > fewest[p.threads] if (s := _slowdown(law, p)) is not None]
    return ServiceLaw(lines=lines, cores=cores, slowdown=float(np.median(slowed)) if slowed else 1.0)


def fit_line(points: Iterable[tuple[BatchCount, float]]) -> Line:
    """Weighted least squares of time over size, weights the executions' square roots; neither part is negative."""
    pairs = list(points)
    sizes = np.array([b.size for b, _ in pairs], float)
    times_s = np.array([b.infer_s + extra_s for b, extra_s in pairs])
    weights = np.sqrt([b.executions for b, _ in pairs])
    middle, mean_s = np.average(sizes, weights=weights), float(np.average(times_s, weights=weights))
    spread = float((weights * (sizes - middle) ** 2).sum())
    slope = float((weights * (sizes - middle) * (times_s - mean_s)).sum()) / spread if spread > 0 else 0.0
    # Of one size alone nobody knows which part is fixed: half is what small models and large ones have in between.
    row_s = slope if spread > 0 else 0.5 * mean_s / float(middle)
    row_s = min(max(row_s, 0.0), mean_s / float(middle))
    fixed_s = max(mean_s - row_s * float(middle), FLOOR * float(times_s.min()) if row_s == 0 else 0.0)
    return Line(fixed_s=fixed_s, row_s=row_s)


def _slowdown(law: ServiceLaw, probe: ServiceProbe) -> float | None:
    """The slowdown that explains a probe of several instances, None where its threads hardly exceed the cores."""
    threads = min(probe.threads or law.cores, law.cores)
    load = probe.busy * threads / law.cores
    if load <= LEAST_LOAD:
        return None
    taken_s = sum((b.infer_s + probe.extra_s) * b.executions for b in probe.batches)
    alone_s = sum(law.lines[probe.threads].at(b.size) * b.executions for b in probe.batches)
    return min(MOST_SLOWDOWN, max(LEAST_SLOWDOWN, (taken_s / alone_s - 1.0) / (load - 1.0)))
