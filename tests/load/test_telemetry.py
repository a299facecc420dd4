"""Statistics snapshots: differences of counters as Triton 2.51 reports them."""

from __future__ import annotations

from typing import Any

import pytest

from toolkit.errors import ServerTrouble
from toolkit.load.null_server import Behaviour, null_server
from toolkit.load.telemetry import Snapshot, counters_from_statistics, model_splits, snapshot
from toolkit.serve.server import Endpoint


def statistics(requests: int, executions: int, hits: int = 0) -> dict[str, Any]:
    """The element of `model_stats` after `requests` requests of 10 ms in batches of two."""
    spans = {"success": 10, "fail": 0, "queue": 4, "compute_input": 1, "compute_infer": 3, "compute_output": 1}
    stats = {name: {"count": requests, "ns": requests * ms * 1_000_000} for name, ms in spans.items()}
    stats["fail"] = {"count": 1, "ns": 5}
    stats["cache_hit"] = {"count": hits, "ns": hits * 1000}
    infer = {"count": executions, "ns": executions * 3_000_000}
    batch = {"batch_size": 2, "compute_input": infer, "compute_infer": infer, "compute_output": infer}
    return {"name": "m", "inference_count": requests, "execution_count": executions, "inference_stats": stats,
            "batch_stats": [batch] if executions else []}  # fmt: skip


def taken(at_ns: int, *arguments: int) -> Snapshot:
    return Snapshot(at_ns=at_ns, models=(counters_from_statistics("m", statistics(*arguments)),))


def test_difference_of_two_snapshots() -> None:
    (split,) = model_splits(taken(0, 100, 50, 3), taken(1, 300, 150, 10))
    assert (split.requests, split.executions, split.failures, split.cache_hits) == (200, 100, 0, 7)
    assert split.request_s == pytest.approx(0.010)
    parts = (split.queue_s, split.input_s, split.infer_s, split.output_s)
    assert parts == pytest.approx((0.004, 0.001, 0.003, 0.001))
    (batch,) = split.batches
    assert (batch.size, batch.executions) == (2, 100) and batch.infer_s == pytest.approx(0.003)


def test_a_model_that_had_not_run_before() -> None:
    (split,) = model_splits(taken(0, 0, 0), taken(1, 10, 5))
    assert (split.requests, [batch.executions for batch in split.batches]) == (10, [5])


def test_a_model_that_did_not_run() -> None:
    (split,) = model_splits(taken(0, 10, 5), taken(1, 10, 5))
    assert (split.requests, split.request_s, split.batches) == (0, 0.0, ())


def test_counters_that_went_backwards() -> None:
    with pytest.raises(ServerTrouble, match="'m' went backwards"):
        model_splits(taken(0, 100, 50), taken(1, 20, 10))


def test_snapshot_of_a_server() -> None:
    with null_server(Behaviour()) as server:
        before = snapshot(server.endpoint, ("first", "second"))
        after = snapshot(server.endpoint, ("first", "second"))
    assert [counters.model for counters in before.models] == ["first", "second"]
    assert before.at_ns < after.at_ns


def test_no_server() -> None:
    with pytest.raises(ServerTrouble, match=r"127\.0\.0\.1:1"):
        snapshot(Endpoint(http="127.0.0.1:1"), ("m",))
