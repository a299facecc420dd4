"""`toolkit run` from end to end on a small model: what it leaves, what it resumes, what survives being killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from tiny_poc import points_of, processes_of, start, toolkit, wait_until, write_poc

from toolkit.deploy.sizing import settings_of
from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement
from toolkit.load.request_records import read_records
from toolkit.poc import read_poc
from toolkit.records import STEP_FILE, read_json
from toolkit.report.report import read_report
from toolkit.repository.entry import read_entry
from toolkit.workflow.deploy import Deployment, deploy_run, deployment_spec
from toolkit.workflow.run import run_poc
from toolkit.workflow.runs import MANIFEST, read_manifest, run_from_text


def finished_steps(run: Path) -> dict[str, int]:
    """Each finished step of a run with the inode of its record, which a repeated step would have anew."""
    return {str(p.parent.relative_to(run)): p.stat().st_ino for p in run.rglob(STEP_FILE) if ".partial" not in str(p)}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("run")
    folder = write_poc(place / "pocs" / "tiny", loads=1, rates=(60.0,))
    run, decision = run_poc(read_poc(folder), command="toolkit run", root=place / "runs", publish=place / "model_repo")
    assert decision.outcome == "PASS", decision.sentence
    return place, run


def test_a_run_leaves_everything_that_the_next_stage_needs(done: tuple[Path, Path]) -> None:
    place, run = done
    names = {p.name for p in run.iterdir()}
    assert {"manifest.json", "poc.resolved.yaml", "artifacts", "repository", "trials", "decision.json"} <= names
    assert {"report.html", "report.json", "deploy", "requests", "parity"} <= names
    assert read_manifest(run).ended
    assert read_report(run / "report.json").decision.outcome == "PASS"
    assert json.loads((run / "parity" / "live.json").read_text())["outcome"] == "PASS"
    assert (place / "model_repo" / "net" / "config.pbtxt").is_file()
    assert read_entry(place / "model_repo" / "net").config == read_entry(run / "chosen_repository" / "net").config
    for path in run.glob("trials/*/*/measurement.json"):
        measurement, records = read_json(path, Measurement), read_records(path.with_name("records.npz"))
        assert measurement.requests == int(records.in_window.sum())


def test_closed_and_open_loads_stand_side_by_side(done: tuple[Path, Path]) -> None:
    report = read_report(done[1] / "report.json")
    for trial in report.trials:
        assert [point.load.name for point in trial.points] == ["concurrency-2", "rate-60-poisson"]
        closed, opened = (point.measurement for point in trial.points)
        assert closed.offered_per_s is None and opened.offered_per_s == pytest.approx(60, rel=0.6)


def test_the_split_adds_up_to_the_mean_latency(done: tuple[Path, Path]) -> None:
    for path in done[1].glob("trials/*/*/measurement.json"):
        split = read_json(path, Measurement).split
        assert split is not None
        known = split.queue_s + split.input_s + split.infer_s + split.output_s + split.network_s + split.client_s
        assert known + split.remainder_s == pytest.approx(split.latency_s, rel=1e-6)


def test_resume_repeats_no_step_and_another_configuration_is_another_run(done: tuple[Path, Path]) -> None:
    place, run = done
    before = finished_steps(run)
    again, _ = run_poc(read_poc(place / "pocs" / "tiny"), command="x", root=place / "runs", resume=True)
    assert again == run
    assert finished_steps(run) == before
    assert run_from_text("latest:tiny", place / "runs") == run


def test_latest_is_the_run_of_a_poc_and_not_what_was_measured_of_a_model_of_its_name(tmp_path: Path) -> None:
    for started in ("20260101T000000Z", "20260102T000000Z"):
        (tmp_path / "acme" / started).mkdir(parents=True)
        (tmp_path / "acme" / started / MANIFEST).touch()
    first, second = sorted((tmp_path / "acme").iterdir())
    assert run_from_text("latest:acme", tmp_path) == second
    (first / "repository").mkdir()
    assert run_from_text("latest:acme", tmp_path) == first


def test_deploy_refuses_what_is_not_proven_and_a_folder_that_is_not_empty(
    done: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(UsageError, match="not an empty folder"):
        deploy_run(done[1], tmp_path / "full")
    findings = deploy_run(done[1], tmp_path / "bundle")
    assert not [f for f in findings if f.outcome == "failed"]
    lock = json.loads((tmp_path / "bundle" / "bundle.lock.json").read_text())
    assert done[1].name in json.dumps(lock)


def test_the_figures_of_a_deployment_size_the_next_bundle(done: tuple[Path, Path], tmp_path: Path) -> None:
    run, sweep = done[1], tmp_path / "20260101T000000Z-sweep"
    shutil.copytree(run, sweep)
    asked = Deployment(target="kubernetes", overlays=("hpa",), measured=sweep)
    with pytest.raises(UsageError, match="a server of its own machine"):
        deployment_spec(run, asked)
    manifest = json.loads((sweep / "manifest.json").read_text())
    manifest["subject"]["remote"] = "10.0.0.7:8000"
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    spec = deployment_spec(run, asked)
    assert spec.is_measured_on_target and not deployment_spec(run, Deployment()).is_measured_on_target
    queue = settings_of(spec).queue_us
    assert sweep.name in queue.note and queue.value >= 500
    manifest["subject"]["measured"] = "another"
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="it measured another"):
        deployment_spec(run, asked)


def test_deploy_refuses_a_run_that_did_not_pass_and_overlays_that_do_not_go_together(
    done: tuple[Path, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(done[1], run)
    with pytest.raises(UsageError, match="exclude each other"):
        deployment_spec(run, Deployment(target="kubernetes", overlays=("hpa", "keda")))
    decision = json.loads((run / "decision.json").read_text())
    (run / "decision.json").write_text(json.dumps(decision | {"outcome": "UNDECIDED"}))
    with pytest.raises(UsageError, match="UNDECIDED") as caught:
        deployment_spec(run, Deployment())
    assert "--allow-unproven" in caught.value.mend
    assert deployment_spec(run, Deployment(allow_unproven=True)).model


def test_a_server_killed_in_mid_sweep_keeps_what_was_measured(tmp_path: Path) -> None:
    folder = write_poc(tmp_path / "pocs" / "tiny", candidates=1, loads=3, duration_s=1.5)
    process = start("run", folder, cwd=tmp_path)
    assert wait_until(lambda: points_of(tmp_path / "runs"), 90)
    time.sleep(0.5)
    run = run_from_text("latest:tiny", tmp_path / "runs")
    server = next(int(p.name) for p in Path("/proc").glob("[0-9]*") if is_triton_on(p, run))
    before = finished_steps(run)
    os.kill(server, signal.SIGKILL)
    assert process.wait(60) == 4
    assert "--resume" in (tmp_path / "err").read_text()
    assert list((run / "interrupted").rglob("records.npz"))
    resumed = toolkit("run", folder, "--resume", "--no-publish", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["decision"]["outcome"] == "PASS"
    assert before.items() <= finished_steps(run).items()
    assert not processes_of(tmp_path)


def is_triton_on(process: Path, run: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"tritonserver") and f"--model-repository={run.resolve()}/repository".encode() in words


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_end_by_signal_leaves_no_process(how: signal.Signals, code: int, tmp_path: Path) -> None:
    folder = write_poc(tmp_path / "pocs" / "tiny", duration_s=5)
    process = start("run", folder, cwd=tmp_path)
    assert wait_until(lambda: "measuring" in (tmp_path / "err").read_text(), 90)
    time.sleep(0.5)
    process.send_signal(how)
    assert process.wait(30) == code
    assert wait_until(lambda: not processes_of(tmp_path), 5), processes_of(tmp_path)


@pytest.mark.slow
def test_kill_at_twenty_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    folder = write_poc(tmp_path / "pocs" / "tiny", candidates=3, loads=2, duration_s=0.4)
    moment = random.Random(0)
    steps: dict[str, int] = {}
    for _ in range(20):
        process = start("run", folder, "--resume", "--no-publish", cwd=tmp_path)
        time.sleep(moment.uniform(0.2, 3.4))
        process.kill()
        process.wait()
        runs = list(tmp_path.glob("runs/tiny/*"))
        assert len(runs) <= 1
        now = finished_steps(runs[0]) if runs else {}
        assert steps.items() <= now.items(), "a finished step was lost or repeated"
        steps = now
    assert wait_until(lambda: not processes_of(tmp_path), 5), processes_of(tmp_path)
    last = toolkit("run", folder, "--resume", "--no-publish", cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    run = run_from_text("latest:tiny", tmp_path / "runs")
    assert steps.items() <= finished_steps(run).items()
    assert len(list(run.glob("trials/*/*/records.npz"))) == 6
