"""`toolkit bundle verify` on a real engine: a whole bundle up, tried and down; bad bundles; and nothing left, ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from docker_images import cpu_image, engine, our_containers
from tiny_poc import start, toolkit, wait_until, write_poc

from toolkit.deploy.lock import read_lock
from toolkit.errors import ConfigurationError, MissingDependency
from toolkit.load.slo import slo_from_text
from toolkit.serve.compose import compose_program
from toolkit.serve.docker_engine import OWNER_LABEL
from toolkit.workflow.bundle_load import recommended_rate

ROOT = Path(__file__).parents[2]


def bundle_of(poc: Path, place: Path, *arguments: str) -> Path:
    """The bundle of a run of a PoC, whatever its verdict on a busy machine."""
    done = toolkit("run", poc, "--no-publish", *arguments, cwd=place)
    assert done.returncode in (0, 1), done.stderr
    (run,) = place.glob("runs/*/*/")
    done = toolkit("deploy", run, "--target", "compose", "--output", "made", "--allow-unproven", cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "made"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a small model; the tests are skipped where no engine, Compose or base image is."""
    need_docker()
    place = tmp_path_factory.mktemp("made")
    bundle = bundle_of(write_poc(place / "tiny", candidates=1, loads=1), place)
    lock = json.loads((bundle / "bundle.lock.json").read_text())
    # On a busy machine a run may choose nothing.
    lock["figures"] = lock["figures"] or FIGURES
    (bundle / "bundle.lock.json").write_text(json.dumps(lock))
    return bundle


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "bundle"))


def need_docker() -> None:
    cpu_image()
    try:
        compose_program()
    except MissingDependency as err:
        pytest.skip(err.message)


def left() -> list[str]:
    """Everything of a verification that is still there."""
    client, ours = engine(), {"label": OWNER_LABEL}
    networks = [n.name for n in client.networks.list(filters=ours)]
    volumes = [v.name for v in client.volumes.list(filters=ours)]
    return [name for name in (*our_containers(client), *networks, *volumes) if "poc-verify" in name]


def outcomes(document: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["outcome"] for check in document["checks"]}


