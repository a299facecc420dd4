"""MLPerf's LoadGen against the null server: what it says, beside what we wrote down of the same requests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from toolkit.errors import ServerTrouble, UsageError
from toolkit.load.importers.loadgen import LABEL
from toolkit.load.loadgen import ScenarioResult, run_scenario
from toolkit.load.loadgen_account import DETAIL_FILE
from toolkit.load.loadgen_scenario import MultiStream, Offline, Scenario, Server, SingleStream
from toolkit.load.measurement import Measurement
from toolkit.load.null_server import Behaviour, null_server
from toolkit.load.request_records import Records, read_records
from toolkit.load.slo import slo_from_text
from toolkit.load.verdict import judge

pytest.importorskip("mlperf_loadgen", reason="needs the extra 'loadgen'")

INFER = [b"POST /v2/models/null/infer HTTP/1.1\r\nHost: null\r\nContent-Length: 0\r\n\r\n"] * 3


def run(behaviour: Behaviour, scenario: Scenario, folder: Path) -> tuple[ScenarioResult, Measurement, Records]:
    with null_server(behaviour) as server:
        return run_scenario(server.endpoint, "null", ("null",), INFER, scenario, folder)


def stated(result: ScenarioResult, q: float) -> float:
    assert result.loadgen is not None
    return result.loadgen.latency.at(q).value_s


def test_single_stream(tmp_path: Path) -> None:
    """One at a time, so never faster than the service; LoadGen and we saw the same requests."""
    result, measured, records = run(
        Behaviour(service_s=0.004), SingleStream(min_duration_s=0.8, warmup_s=0.2, min_queries=64), tmp_path
    )
    assert result.loadgen is not None and result.loadgen.verdict == "VALID" and result.is_valid
    assert result.label == result.loadgen.label == LABEL
    assert (measured.engine, measured.requests, records.ended) == (
        "LoadGen",
        len(records.status),
        "complete",
    )
    for q in (0.5, 0.9):
        assert 0.004 <= measured.latency.at(q).value_s <= stated(result, q) * 1.05
        assert stated(result, q) < measured.latency.at(q).value_s * 2
    assert records.connections == 1 and set(records.payload.tolist()) == {0, 1, 2}
    assert {path.name for path in tmp_path.iterdir()} >= {
        "mlperf_log_summary.txt",
        "mlperf_log_detail.txt",
        "records.npz",
    }
    assert len(read_records(tmp_path / "records.npz").status) == len(records.status)
    (model,) = measured.models
    assert abs(model.requests - len(records.status)) <= 2
    assert measured.server is not None and measured.server.cpu_share > 0


def test_multi_stream_waits_for_all_samples_of_a_query(tmp_path: Path) -> None:
    """Four samples on one server of 3 ms: a query takes four times as long as its first sample."""
    scenario = MultiStream(samples_per_query=4, min_duration_s=0.8, warmup_s=0.2, min_queries=20)
    result, measured, records = run(Behaviour(service_s=0.003), scenario, tmp_path)
    assert len(records.status) % 4 == 0 and records.connections == 4
    assert stated(result, 0.5) >= 0.012 and measured.latency.at(0.5).value_s < stated(result, 0.5)
    assert result.loadgen is not None and "early-stopping" in result.loadgen.reasons[0]


@pytest.mark.parametrize(("service_s", "verdict"), [(0.001, "VALID"), (0.012, "INVALID")])
def test_server_and_our_verdict_beside_it(service_s: float, verdict: str, tmp_path: Path) -> None:
    """Well below the capacity, and at 2.5 times the capacity; ours needs more requests, and never says the opposite."""
    scenario = Server(rate_per_s=200.0, target_latency_s=0.3, percentile=0.9, min_duration_s=1.0, warmup_s=0.2)
    result, measured, records = run(Behaviour(service_s=service_s), scenario, tmp_path)
    assert result.loadgen is not None and result.loadgen.verdict == verdict
    assert 'effective_target_latency_ns", "value": 300000000' in (tmp_path / DETAIL_FILE).read_text()
    assert result.loadgen.early_stopping[0] == f"Run {'successful' if verdict == 'VALID' else 'unsuccessful'}."
    (judged,) = judge(slo_from_text("p90=300ms"), measured, records)
    assert judged.outcome != ("FAIL" if verdict == "VALID" else "PASS"), judged.reason
    assert len(records.status) == pytest.approx(200, rel=0.3)


def test_offline_has_so_many_in_flight(tmp_path: Path) -> None:
    """All at once; the server's three slots are never idle, and each request's time begins with its turn."""
    scenario = Offline(clients=6, min_duration_s=0.8, warmup_s=0.2)
    result, measured, records = run(Behaviour(service_s=0.006, capacity=3), scenario, tmp_path)
    assert result.loadgen is not None
    assert result.loadgen.throughput_per_s == pytest.approx(measured.throughput_per_s, rel=0.1)
    assert result.loadgen.throughput_per_s < 505
    assert records.connections == 6 and records.connection_waits == 0
    assert measured.latency.at(0.5).value_s < 0.1


def test_a_failure_that_loadgen_cannot_see(tmp_path: Path) -> None:
    behaviour = Behaviour(service_s=0.002, fault="error", fault_every=5)
    result, measured, records = run(behaviour, SingleStream(min_duration_s=0.5, warmup_s=0.2, min_queries=64), tmp_path)
    assert result.loadgen is not None and result.loadgen.verdict == "VALID"
    assert result.failed == int((records.status == 503).sum()) > 10
    assert not result.is_valid
    assert "LoadGenBlind" in {warning.kind for warning in measured.warnings}


def test_a_server_that_dies_ends_it_with_what_there_is(tmp_path: Path) -> None:
    with null_server(Behaviour(service_s=0.002)) as server:
        result, measured, records = run_scenario(
            server.endpoint,
            "null",
            ("null",),
            INFER,
            Server(rate_per_s=100.0, target_latency_s=0.1, min_duration_s=60.0, warmup_s=0.2),
            tmp_path,
            progress=lambda _share, finished: os.kill(server.pid, signal.SIGKILL) if finished > 20 else None,
        )
    assert records.ended == "server lost" and result.loadgen is None and not result.is_valid
    assert int(records.succeeded.sum()) > 20 and result.failed > 20
    assert "ServerLost" in {warning.kind for warning in measured.warnings}


def test_ctrl_c_ends_it_with_what_there_is(tmp_path: Path) -> None:
    def interrupt(_share: float, finished: int) -> None:
        if finished > 20:
            os.kill(os.getpid(), signal.SIGINT)

    with null_server(Behaviour(service_s=0.002)) as server:
        scenario = SingleStream(min_duration_s=60.0, warmup_s=0.2)
        result, measured, records = run_scenario(
            server.endpoint, "null", ("null",), INFER, scenario, tmp_path, progress=interrupt
        )
    assert records.interrupted and result.loadgen is None and measured.interrupted
    assert len(records.status) > 20 and records.succeeded.all()


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with null_server(Behaviour(fault="error")) as server:
        with pytest.raises(ServerTrouble, match=r"none of the \d+ requests of the warm-up succeeded: \d+ HTTP 503"):
            run_scenario(server.endpoint, "null", ("null",), INFER, SingleStream(warmup_s=0.2), tmp_path)
        with pytest.raises(UsageError, match="not driven over sse"):
            run_scenario(
                server.endpoint, "null", ("null",), INFER, SingleStream(warmup_s=0.2), tmp_path, protocol="sse"
            )
