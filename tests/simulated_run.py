"""Measurements of a queue of known behaviour on a simulated clock, with all that a real server would have told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit.environment import Environment
from toolkit.load.measurement import BatchCount, Measurement, ModelSplit
from toolkit.load.metrics import measurement_from_records, time_split
from toolkit.load.pattern import Load, RequestRate, arrivals_s
from toolkit.load.queue_model import Queue, QueueModel
from toolkit.load.request_records import Records
from toolkit.load.slo import slo_from_text
from toolkit.records import write_json
from toolkit.size.queue_fit import Served
from toolkit.tune.decision import Candidate
from toolkit.workflow.measure import keep_point, trial_key
from toolkit.workflow.report import decide_run, write_report
from toolkit.workflow.runs import MANIFEST, Subject, finish_run, new_run, read_manifest
from toolkit.workflow.served import write_served

MODEL = "net"


def served(queue: Queue) -> dict[str, Served]:
    batch = queue.max_batch_size
    return {MODEL: Served(instances=queue.capacity, max_batch_size=batch, queue_delay_s=queue.batch_delay_s)}


def measured(queue: Queue, load: RequestRate, *, overhead_s: float = 2e-4) -> tuple[Measurement, Records]:
    """An open load driven against `queue`; service times and arrivals follow from the load's seed."""
    arrivals = arrivals_s(load)
    model = QueueModel(replace(queue, seed=load.seed + 1))
    done = np.zeros(len(arrivals))
    for number, now_s in enumerate(arrivals.tolist()):
        for request, at_s in model.advance(now_s):
            done[request] = at_s
        model.arrive(number, now_s)
    for request, at_s in model.advance(np.inf):
        done[request] = at_s
    records = records_of(load, arrivals, done + overhead_s)
    split = statistics_of(model, len(arrivals))
    span = (0, 1 << 62)
    parts = time_split(records, (split,), *span)
    found = measurement_from_records(records, load, models=(split,), split=parts)
    return replace(found, statistics_ns=span), records


def statistics_of(model: QueueModel, requests: int) -> ModelSplit:
    sizes = sorted(model.executions)
    batches = tuple(
        BatchCount(size=n, executions=model.executions[n], infer_s=model.batch_s[n] / model.executions[n])
        for n in sizes
    )
    return ModelSplit(
        model=MODEL,
        requests=requests,
        failures=0,
        executions=sum(model.executions.values()),
        request_s=(model.queue_s + model.execution_s) / requests,
        queue_s=model.queue_s / requests,
        input_s=0.0,
        infer_s=model.execution_s / requests,
        output_s=0.0,
        cache_hits=0,
        batches=batches,
    )


def records_of(load: Load, begins_s: np.ndarray, ends_s: np.ndarray) -> Records:
    begins, ends = (1e9 * begins_s).astype(np.int64), (1e9 * ends_s).astype(np.int64)
    start = round(1e9 * load.warmup_s)
    return Records(
        intended_ns=begins,
        sent_ns=begins,
        first_ns=ends,
        done_ns=ends,
        status=np.full(len(begins), 200, np.int16),
        payload=np.zeros(len(begins), np.int32),
        window_start_ns=start,
        window_end_ns=start + round(1e9 * load.duration_s),
        client_cpu_ns=0,
        connections=8,
    )


def run_folder(
    root: Path,
    queue: Queue,
    rates: tuple[float, ...],
    slo: str = "p99=40ms",
    *,
    duration_s: float = 12.0,
    environment: Environment | None = None,
) -> Path:
    """A run folder as a sweep leaves it, of a server that is `queue`; its figures follow from records.npz."""
    loads = tuple(RequestRate(rate_per_s=r, duration_s=duration_s, warmup_s=2.0, seed=i) for i, r in enumerate(rates))
    candidate = Candidate(name="as-served", config={})
    subject = Subject(
        title="A queue",
        family="",
        inference="request",
        measured=MODEL,
        models=(MODEL,),
        slo=slo_from_text(slo),
        candidates=(candidate,),
        loads=loads,
    )
    run = new_run(root, MODEL, "toolkit sweep net", subject, config={}, models={MODEL: "0" * 64})
    if environment is not None:
        write_json(run / MANIFEST, replace(read_manifest(run), environment=environment))
    for load in loads:
        measurement, records = measured(queue, load)
        keep_point(run / trial_key(candidate, load), measurement, records)
    batching = {"max_queue_delay_microseconds": round(1e6 * queue.batch_delay_s)}
    config = {
        "max_batch_size": queue.max_batch_size,
        "instance_group": [{"count": queue.capacity, "kind": "KIND_CPU"}],
        "output": [{"name": "y", "data_type": "TYPE_FP32", "dims": [10]}],
    } | ({"dynamic_batching": batching} if queue.max_batch_size > 1 else {})
    write_served(run, {MODEL: config})
    (run / "requests").mkdir()
    (run / "requests" / "0000.http").write_bytes(b"x" * 1200)
    decide_run(run)
    write_report(run)
    finish_run(run)
    return run
