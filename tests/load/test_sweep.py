"""A load point from end to end, against the null server and its own statistics."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from toolkit.load.null_server import Behaviour, null_requests, null_server
from toolkit.load.pattern import Concurrency
from toolkit.load.process_tree import TreeReading
from toolkit.load.request_records import Records
from toolkit.load.slo import slo_from_text
from toolkit.load.sweep import measure_point, measurement_of
from toolkit.load.verdict import judge, overall
from toolkit.load.window import Edge, Observed, Window, observing
from toolkit.serve.server import Endpoint, is_on_loopback

INFER = [b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"]
_TIMES = np.arange(100, dtype=np.int64) * 10_000_000
#: A hundred requests of 2 ms in a window of one second.
RECORDS = Records(
    intended_ns=_TIMES,
    sent_ns=_TIMES,
    first_ns=_TIMES + 2_000_000,
    done_ns=_TIMES + 2_000_000,
    status=np.full(100, 200, np.int16),
    payload=np.zeros(100, np.int32),
    window_start_ns=0,
    window_end_ns=1_000_000_000,
    client_cpu_ns=0,
)


def test_a_point_with_its_split() -> None:
    """One server of 10 ms and two clients: each request waits for the other one's 10 ms."""
    with null_server(Behaviour(service_s=0.010)) as server:
        load = Concurrency(clients=2, duration_s=2.0, warmup_s=0.2)
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


def test_what_the_server_used_is_in_the_point() -> None:
    with null_server(Behaviour(service_s=0.001)) as server:
        load = Concurrency(clients=2, duration_s=0.5, warmup_s=0.1)
        measured, _ = measure_point(server.endpoint, "null", ("null",), INFER, load)
        elsewhere, _ = measure_point(replace(server.endpoint, pid=None), "null", ("null",), INFER, load)
    assert measured.server is not None and elsewhere.server is None
    assert 0 < measured.server.cpu_share < 1.5 and measured.server.processes == 1
    assert measured.server.resident_bytes > 4_000_000
    assert measured.cpu_throttled_s >= 0 and measured.server_metrics is None


def test_a_stream_has_a_point_too() -> None:
    with null_server(Behaviour(service_s=0.002, responses=4, itl_s=0.002)) as server:
        load = Concurrency(clients=2, duration_s=0.5, warmup_s=0.1)
        requests = null_requests(2, streamed=True)
        measured, records = measure_point(server.endpoint, "null", ("null",), requests, load, protocol="sse")
    assert measured.requests > 10 and not measured.failed_requests
    assert len(records.response_ns) == records.responses.sum() > 4 * measured.requests - 1


def test_a_server_with_only_a_grpc_address_has_no_split() -> None:
    endpoint = Endpoint(http="", grpc="127.0.0.1:1")
    with observing(endpoint, ("m",), None) as window:
        pass
    measured = measurement_of(RECORDS, Concurrency(clients=1), window.observed(), ("m",))
    (warning,) = (w for w in measured.warnings if w.kind == "NoServerStatistics")
    assert "only a gRPC address" in warning.text and not warning.invalid
    assert (measured.models, measured.split, measured.server) == ((), None, None)


def test_throttling_is_a_warning() -> None:
    """Half a second of a window of one second."""
    edges = [
        Edge(
            statistics=None,
            trouble="none here",
            processes=TreeReading(at_ns=0, processes={}),
            metrics=(),
            cpu_throttled_s=throttled_s,
        )
        for throttled_s in (1.0, 1.5)
    ]
    observed = Observed(before=edges[0], after=edges[1], gpus=())
    measured = measurement_of(RECORDS, Concurrency(clients=1), observed, ("m",))
    (warning,) = (w for w in measured.warnings if w.kind == "Throttled")
    assert measured.cpu_throttled_s == warning.figure == 0.5 and "CPU quota" in warning.text
    calm = measurement_of(RECORDS, Concurrency(clients=1), replace(observed, after=edges[0]), ("m",))
    assert "Throttled" not in {w.kind for w in calm.warnings}


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", True), ("localhost", True), ("[::1]", True), ("10.0.0.7", False)]
)
def test_whose_gpus_they_are(host: str, expected: bool) -> None:
    assert is_on_loopback(Endpoint(http=f"{host}:8000")) is expected
    assert is_on_loopback(Endpoint(http="", grpc=f"{host}:8001")) is expected


def test_the_window_follows_the_engines_clock() -> None:
    """A window of 3 s after 1 s of warm-up is open from a quarter on, and closed at the end."""
    window, told = Window(), []
    follow = window.follow(Concurrency(clients=1, duration_s=3.0, warmup_s=1.0), lambda *step: told.append(step))
    states = []
    for share in (0.1, 0.25, 0.9, 1.0):
        follow(share, 7)
        states.append((window.is_open, window.is_closed))
    assert states == [(False, False), (True, False), (True, False), (True, True)]
    assert told == [(0.1, 7), (0.25, 7), (0.9, 7), (1.0, 7)]