@pytest.mark.docker
def test_a_bundle_is_brought_up_tried_and_taken_down(bundle: Path, tmp_path: Path) -> None:
    done = toolkit("bundle", "verify", bundle, "--rate", "100", "--duration", "4s", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    found = outcomes(document)
    for name in (
        "start",
        "smoke: files",
        "smoke: inference",
        "closed APIs",
        "hardening",
        "SLO",
        "health checks",
        "down",
    ):
        assert found[name] == "ok", document
    if shutil.which("prometheus"):
        assert (found["alerts"], found["dashboard"]) == ("ok", "ok")
    assert found["beside the run"] == "told"
    assert document["test"]["outcome"] == "PASS"
    assert json.loads((bundle / "verify.json").read_text())["checks"] == document["checks"]
    assert left() == []


@pytest.mark.docker
def test_a_model_that_was_not_measured_does_not_start(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model_repository" / "net" / "1" / "extra.py").write_text("import os\n")
    done = toolkit("bundle", "verify", bundle, cwd=tmp_path)
    assert done.returncode == 4
    assert "extra.py was not there when the models were measured" in done.stderr
    assert left() == []


@pytest.mark.docker
def test_an_answer_that_differs_is_a_verdict_and_no_error(bundle: Path, tmp_path: Path) -> None:
    file = bundle / "smoke" / "expected.json"
    expected = json.loads(file.read_text())
    expected["outputs"][0]["data"][0] += 1.0
    file.write_text(json.dumps(expected))
    soft = yaml.safe_load((bundle / "compose" / "docker-compose.yaml").read_text())
    soft["services"] = {"triton": soft["services"]["triton"] | {"read_only": False}}
    (bundle / "compose" / "docker-compose.yaml").write_text(yaml.safe_dump(soft))
    options = ("--rate", "50", "--duration", "1s", "--json")
    done = toolkit("bundle", "verify", bundle, *options, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    found = outcomes(json.loads(done.stdout))
    assert (found["smoke: inference"], found["hardening"], found["down"]) == ("failed", "failed", "ok")


@pytest.mark.docker
def test_a_server_that_is_never_ready_is_given_up_and_taken_down(bundle: Path, tmp_path: Path) -> None:
    done = toolkit("bundle", "verify", bundle, "--timeout", "0s", cwd=tmp_path)
    assert done.returncode == 4
    assert "triton is not ready after 0 s" in done.stderr
    assert left() == []


@pytest.mark.docker
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_nothing_is_left_of_a_verification_that_is_ended(
    bundle: Path, tmp_path: Path, kind: signal.Signals, code: int
) -> None:
    process = start("bundle", "verify", bundle, "--duration", "1m", cwd=tmp_path)
    try:
        assert wait_until(lambda: "requests/s for 60 s" in (tmp_path / "err").read_text(), 60)
    finally:
        process.send_signal(kind)
    assert process.wait(60) == code
    assert wait_until(lambda: left() == [], 30)


@pytest.mark.docker
def test_a_server_that_dies_under_load_is_server_trouble(bundle: Path, tmp_path: Path) -> None:
    process = start("bundle", "verify", bundle, "--duration", "1m", cwd=tmp_path)
    assert wait_until(lambda: "requests/s for 60 s" in (tmp_path / "err").read_text(), 60)
    (name,) = [n for n in our_containers(engine()) if f"poc-verify-{process.pid}-" in n and "triton" in n]
    subprocess.run(("docker", "kill", name), check=True, capture_output=True)
    assert process.wait(60) == 4
    assert "is gone after" in (tmp_path / "err").read_text()
    assert left() == []


@pytest.mark.docker
@pytest.mark.slow
def test_the_vision_poc_is_verified(tmp_path: Path) -> None:
    need_docker()
    bundle = bundle_of(ROOT / "pocs" / "vision", tmp_path, "--smoke")
    done = toolkit("bundle", "verify", bundle, "--rate", "200", "--json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == 0, document
    assert "failed" not in outcomes(document).values()
    assert left() == []


def test_without_an_engine_it_says_how_to_get_one(tmp_path: Path) -> None:
    write_lock(tmp_path, target="compose")
    command = (sys.executable, "-m", "toolkit", "bundle", "verify", str(tmp_path))
    environment = os.environ | {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "mend: sudo" in done.stderr


def test_what_is_no_compose_bundle_is_refused(tmp_path: Path) -> None:
    done = toolkit("bundle", "verify", tmp_path, cwd=tmp_path)
    assert (done.returncode, "is not a bundle" in done.stderr) == (2, True)
    write_lock(tmp_path, target="kubernetes")
    done = toolkit("bundle", "verify", tmp_path, cwd=tmp_path)
    assert (done.returncode, "--target compose" in done.stderr) == (2, True)
    write_lock(tmp_path, target="compose")
    done = toolkit("bundle", "verify", tmp_path, "--rate", "-5", cwd=tmp_path)
    assert (done.returncode, "-5 requests/s is not a rate" in done.stderr) == (2, True)
    (tmp_path / "bundle.lock.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_lock(tmp_path)


FIGURES = {
    "throughput_per_s": 1000.0,
    "latency_p99_s": 0.01,
    "load": "concurrency-16",
    "outcome": "PASS",
    "environment": "a laptop",
    "device": "CPU",
    "server": "embedded",
}


def write_lock(folder: Path, *, target: str) -> None:
    lock = {
        "schema": 1,
        "name": "n",
        "run": "r",
        "target": target,
        "model": "m",
        "images": {"triton": "t", "prometheus": "p", "grafana": "g"},
        "slo": [{"text": "latency.p99=20ms"}],
        "figures": FIGURES | {"mark": "not measured on the target"},
        "limits": {"gpu": False},
    }
    (folder / "bundle.lock.json").write_text(json.dumps(lock))


@pytest.mark.parametrize(
    ("load", "slo", "rate_per_s"),
    [
        ("concurrency-16", "p99=20ms", 400.0),
        ("rate-1000-poisson", "p99=20ms", 1000.0),
        ("concurrency-16", "p99=20ms,throughput=900", 945.0),
    ],
)
def test_the_rate_that_a_run_recommends(tmp_path: Path, load: str, slo: str, rate_per_s: float) -> None:
    write_lock(tmp_path, target="compose")
    lock = read_lock(tmp_path)
    assert lock.figures is not None
    recommended = recommended_rate(replace(lock, slo=slo_from_text(slo), figures=replace(lock.figures, load=load)))
    assert recommended is not None
    assert recommended.per_s == pytest.approx(rate_per_s)


def test_a_run_that_chose_nothing_recommends_no_rate(tmp_path: Path) -> None:
    write_lock(tmp_path, target="compose")
    assert recommended_rate(replace(read_lock(tmp_path), figures=None)) is None
