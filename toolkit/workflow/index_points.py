"""One index at one effort, measured: recall and speed through a live Triton, and the library alone beside it.

In: an endpoint that serves the index, the queries with their true neighbours, a load. Out: an IndexPoint; and the
same index under other conditions: with exclusions, and replaced while it answers.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from toolkit.errors import ServerTrouble
from toolkit.extras import require
from toolkit.index.build import Searcher, files_of, insert_into_index, read_built
from toolkit.index.recall import mean_interval, recall
from toolkit.index.spec import EFFORT
from toolkit.index.vectors import Floats
from toolkit.load.duration import seconds_text
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Load
from toolkit.load.slo import Slo
from toolkit.load.sweep import measure_point
from toolkit.load.verdict import judge, overall
from toolkit.repository.config import to_load_json, with_overrides
from toolkit.repository.entry import read_entry
from toolkit.serve.client import load_model
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import infer_request
from toolkit.tune.index_choice import IndexPoint
from toolkit.workflow.index_recall import neighbours_served
from toolkit.workflow.measure import keep_point

#: How long the library alone is timed.
IN_PROCESS_S = 1.0
#: Requests in rotation under load, ids that each query excludes when that is measured, the share that an update adds.
PAYLOADS, EXCLUDED, ADDED_SHARE = 256, 50, 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Task:
    """What the points of a sweep share: vectors [count, dimension], ids [count], queries [queries, dimension].

    `truth` holds the true neighbours of each query, EXCLUDED more than the `k` that are asked for.
    """

    run: Path
    endpoint: Endpoint
    vectors: Floats
    ids: NDArray[np.int64]
    queries: Floats
    truth: NDArray[np.int64]
    k: int
    load: Load
    slo: Slo


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The chosen index under another condition; `recall` is of what may be found then, `failed` counts requests."""

    name: str
    recall: float
    failed: int
    measurement: Measurement


def index_folder(run: Path, index: str) -> Path:
    """Where a run keeps an index that it built."""
    return run / "indexes" / index


def measure_index(task: Task, index: str, effort: int) -> IndexPoint:
    """Set the effort, ask every query, drive the load, and time the library alone. Raises ServerTrouble."""
    _set_effort(task, index, effort)
    found = neighbours_served(task.endpoint, index, task.queries)
    mean, low, high = mean_interval(recall(found, task.truth[:, : task.k]))
    requests = [infer_request(index, {"QUERY": q[None]}, host="localhost") for q in task.queries[:PAYLOADS]]
    measurement, records = measure_point(task.endpoint, index, (index,), requests, task.load)
    folder = task.run / "trials" / f"{index}-{effort}" / task.load.name
    keep_point(folder, measurement, records)
    verdicts = judge(task.slo, measurement, records)
    searcher = Searcher(index_folder(task.run, index))
    per_s, p99_s = time_in_process(searcher, task.queries, task.k, effort)
    return IndexPoint(
        index=index,
        effort_name=EFFORT[searcher.built.spec.kind],
        effort=effort,
        k=task.k,
        recall=mean,
        recall_low=low,
        recall_high=high,
        measurement=measurement,
        verdicts=verdicts,
        outcome=overall(verdicts, measurement),
        in_process_per_s=per_s,
        in_process_p99_s=p99_s,
        build_s=searcher.built.build_s,
        index_bytes=searcher.built.index_bytes,
    )


def time_in_process(searcher: Searcher, queries: Floats, k: int, effort: int) -> tuple[float, float]:
    """Queries per second and p99 in seconds of FAISS alone: one thread, one query at a time, for IN_PROCESS_S."""
    faiss = require("faiss")
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    times_s: list[float] = []
    until_s = perf_counter() + IN_PROCESS_S
    try:
        while (began_s := perf_counter()) < until_s:
            row = len(times_s) % len(queries)
            searcher.search(queries[row : row + 1], k, effort)
            times_s.append(perf_counter() - began_s)
    finally:
        faiss.omp_set_num_threads(threads)
    return len(times_s) / sum(times_s), float(np.quantile(times_s, 0.99))


