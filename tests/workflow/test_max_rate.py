"""`toolkit max-rate` against a live null server: what it leaves behind, and how it says that it cannot tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_poc import points_of, wait_until

from toolkit.errors import ServerTrouble, UsageError
from toolkit.load.null_server import Behaviour, NullServer, null_server
from toolkit.load.request_records import read_records
from toolkit.load.slo import slo_from_text
from toolkit.records import read_json, write_json
from toolkit.tune.max_rate import MaxRate
from toolkit.tune.max_rate_probe import series_of
from toolkit.workflow.audit import audit_run
from toolkit.workflow.max_rate import FILE, Asked, run_max_rate
from toolkit.workflow.measure import RECORDS, trial_key
from toolkit.workflow.report import write_report
from toolkit.workflow.runs import read_manifest
from toolkit.workflow.sweep import AS_SERVED, Sweep

SLO = "p90=60ms"


@pytest.fixture(scope="module")
def server() -> Iterator[NullServer]:
    with null_server(Behaviour(service_s=0.005)) as running:
        yield running


def asked(server: NullServer, slo: str | None = SLO, budget_s: float = 6.0) -> Asked:
    spec = Sweep(
        target="null", url=f"http://{server.endpoint.http}", repository=Path(), samples=None, inputs=(), slo=slo
    )
    return Asked(target=spec, budget_s=budget_s)


def search(what: Asked, root: Path, said: list[str] | None = None) -> tuple[Path, MaxRate]:
    say = (lambda text: None) if said is None else said.append
    return run_max_rate(what, command="toolkit max-rate null", root=root, progress=say)


def test_a_run_folder_holds_every_probe_and_the_answer(server: NullServer, tmp_path: Path) -> None:
    said: list[str] = []
    run, answer = search(asked(server), tmp_path, said)
    assert answer.outcome in ("PASS", "UNDECIDED")
    assert read_json(run / FILE, MaxRate) == answer
    manifest, slo = read_manifest(run), slo_from_text(SLO)
    assert manifest.ended and manifest.subject.loads
    assert answer.probes or "the search ended" in answer.sentence  # on a machine too busy to send in time
    used = [] if len(manifest.subject.loads) > len(answer.probes) else list(answer.probes)  # some were not used
    for load, probe in zip(manifest.subject.loads, used, strict=False):
        missed = series_of(slo.criteria[0], read_records(run / trial_key(AS_SERVED, load) / RECORDS))
        assert (len(missed), float(missed.mean())) == (probe.samples, pytest.approx(probe.measured))
        assert load.duration_s == probe.duration_s
    assert sum(text.startswith("probe ") for text in said) == len(answer.probes)
    assert answer.sentence in write_report(run).read_text().replace("&lt;", "<")
    audited = audit_run(run)
    assert audited.passed, (audited.altered, audited.differences)
    write_json(run / FILE, replace(answer, budget_s=answer.budget_s + 1))
    assert not audit_run(run).passed


def test_a_budget_that_is_too_short_is_refused_with_the_time_that_is_needed(server: NullServer, tmp_path: Path) -> None:
    run, answer = search(asked(server, "p99.99=60ms", 4.0), tmp_path)
    assert (answer.outcome, answer.probes) == ("UNDECIDED", ())
    assert answer.seconds_needed is not None and answer.seconds_needed > 60
    assert read_json(run / FILE, MaxRate) == answer


def test_no_slo_and_a_range_that_is_none(server: NullServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no SLO to hold"):
        search(asked(server, None), tmp_path)
    what = asked(server)
    with pytest.raises(UsageError, match="--from 5 is not below --to 5"):
        search(Asked(target=what.target, budget_s=1.0, from_per_s=5.0, to_per_s=5.0), tmp_path)
    assert not list(tmp_path.glob("*"))


def test_a_server_that_only_fails_is_trouble_and_not_a_rate(tmp_path: Path) -> None:
    with null_server(Behaviour(fault="error")) as broken, pytest.raises(ServerTrouble, match="not one request"):
        search(asked(broken), tmp_path)


def test_ctrl_c_keeps_the_probes_and_json_is_one_document(server: NullServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toolkit", "max-rate", "null", "--url", f"http://{server.endpoint.http}"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    cut = subprocess.Popen([*command, "--slo", SLO, "--budget", "1m"], cwd=tmp_path, env=environment)
    assert wait_until(lambda: points_of(tmp_path / "runs"), 120)
    cut.send_signal(signal.SIGINT)
    assert cut.wait(60) == 130
    done = subprocess.run(
        [*command, "--slo", "p99.99=60ms", "--budget", "3s", "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["outcome"] == "UNDECIDED"
