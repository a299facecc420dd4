"""A load point from end to end, against the null server and its own statistics."""

from __future__ import annotations

import os
import signal

import pytest

from toolkit.load.null_server import Behaviour, null_server
from toolkit.load.pattern import Concurrency
from toolkit.load.slo import slo_from_text
from toolkit.load.sweep import measure_point
from toolkit.load.verdict import judge, overall

INFER = [b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"]


def test_a_point_with_its_split() -> None:
    """One server of 10 ms and two clients: each request waits for the other one's 10 ms."""
    with null_server(Behaviour(service_s=0.010)) as server:
        load = Concurrency(clients=2, duration_s=1.0, warmup_s=0.2)
        measured, records = measure_point(server.endpoint, "null", ("null",), INFER, load)
    split = measured.split
    assert split is not None and measured.load == load
    assert 0.010 / 1.5 < split.infer_s < 0.010 * 1.5
    assert 0.010 / 2 < split.queue_s < 0.010 * 1.5
    parts = (split.queue_s, split.input_s, split.infer_s, split.output_s, split.network_s, split.client_s)
    assert sum(parts) + split.remainder_s == pytest.approx(split.latency_s)
    assert split.latency_s == pytest.approx(measured.latency.mean_s, rel=0.1)
    (model,) = measured.models
    assert abs(model.requests - measured.requests) <= 4
    slo = slo_from_text("p90=200ms,throughput=10")
    verdicts = judge(slo, measured, records)
    assert [verdict.outcome for verdict in verdicts] == ["PASS", "PASS"], verdicts
    assert overall(verdicts, measured) == "PASS"
    assert judge(slo_from_text("p90=1ms"), measured, records)[0].outcome == "FAIL"


def test_a_server_that_dies_leaves_an_invalid_point() -> None:
    with null_server(Behaviour(service_s=0.005)) as server:
        measured, records = measure_point(
            server.endpoint,
            "null",
            ("null",),
            INFER,
            Concurrency(clients=2, duration_s=60.0, warmup_s=0.0),
            progress=lambda _share, finished: os.kill(server.pid, signal.SIGKILL) if finished > 50 else None,
        )
    assert {"ServerLost", "NoServerStatistics"} <= {warning.kind for warning in measured.warnings}
    assert measured.latency.count > 20 and measured.split is None
    (verdict,) = judge(slo_from_text("p50=1s"), measured, records)
    assert verdict.outcome == overall([verdict], measured) == "INVALID"
    assert "no more connections" in verdict.reason
