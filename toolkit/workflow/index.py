"""`toolkit index`: build an index, and sweep kinds and efforts side by side into a run folder.

Every kind is built and served by one Triton; an effort (nprobe, ef_search, itopk_size) is set by a reload. The chosen
index is measured again with exclusions, and while it is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import UsageError
from toolkit.index.build import BuiltIndex, build_index, exact_neighbours, library_of
from toolkit.index.spec import EFFORT, EFFORTS, Cagra, CuvsSpec, IndexSpec, Metric, spec_from_kind
from toolkit.index.vectors import Vectors, checked_ids, clustered_vectors, hold_out, read_vectors
from toolkit.load.pattern import Concurrency
from toolkit.load.slo import Slo
from toolkit.records import digest_of_value, read_json, step, write_json
from toolkit.repository.entry import add_step
from toolkit.serve.embedded import serve_embedded
from toolkit.size.index_cost import IndexCost, index_costs
from toolkit.size.prices import PriceBook
from toolkit.tune.decision import Candidate
from toolkit.tune.index_choice import IndexPoint, choose_index, pareto_front
from toolkit.workflow.index_points import (
    EXCLUDED,
    Condition,
    Task,
    measure_index,
    measure_update,
    measure_with_exclusions,
)
from toolkit.workflow.runs import Progress, Subject, finish_run, locked, new_run, read_manifest

RESULT = "index_sweep.json"
WARMUP_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSweep:
    """What `toolkit index sweep` was asked. Without `vectors`, seeded ones [count, dimension] are generated.

    Without `efforts` each kind has its own grid (EFFORTS); a kind without an effort is measured once.
    """

    vectors: Path | None
    queries: Path | None
    generated: tuple[int, int]
    kinds: tuple[str, ...]
    metric: Metric
    k: int
    recall: float
    slo: Slo
    clients: int
    duration_s: float
    efforts: tuple[int, ...] = ()
    query_count: int = 1000

    def places(self) -> tuple[tuple[str, int], ...]:
        """The kinds and efforts to measure."""
        return tuple((k, e) for k in self.kinds for e in (self.efforts if self.efforts and EFFORT[k] else EFFORTS[k]))


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSweepResult:
    """What came of a sweep. `front` and `chosen` are names of points; `conditions` are of the chosen one."""

    count: int
    dimension: int
    points: tuple[IndexPoint, ...]
    front: tuple[str, ...]
    chosen: str | None
    sentence: str
    conditions: tuple[Condition, ...]


def build_index_from_file(path: Path, kind: str, metric: Metric, folder: Path) -> BuiltIndex:
    """Build the index of a vector file into `folder`, which must be new. Raises UsageError and ModelRefused."""
    if folder.exists():
        raise UsageError(f"{folder} is there already", mend="give --output a new folder")
    found = read_vectors(path)
    return build_index(found.values, spec_from_kind(kind, metric), folder, name=path.stem, ids=found.ids)


def sweep_index(spec: IndexSweep, *, command: str, root: Path, progress: Progress) -> tuple[Path, IndexSweepResult]:
    """Measure every kind at every effort. Returns the run folder and the result, which the folder holds too.

    Raises UsageError and ModelRefused for vectors that cannot be used, ServerTrouble, MissingDependency.
    """
    indexes = {kind: spec_from_kind(kind, spec.metric) for kind in spec.kinds}
    for index in indexes.values():
        library_of(index).check_here(index)
    data, queries = _data(spec)
    ids = checked_ids(data.ids, len(data.values), "the vectors")
    digest = digest_of_value([list(data.values.shape), float(data.values.sum(dtype=np.float64))])
    run = new_run(root, "index", command, _subject(spec, data), config=spec, models={"vectors": digest})
    progress(f"run folder: {run}")
    with locked(run):
        for kind, index in indexes.items():
            progress(f"building {kind} over {len(data.values):,} vectors")
            _build(run, kind, index, data, ids, digest)
            name, parameters = _serving(index, data.values.shape[1], spec.k)
            add_step(run / "repository", name, name=kind, parameters=parameters, files=run / "indexes" / kind)
        progress(f"exact search for {len(queries):,} queries")
        truth, _ = exact_neighbours(data.values, queries, spec.k + EXCLUDED, metric=spec.metric, ids=ids)
        with serve_embedded(run / "repository", log=run / "triton.log") as server:
            task = Task(
                run=run,
                endpoint=server.endpoint,
                vectors=data.values,
                ids=ids,
                queries=queries,
                truth=truth,
                k=spec.k,
                load=_load(spec),
                slo=spec.slo,
            )
            result = _measure_all(task, spec, progress)
        write_json(run / RESULT, result)
        finish_run(run)
    return run, result


def costs_of(run: Path, book: PriceBook, recall: float, headroom: float) -> tuple[IndexCost, ...]:
    """What a million queries cost by the points of an index sweep. Raises UsageError for another kind of run."""
    if not (run / RESULT).is_file():
        raise UsageError(f"{run} is no index sweep: it has no {RESULT}", mend="toolkit index sweep VECTORS")
    environment = read_manifest(run).environment
    hardware = ", ".join([*(g.name for g in environment.gpus), environment.cpu])
    points = read_json(run / RESULT, IndexSweepResult).points
    return index_costs(points, recall, book, hardware, headroom=headroom)


def _serving(index: IndexSpec, dimension: int, k: int) -> tuple[str, dict[str, Any]]:
    """The step that serves an index, and its parameters."""
    parameters: dict[str, Any] = {"dimension": dimension, "k": k}
    if not isinstance(index, CuvsSpec):
        return "vector_search", parameters
    kind = "cagra" if isinstance(index, Cagra) else "ivf_pq"
    return "vector_search_gpu", parameters | {"kind": kind, "metric": index.metric}


def _data(spec: IndexSweep) -> tuple[Vectors, Any]:
    """The vectors and the queries, held out where there are none. Raises UsageError for a `k` or sizes that misfit."""
    if spec.vectors is None:
        count, dimension = spec.generated
        data = clustered_vectors(count, dimension, queries=spec.query_count)
    else:
        data = read_vectors(spec.vectors)
    if spec.queries is not None:
        data = Vectors(values=data.values, ids=data.ids, queries=read_vectors(spec.queries).values)
    if data.queries is None:
        data = hold_out(data, min(spec.query_count, len(data.values) // 2))
    queries = data.queries[: spec.query_count] if data.queries is not None else data.values[:0]
    if not 1 <= spec.k <= len(data.values):
        raise UsageError(f"--k {spec.k}: expected 1 to {len(data.values)}, the number of vectors")
    if queries.shape[1] != data.values.shape[1]:
        raise UsageError(f"queries of {queries.shape[1]} dimensions for vectors of {data.values.shape[1]}")
    return data, queries


def _load(spec: IndexSweep) -> Concurrency:
    return Concurrency(clients=spec.clients, duration_s=spec.duration_s, warmup_s=WARMUP_S)


def _subject(spec: IndexSweep, data: Vectors) -> Subject:
    source = spec.vectors.name if spec.vectors else "generated vectors"
    return Subject(
        title=f"Vector search over {len(data.values):,} x {data.values.shape[1]} ({source})",
        family="",
        inference="query",
        measured=spec.kinds[0],
        models=spec.kinds,
        slo=spec.slo,
        candidates=tuple(Candidate(name=f"{k}-{e}", config={}) for k, e in spec.places()),
        loads=(_load(spec),),
    )


def _build(run: Path, kind: str, index: IndexSpec, data: Vectors, ids: Any, digest: str) -> None:
    def do(folder: Path) -> None:
        build_index(data.values, index, folder, name=kind, ids=ids)

    step(run, f"indexes/{kind}", {"vectors": digest, "index": index}, do)


def _measure_all(task: Task, spec: IndexSweep, progress: Progress) -> IndexSweepResult:
    points = []
    places = spec.places()
    for number, (kind, effort) in enumerate(places, 1):
        progress(f"measuring {kind} at effort {effort} ({number} of {len(places)})")
        points.append(measure_index(task, kind, effort))
    chosen, sentence = choose_index(points, spec.recall, has_slo=bool(spec.slo.criteria))
    conditions: tuple[Condition, ...] = ()
    if chosen is not None:
        progress(f"measuring {chosen.name} with exclusions, and while it is replaced")
        conditions = (measure_with_exclusions(task, chosen), measure_update(task, chosen))
    return IndexSweepResult(
        count=len(task.vectors),
        dimension=task.vectors.shape[1],
        points=tuple(points),
        front=tuple(p.name for p in pareto_front(points)),
        chosen=chosen.name if chosen else None,
        sentence=sentence,
        conditions=conditions,
    )
