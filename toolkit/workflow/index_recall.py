"""How much of the truth an index finds as it is served: asked through Triton, compared with exact search.

In: an endpoint, the entry that serves the index, its vectors and queries. Out: an IndexRecall with an interval and an
outcome against what poc.yaml asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ServerTrouble
from toolkit.export.arrays import read_arrays
from toolkit.export.made_arrays import ARRAYS_FILE
from toolkit.index.build import exact_neighbours
from toolkit.index.recall import IndexRecall, mean_interval, recall
from toolkit.load.ask import ask
from toolkit.poc import Poc
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import infer_request, infer_response

QUERIES, CLIENTS = 1000, 8


def measure_recall(endpoint: Endpoint, poc: Poc, entry: str, folders: Mapping[str, Path]) -> IndexRecall:
    """Ask the entry for its queries and compare with exact search. Raises ServerTrouble when one is not answered."""
    options = poc.file.indexes[poc.served_indexes[entry]]
    arrays = read_arrays(folders[options.data] / ARRAYS_FILE)
    vectors = np.ascontiguousarray(arrays[options.vectors], dtype=np.float32)
    queries = np.ascontiguousarray(arrays.get(options.queries, vectors), dtype=np.float32)
    queries = queries[np.random.default_rng(0).permutation(len(queries))[:QUERIES]]
    found = neighbours_served(endpoint, entry, queries)
    k = found.shape[1]
    truth, _ = exact_neighbours(vectors, queries, k, metric=options.build.metric, ids=arrays.get(options.ids))
    mean, low, high = mean_interval(recall(found, truth))
    return IndexRecall(
        entry=entry,
        index=poc.served_indexes[entry],
        k=k,
        queries=len(queries),
        asked=options.recall,
        recall=mean,
        low=low,
        high=high,
        outcome="PASS" if low >= options.recall else "FAIL" if high < options.recall else "UNDECIDED",
    )


def neighbours_served(endpoint: Endpoint, entry: str, queries: Any, exclude: Any = None) -> Any:
    """The ids [queries, k] that the entry answers, asked CLIENTS at a time; `exclude` [queries, m] ids, if any."""
    rows = [{"QUERY": q[None]} for q in queries]
    if exclude is not None:
        rows = [row | {"EXCLUDE": ids[None]} for row, ids in zip(rows, exclude, strict=True)]
    answers = ask(endpoint, [infer_request(entry, row, host="localhost") for row in rows], clients=CLIENTS)
    failed = next((a for a in answers if a.error), None)
    if failed is not None:
        raise ServerTrouble(f"'{entry}' did not answer a query: {failed.error} {failed.body[:200]!r}")
    return np.stack([infer_response(a.body, a.header_length)["IDS"][0] for a in answers])
