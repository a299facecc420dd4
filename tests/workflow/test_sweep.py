"""`toolkit sweep` against the null server: every form of load, servers that are not Triton, and what goes wrong."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_poc import points_of, start, toolkit, wait_until

from toolkit.errors import ServerTrouble
from toolkit.load.null_server import Behaviour, NullServer, null_server
from toolkit.load.pattern import Concurrency, Load, Ramp, RequestRate, Trace
from toolkit.load.request_records import read_records
from toolkit.report.report import read_report
from toolkit.serve.server import Endpoint
from toolkit.workflow.report import write_report
from toolkit.workflow.runs import latest_run
from toolkit.workflow.sweep import Sweep, Swept, remote_address, run_sweep

RATE = RequestRate(rate_per_s=200.0, duration_s=0.5, warmup_s=0.1)
CLIENTS = Concurrency(clients=2, duration_s=0.5, warmup_s=0.1)


@pytest.fixture(scope="module")
def server() -> Iterator[NullServer]:
    with null_server(Behaviour(service_s=0.001, capacity=4)) as running:
        yield running


def sweep(root: Path, address: str, *loads: Load, slo: str | None = None, **more: Any) -> Swept:
    nowhere = root / "model_repo"
    spec = Sweep(target="null", url=address, repository=nowhere, samples=None, inputs=(), slo=slo, **more)
    return run_sweep(spec, loads, command="toolkit sweep", root=root, progress=lambda text: None)


def test_open_loads_from_the_command_line(server: NullServer, tmp_path: Path) -> None:
    url = f"http://{server.endpoint.http}"
    words = ("--rate", "100,200", "--duration", "500ms", "--max-connections", "40", "--slo", "throughput=1", "--json")
    done = toolkit("sweep", "null", "--url", url, *words, cwd=tmp_path)
    document = json.loads(done.stdout)
    # A busy machine sends late, and what it measured is then INVALID and not passed.
    passed = [p["verdict"] == "PASS" for p in document["points"]]
    assert done.returncode == (0 if any(passed) else 1), done.stderr
    assert not any(p["verdict"] == "FAIL" for p in document["points"]), "a hundred a second are more than one"
    assert [p["load"]["rate_per_s"] for p in document["points"]] == [100, 200]
    for point in document["points"]:
        assert point["load"]["max_connections"] == 40
        assert point["offered_per_s"] == pytest.approx(point["load"]["rate_per_s"], rel=0.5)
        assert point["throughput_per_s"] > 0 and point["latency"]["p99_ms"] > 0 and not point["errors"]
        assert point["client"]["send_lag_p99_s"] >= 0
        assert {"server", "certificate", "warnings"} <= point.keys()
    assert document["drift"]["load"]["rate_per_s"] == 100
    shown = (tmp_path / document["run"] / "report.html").read_text()
    assert "Offered rate (requests/s)" in shown
    assert "Latency over the load, open loads" in shown and "Latency over the load, closed loops" not in shown


def test_a_table_of_open_loads_says_what_was_offered_and_how_late_it_was(server: NullServer, tmp_path: Path) -> None:
    words = ("--rate", "100", "--duration", "400ms", "--slo", "p50=1us")
    done = toolkit("sweep", "null", "--url", f"http://{server.endpoint.http}", *words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    head = done.stdout.splitlines()[0]
    assert "offered [1/s]" in head and "send lag p99 [us]" in head and "p99 [ms]" in head


def test_a_mix_of_loads_has_one_report(server: NullServer, tmp_path: Path) -> None:
    ramp = Ramp(from_per_s=50.0, to_per_s=200.0, duration_s=0.5)
    trace = Trace(timestamps_s=tuple(n / 100 for n in range(50)))
    swept = sweep(tmp_path, server.endpoint.http, CLIENTS, RATE, ramp, trace, slo="throughput=1", drift_check=False)
    assert [point.load for point in swept.points] == [CLIENTS, RATE, ramp, trace]
    assert [point.measurement.offered_per_s is None for point in swept.points] == [True, False, False, False]
    assert swept.drift is None
    report = read_report(swept.run / "report.json")
    assert report.decision.outcome == swept.outcome
    assert "Throughput (requests/s)" in (swept.run / "report.html").read_text()


def test_the_first_of_several_loads_is_measured_again(server: NullServer, tmp_path: Path) -> None:
    swept = sweep(tmp_path, server.endpoint.http, CLIENTS, RATE)
    assert swept.drift is not None and swept.drift.load == CLIENTS and swept.drift.again_s > 0
    assert len(swept.points) == 2, "the second measurement is a check and no point"
    before = {p: p.stat().st_ino for p in swept.run.rglob("records.npz")}
    assert len(before) == 3
    again = sweep(tmp_path, server.endpoint.http, CLIENTS, RATE, resume=True)
    assert again.run == swept.run
    assert before == {p: p.stat().st_ino for p in swept.run.rglob("records.npz")}


class OtherServer(http.server.BaseHTTPRequestHandler):
    """KServe v2 without Triton's extensions: no config, no statistics; its first axis varies."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sides = {side: [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}] for side in ("inputs", "outputs")}
        self.reply({"name": "null", "versions": ["1"], "platform": "other"} | sides)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.reply({"model_name": "null", "outputs": []})

    def reply(self, answer: dict[str, Any]) -> None:
        is_known = self.path in ("/v2/models/null", "/v2/models/null/infer")
        body = json.dumps(answer if is_known else {"error": "not found"}).encode()
        self.send_response(200 if is_known else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Nothing."""


def test_a_server_that_is_not_triton(tmp_path: Path) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), OtherServer) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        swept = sweep(tmp_path, f"127.0.0.1:{other.server_port}", CLIENTS)
        other.shutdown()
    (point,) = swept.points
    assert point.measurement.latency.count and not point.measurement.errors
    assert point.measurement.split is None
    assert "NoServerStatistics" in {warning.kind for warning in point.measurement.warnings}


def test_a_server_that_dies_leaves_the_finished_points_and_the_records_of_the_other(tmp_path: Path) -> None:
    endless = RequestRate(rate_per_s=300.0, duration_s=60.0)
    with null_server(Behaviour(service_s=0.001)) as doomed:

        def kill_later() -> None:
            assert wait_until(lambda: points_of(tmp_path), 60)
            threading.Timer(1.0, os.kill, (doomed.pid, signal.SIGKILL)).start()

        threading.Thread(target=kill_later, daemon=True).start()
        with pytest.raises(ServerTrouble, match="is gone") as caught:
            sweep(tmp_path, doomed.endpoint.http, CLIENTS, endless)
    run = latest_run(tmp_path, "null")
    assert run is not None and str(run / "interrupted") in caught.value.message
    assert "--resume" in caught.value.mend
    kept = read_records(run / "interrupted" / endless.name / "records.npz")
    assert kept.ended == "server lost" and len(kept.status) > 20
    write_report(run)
    assert [p.load for p in read_report(run / "report.json").trials[0].points] == [CLIENTS]


def test_a_model_that_answers_with_errors_alone_is_invalid_and_not_fast(tmp_path: Path) -> None:
    with null_server(Behaviour(fault="error", error_status=400)) as server:
        swept = sweep(tmp_path, server.endpoint.http, RATE)
    assert swept.outcome == "INVALID"
    (point,) = swept.points
    assert {error.kind for error in point.measurement.errors} == {"HTTP 400"}
    assert {"NoAnswers", "ServerErrors"} <= {warning.kind for warning in point.measurement.warnings}


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("127.0.0.1:8000", ""),
        ("localhost:8000", ""),
        ("[::1]:8000", ""),
        ("10.0.0.7:8000", "10.0.0.7:8000"),
        ("gpu-box:80", "gpu-box:80"),
    ],
)
def test_figures_of_another_machine_are_not_said_to_be_this_ones(address: str, remote: str) -> None:
    assert remote_address(Endpoint(http=address)) == remote


@pytest.mark.parametrize("address", ["no-such-host.invalid:8000", "127.0.0.1:9"])
def test_an_address_without_a_server(address: str, tmp_path: Path) -> None:
    with pytest.raises(ServerTrouble, match=address):
        sweep(tmp_path, address, RATE)
    assert not list(tmp_path.iterdir()), "nothing was measured, so there is no run folder"


def test_ctrl_c_keeps_what_there_is_and_resume_goes_on(server: NullServer, tmp_path: Path) -> None:
    words = ("sweep", "null", "--url", server.endpoint.http, "--concurrency", "1,2", "--no-drift-check")
    process = start(*words, "--duration", "1500ms", cwd=tmp_path)
    assert wait_until(lambda: "concurrency-2" in (tmp_path / "err").read_text(), 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "interrupted" in (tmp_path / "err").read_text()
    assert len(list(tmp_path.glob("runs/null/*/trials/as-served/[!.]*/records.npz"))) == 1
    resumed = toolkit(*words, "--duration", "1500ms", "--resume", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert [p["load"]["clients"] for p in json.loads(resumed.stdout)["points"]] == [1, 2]
    assert len(list(tmp_path.glob("runs/null/*"))) == 1
