"""What the server says about itself: snapshots of Triton's statistics, and the difference of two of them.

In: an Endpoint and model names. Out: cumulative counters, or where each model spent its time between two snapshots.
Triton adds a request to its statistics when it completes, so a difference covers what completed in between.
Source: triton-inference-server/server, docs/protocol/extension_statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from toolkit.errors import ServerTrouble
from toolkit.load.measurement import BatchCount, ModelSplit
from toolkit.serve.client import statistics
from toolkit.serve.server import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """How often something happened since the model was loaded, and the time that it took in all."""

    count: int = 0
    ns: int = 0

    def since(self, before: Counter) -> Counter:
        """What was added since `before`."""
        return Counter(count=self.count - before.count, ns=self.ns - before.ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCounters:
    """One model's counters by Triton's names; `batches` holds compute_infer by batch size, counted in executions."""

    model: str
    executions: int
    spans: dict[str, Counter]
    batches: dict[int, Counter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Counters of several models. `at_ns` (perf_counter_ns) is the middle of reading the first one."""

    at_ns: int
    models: tuple[ModelCounters, ...]


def snapshot(endpoint: Endpoint, models: Iterable[str]) -> Snapshot:
    """Read the statistics of `models`, in their order. Raises ServerTrouble."""
    first, *others = models
    began_ns = perf_counter_ns()
    counters = counters_from_statistics(first, statistics(endpoint, first))
    at_ns = (began_ns + perf_counter_ns()) // 2
    rest = (counters_from_statistics(model, statistics(endpoint, model)) for model in others)
    return Snapshot(at_ns=at_ns, models=(counters, *rest))


def counters_from_statistics(model: str, stats: Mapping[str, Any]) -> ModelCounters:
    """The counters in one element of `model_stats`; what an older server does not report counts as zero."""
    return ModelCounters(
        model=model,
        executions=int(stats.get("execution_count", 0)),
        spans={name: _counter(value) for name, value in stats.get("inference_stats", {}).items()},
        batches={int(b["batch_size"]): _counter(b["compute_infer"]) for b in stats.get("batch_stats", ())},
    )


def _counter(value: Mapping[str, Any]) -> Counter:
    return Counter(count=int(value.get("count", 0)), ns=int(value.get("ns", 0)))


def model_splits(before: Snapshot, after: Snapshot) -> tuple[ModelSplit, ...]:
    """Where each model spent its time between two snapshots of the same models.

    Raises ServerTrouble when a counter went backwards: the server or the model was started again in between.
    """
    return tuple(_split(a, b) for a, b in zip(before.models, after.models, strict=True))


def _split(before: ModelCounters, after: ModelCounters) -> ModelSplit:
    spans = {name: span.since(before.spans.get(name, Counter())) for name, span in after.spans.items()}
    executions = after.executions - before.executions
    if executions < 0 or any(span.count < 0 or span.ns < 0 for span in spans.values()):
        raise ServerTrouble(
            f"the statistics of '{after.model}' went backwards: the server or the model was started again meanwhile",
            mend="see the server's log, and measure the point again",
        )
    requests = spans.get("success", Counter()).count

    def mean_s(name: str) -> float:
        return spans.get(name, Counter()).ns / requests / 1e9 if requests else 0.0

    return ModelSplit(
        model=after.model,
        requests=requests,
        failures=spans.get("fail", Counter()).count,
        executions=executions,
        request_s=mean_s("success"),
        queue_s=mean_s("queue"),
        input_s=mean_s("compute_input"),
        infer_s=mean_s("compute_infer"),
        output_s=mean_s("compute_output"),
        cache_hits=spans.get("cache_hit", Counter()).count,
        batches=_batches(before.batches, after.batches),
    )


def _batches(before: Mapping[int, Counter], after: Mapping[int, Counter]) -> tuple[BatchCount, ...]:
    added = {size: counter.since(before.get(size, Counter())) for size, counter in sorted(after.items())}
    return tuple(
        BatchCount(size=size, executions=counter.count, infer_s=counter.ns / counter.count / 1e9)
        for size, counter in added.items()
        if counter.count > 0
    )