def measure_with_exclusions(task: Task, point: IndexPoint) -> Condition:
    """Every query excludes its own EXCLUDED nearest neighbours, the hardest case; `recall` is of the k next ones.

    Raises ServerTrouble when an excluded id is answered.
    """
    unwanted = task.truth[:, :EXCLUDED]
    requests = [
        infer_request(point.index, {"QUERY": q[None], "EXCLUDE": ids[None]}, host="localhost")
        for q, ids in zip(task.queries, unwanted, strict=True)
    ]
    _set_effort(task, point.index, point.effort)
    found = neighbours_served(task.endpoint, point.index, task.queries, unwanted)
    if any(np.isin(answer, ids[ids >= 0]).any() for answer, ids in zip(found, unwanted, strict=True)):
        raise ServerTrouble(f"{point.index} answered an id that the request had excluded")
    measurement, _ = measure_point(task.endpoint, point.index, (point.index,), requests[:PAYLOADS], task.load)
    share = float(recall(found, task.truth[:, EXCLUDED:]).mean())
    name = f"{EXCLUDED} ids excluded per query"
    return Condition(name=name, recall=share, failed=measurement.failed_requests, measurement=measurement)


def measure_update(task: Task, point: IndexPoint) -> Condition:
    """Insert ADDED_SHARE more vectors into the index and replace it under load, as a new version of the entry.

    The queries themselves are inserted, so that each one's nearest neighbour is new: `recall` says how many find it.
    """
    added = task.queries[: max(1, min(len(task.queries), int(ADDED_SHARE * len(task.vectors))))]
    new_ids = np.arange(len(added)) + int(task.ids.max()) + 1
    folder = index_folder(task.run, point.index)
    insert_s = insert_into_index(folder, added, new_ids, folder.with_name(f"{point.index}-updated"))
    requests = [infer_request(point.index, {"QUERY": q[None]}, host="localhost") for q in added]
    with _in_the_middle(task, lambda: _publish_update(task, point)):
        measurement, _ = measure_point(task.endpoint, point.index, (point.index,), requests[:PAYLOADS], task.load)
    found = neighbours_served(task.endpoint, point.index, added)
    share = float((found == new_ids[:, None]).any(axis=1).mean())
    name = f"replaced under load, {len(added):,} vectors inserted in {seconds_text(insert_s)}"
    return Condition(name=name, recall=share, failed=measurement.failed_requests, measurement=measurement)


@contextmanager
def _in_the_middle(task: Task, do: Callable[[], None]) -> Iterator[None]:
    """Call `do` in a thread when half of the load's window is over; its error is raised when the context ends."""
    failures: list[ServerTrouble] = []

    def work() -> None:
        try:
            do()
        except ServerTrouble as err:
            failures.append(err)

    timer = threading.Timer(task.load.warmup_s + task.load.duration_s / 2, work)
    timer.start()
    try:
        yield
    finally:
        timer.join()
    if failures:
        raise failures[0]


def _publish_update(task: Task, point: IndexPoint) -> None:
    """Put the new index beside the old one as version 2, whole when Triton sees it, and have it loaded."""
    entry = task.run / "repository" / point.index
    shutil.copytree(entry / "1", entry / ".2")
    for name in files_of(read_built(index_folder(task.run, point.index)).spec):
        shutil.copyfile(task.run / "indexes" / f"{point.index}-updated" / name, entry / ".2" / name)
    (entry / ".2").rename(entry / "2")
    _set_effort(task, point.index, point.effort)


def _set_effort(task: Task, index: str, effort: int) -> None:
    """Load the index with another effort; the server goes on answering meanwhile."""
    entry = read_entry(task.run / "repository" / index)
    name = EFFORT[read_built(index_folder(task.run, index)).spec.kind]
    change = {"parameters": {name: {"string_value": str(effort)}}} if name else {}
    load_model(task.endpoint, index, to_load_json(with_overrides(entry.config, change)))
