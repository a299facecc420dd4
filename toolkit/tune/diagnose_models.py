"""Rules about the models and their settings: batching, instances, threads, the Python around them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from toolkit.load.measurement import Measurement
from toolkit.tune.findings import (
    FEWEST_WAITING,
    IDLE_SHARE,
    OWN_CPU_S,
    WORTH_S,
    Facts,
    Finding,
    Rule,
    ServedModel,
    cores_used,
    execution_s,
    finding,
    is_disturbed,
    served,
    split_of,
)
from toolkit.tune.words import percent_text, rate_text, time_text


def queue_delay(facts: Facts) -> Iterator[Finding]:
    """With one client, requests wait for company that does not come."""
    for model, split in served(facts, "quiet"):
        # Much longer than the delay is no waiting for company, but for a core.
        delay_s = model.delay_us / 1e6
        if delay_s and max(WORTH_S["queue delay"], 0.3 * delay_s) <= split.queue_s <= 2 * delay_s:
            taken_s = execution_s(split)
            evidence = (
                f"with one client a request waits {time_text(split.queue_s)} for a batch to fill; an execution takes "
                f"{time_text(taken_s)}"
            )
            # An execution after a long wait is slow; one in the runtime alone is what a delay must not add much to.
            shorter = int(0.1 * min(taken_s, model.alone_s or taken_s) * 1e6)
            change = {"dynamic_batching": {"max_queue_delay_microseconds": shorter}}
            remedy = f"max_queue_delay_microseconds: {shorter} instead of {model.delay_us}"
            yield from finding(
                "queue delay", model.name, split.queue_s / taken_s, evidence, remedy, {model.name: change}
            )


def batching_off(facts: Facts) -> Iterator[Finding]:
    """Requests wait for an instance one behind the other, although they could be executed together."""
    for model, split in served(facts, "loaded"):
        if model.is_batching or (model.max_batch_size == 0 and model.backend != "onnxruntime"):
            continue
        taken_s = execution_s(split)
        evidence = (
            f"requests wait {time_text(split.queue_s)}, {rate_text(split.queue_s / taken_s)} executions, one by one"
        )
        size = max(8, model.max_batch_size)
        change = {"max_batch_size": size, "dynamic_batching": {"max_queue_delay_microseconds": 0}}
        remedy = f"dynamic_batching with max_batch_size {size}"
        fits = {model.name: change} if model.max_batch_size else {}
        yield from finding("batching off", model.name, split.queue_s / taken_s, evidence, remedy, fits)


def batching_starved(facts: Facts) -> Iterator[Finding]:
    """So many instances share what waits that each executes small batches."""
    for model, split in served(facts, "loaded"):
        in_flight = min(facts.clients / model.instances, float(model.max_batch_size))
        could_be = min(float(facts.clients) / 2, float(model.max_batch_size))
        if not model.is_batching or could_be < FEWEST_WAITING or not 0 < facts.cores < model.instances:
            continue
        mean = split.requests / split.executions
        evidence = (
            f"batches hold {mean:.1f} of {could_be:.0f} requests that could go together; {in_flight:.1f} an instance"
        )
        count = max(1, int(facts.cores))
        remedy = f"instance_group count {count} instead of {model.instances}, so that batches fill"
        change = {model.name: {"instance_group": [{"count": count}]}}
        yield from finding("batching starved", model.name, 1 - mean / could_be, evidence, remedy, change)


def instances_too_few(facts: Facts) -> Iterator[Finding]:
    """Every instance is busy and requests wait, while cores are idle."""
    if facts.loaded is None or facts.has_gpu or cores_used(facts.loaded) is None:
        return
    used = cores_used(facts.loaded) or 0.0
    if used > IDLE_SHARE * facts.cores or is_disturbed(facts, "loaded"):
        return
    for model, split in served(facts, "loaded"):
        busy = busy_share(facts.loaded, model)
        # Where each thread has its core already, an instance more would only share them.
        wanted = model.instances * model.threads_on(facts.cores)
        if split.queue_s < 0.5 * execution_s(split) or wanted >= facts.cores:
            continue
        evidence = (
            f"{model.instances} x {model.name} is busy {percent_text(min(busy, 1.0))} of the time and requests wait "
            f"{time_text(split.queue_s)}, while {used:.1f} of {facts.cores:g} cores are used"
        )
        count = model.instances + 1
        remedy = f"instance_group count {count}"
        change = {model.name: {"instance_group": [{"count": count}]}}
        yield from finding("instances too few", model.name, busy, evidence, remedy, change)


def threads_oversubscribed(facts: Facts) -> Iterator[Finding]:
    """Instances ask together for more threads than there are cores, and take turns."""
    if facts.has_gpu or not facts.cores:
        return
    for model, _ in served(facts, "loaded"):
        if model.threads is None or model.instances < 2:
            continue
        wanted = model.instances * model.threads_on(facts.cores)
        each = max(1, int(facts.cores / model.instances))
        evidence = (
            f"{model.instances} instances of {model.threads or 'all'} threads want {wanted:g} on {facts.cores:g} cores"
        )
        remedy = f"intra_op_thread_count: {each}"
        change: dict[str, dict[str, Any]] = {model.name: {"parameters": {"intra_op_thread_count": each}}}
        yield from finding("threads oversubscribed", model.name, wanted / facts.cores, evidence, remedy, change)


def threads_spinning(facts: Facts) -> Iterator[Finding]:
    """Far below capacity, the server uses more CPU than its executions do: its threads wait by running."""
    slow = facts.slow
    if slow is None or slow.server is None or not slow.throughput_per_s or facts.has_gpu or not facts.cores:
        return
    # A request that is answered in many executions has no parts of its time.
    if slow.split is None:
        return
    models = [(m, s) for m, s in served(facts, "slow")]
    pooled = [m for m, _ in models if m.threads_on(facts.cores) > 1]
    if not pooled:
        return
    cpu_s = slow.server.cpu_share / slow.throughput_per_s
    needed_s = sum(execution_s(s) * min(m.threads_on(facts.cores), max(facts.cores, 1)) for m, s in models)
    excess_s = cpu_s - needed_s - OWN_CPU_S * len(models)
    evidence = (
        f"at {rate_text(slow.throughput_per_s)} requests/s each costs {time_text(cpu_s)} of CPU; its executions take "
        f"{time_text(needed_s)} with all their threads"
    )
    remedy = "intra_op_thread_count: 1 (no thread waits then), or a server started without spinning"
    change: dict[str, dict[str, Any]] = {m.name: {"parameters": {"intra_op_thread_count": 1}} for m in pooled}
    yield from finding("threads spinning", pooled[0].name, excess_s / needed_s, evidence, remedy, change)


def python_overhead(facts: Facts) -> Iterator[Finding]:
    """An execution is mostly the Python around the runtime."""
    if facts.quiet is None or is_disturbed(facts, "quiet"):
        return
    for model, split in served(facts, "quiet"):
        # After a pause longer than itself an execution finds cold caches, whatever surrounds it.
        if model.alone_s is None or busy_share(facts.quiet, model) * model.instances < 0.5:
            continue
        taken_s = execution_s(split)
        extra_s = taken_s - model.alone_s
        if extra_s < WORTH_S["python overhead"]:
            continue
        evidence = f"an execution takes {time_text(taken_s)}, {time_text(model.alone_s)} of it in the runtime"
        remedy = "the native backend of a Triton container; several rows in a request; less work in model.py"
        yield from finding("python overhead", model.name, extra_s / taken_s, evidence, remedy)


def preprocessing(facts: Facts) -> Iterator[Finding]:
    """Of a pipeline's time, most goes into the steps around its models."""
    parts = [(m, execution_s(s)) for m, s in served(facts, "quiet")]
    total_s = sum(seconds for _, seconds in parts)
    steps = [(m, seconds) for m, seconds in parts if m.backend == "python"]
    if len(parts) < 2 or not steps:
        return
    slowest, slowest_s = max(steps, key=lambda pair: pair[1])
    if slowest_s < WORTH_S["preprocessing"]:
        return
    evidence = f"{slowest.name} takes {time_text(slowest_s)} of {time_text(total_s)} that all steps of a request take"
    count = slowest.instances + 1
    remedy = f"instance_group count {count} for {slowest.name}; prepare in the client, or in a compiled step"
    change = {slowest.name: {"instance_group": [{"count": count}]}}
    yield from finding("preprocessing", slowest.name, slowest_s / total_s, evidence, remedy, change)


def copy(facts: Facts) -> Iterator[Finding]:
    """Much of the server's time goes into gathering inputs and handing outputs out."""
    for model, split in served(facts, "quiet"):
        moved_s = split.input_s + split.output_s
        if moved_s < WORTH_S["copy"] or not split.request_s:
            continue
        evidence = f"inputs and outputs take {time_text(moved_s)} of {time_text(split.request_s)} in the server"
        remedy = "shared memory (system or CUDA), smaller types, or fewer outputs"
        yield from finding("copy", model.name, moved_s / split.request_s, evidence, remedy)


def busy_share(measurement: Measurement, model: ServedModel) -> float:
    """Of the instances' time, the share in which they execute."""
    split = split_of(measurement, model.name)
    if split is None or not measurement.window_s:
        return 0.0
    return split.executions * execution_s(split) / (measurement.window_s * model.instances)


RULES: tuple[Rule, ...] = (
    threads_spinning,
    threads_oversubscribed,
    batching_off,
    queue_delay,
    batching_starved,
    preprocessing,
    python_overhead,
    copy,
    instances_too_few,
)
