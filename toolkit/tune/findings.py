"""What is known of a served model, what may be found to limit it, and the threshold of each limit. Pure.

Facts: a window with one client, one with many, and what else was looked at, each None where nobody looked. Findings:
the limit by name, its figure beside the threshold, and the remedy as a change of the configuration. All
thresholds stand in LIMITS; the faults that they are tried on are in tests/benchmarks/test_diagnose.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from toolkit.load.measurement import Measurement, ModelSplit

#: Threshold by name: what a figure must exceed to be named. Fixed before the planted faults were run.
LIMITS = {
    "client": 0.70,  # of one core, by the load generator
    "network": 0.50,  # of the latency with one client
    "other work": 0.30,  # of the cores, used by neither server nor load generator
    "overload": 0.05,  # of the offered requests, not answered
    "queue delay": 0.50,  # of an execution's time, waited with nobody else there
    "batching off": 1.00,  # executions' time that requests wait although they could go together
    "batching starved": 0.70,  # of the requests that wait for an instance, left out of its batches
    "instances too few": 0.85,  # of the time, every instance is busy while cores are idle
    "threads oversubscribed": 1.50,  # threads that want to run, per core
    "threads spinning": 0.50,  # of an execution's CPU, used besides
    "python overhead": 0.50,  # of an execution, outside the runtime
    "preprocessing": 0.60,  # of all executions of a request, before the model
    "copy": 0.30,  # of the server's time, in compute_input and compute_output
    "data conversion": 0.0,  # requests whose tensors are JSON
    "memory": 0.90,  # of what there is
    "power or thermal limit": 0.01,  # of the window
    "cold start": 10.0,  # times the usual latency, by the first request
    "response cache": 0.0,  # answers that no model made
}
#: Below these seconds a share of something small is not worth a name.
WORTH_S = {
    "network": 1e-3,
    "queue delay": 2e-4,
    "python overhead": 5e-4,
    "preprocessing": 1e-3,
    "copy": 5e-4,
    "cold start": 20e-3,
}
#: Cores are idle when server and client together use less than this share of them.
IDLE_SHARE = 0.80
#: A spinning thread is told from Triton's own work by at least so much CPU for each request.
OWN_CPU_S = 3e-4
#: A batcher that finds fewer than so many requests for each instance has nothing to fill batches with.
FEWEST_WAITING = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """How one model is served.

    `threads`: of an instance's pool, 0 for as many as there are cores, None where its backend has no pool.
    `alone_s`: an execution of one row in the runtime alone, where that was measured.
    """

    name: str
    backend: str
    is_ensemble: bool
    instances: int
    max_batch_size: int
    is_batching: bool
    delay_us: int
    threads: int | None
    alone_s: float | None = None

    def threads_on(self, cores: float) -> float:
        """Threads of one instance on so many cores: 1 where its backend has no pool."""
        return 1 if self.threads is None else self.threads or cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known. `quiet`: one client; `loaded`: many; `slow`: an open load far below capacity.

    `first_s`: latencies of the first requests after a load, in order. `cores` and `memory_bytes` are the server's.
    `json_share`: of the requests, those whose tensors are JSON.
    """

    models: tuple[ServedModel, ...]
    cores: float
    memory_bytes: int | None = None
    quiet: Measurement | None = None
    loaded: Measurement | None = None
    slow: Measurement | None = None
    clients: int = 1
    first_s: tuple[float, ...] = ()
    json_share: float = 0.0
    has_gpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One limit. `change`: by entry, a partial ModelConfig that should lift it; empty where no setting does."""

    limit: str
    model: str
    figure: float
    threshold: float
    evidence: str
    remedy: str
    change: dict[str, dict[str, Any]]


#: The limits of one kind that the facts show.
Rule = Callable[[Facts], Iterator[Finding]]


def time_shares(measurement: Measurement) -> dict[str, float]:
    """Where the mean request spends its time, as shares of its latency; empty without the server's statistics."""
    split = measurement.split
    if split is None or not split.latency_s:
        return {}
    parts = ("client", "network", "queue", "input", "infer", "output", "remainder")
    return {part: getattr(split, f"{part}_s") / split.latency_s for part in parts}


def finding(
    limit: str, model: str, figure: float, evidence: str, remedy: str, change: dict[str, dict[str, Any]] | None = None
) -> Iterator[Finding]:
    """The finding, if its figure exceeds the threshold."""
    threshold = LIMITS[limit]
    if figure > threshold:
        yield Finding(
            limit=limit,
            model=model,
            figure=figure,
            threshold=threshold,
            evidence=evidence,
            remedy=remedy,
            change=change or {},
        )


def split_of(measurement: Measurement | None, model: str) -> ModelSplit | None:
    """What a window says of one model, if it executed anything."""
    splits = measurement.models if measurement else ()
    return next((s for s in splits if s.model == model and s.executions), None)


def execution_s(split: ModelSplit) -> float:
    """The mean time of one execution, by the sizes that were executed; input and output included."""
    executions = sum(b.executions for b in split.batches)
    infer_s = sum(b.executions * b.infer_s for b in split.batches) / executions if executions else split.infer_s
    return infer_s + split.input_s + split.output_s


def served(facts: Facts, when: str) -> Iterator[tuple[ServedModel, ModelSplit]]:
    """The models that execute something themselves, with what the window `quiet`, `loaded` or `slow` says of them."""
    for model in facts.models:
        split = split_of(getattr(facts, when), model.name)
        if split is not None and not model.is_ensemble:
            yield model, split


def cores_used(measurement: Measurement) -> float | None:
    """Cores that server and load generator used together; None where the server's are not known."""
    if measurement.server is None:
        return None
    return measurement.server.cpu_share + (measurement.client.cpu_share if measurement.client else 0.0)


def others_share(measurement: Measurement | None, cores: float) -> float:
    """Of the cores, the share that others used meanwhile; 0 where it is not known."""
    used = cores_used(measurement) if measurement else None
    if measurement is None or used is None or measurement.server_metrics is None or not cores:
        return 0.0
    machine = measurement.server_metrics.machine_cpu_share
    return 0.0 if machine is None else max(0.0, machine - used / cores)


def is_disturbed(facts: Facts, when: str) -> bool:
    """Whether others worked so much in a window that the times in it are not the server's own."""
    return others_share(getattr(facts, when), facts.cores) > LIMITS["other work"]
