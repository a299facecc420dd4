"""`toolkit size` on run folders: what it writes, what the report says of it, what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from simulated_run import run_folder
from tiny_poc import toolkit

from toolkit.environment import UNKNOWN, environment_here
from toolkit.errors import UsageError
from toolkit.load.queue_model import Queue
from toolkit.records import read_json
from toolkit.report.report import read_report
from toolkit.size.demand import Demand
from toolkit.size.plan import Asked, CapacityPlan
from toolkit.workflow.report import PLAN
from toolkit.workflow.runs import read_manifest
from toolkit.workflow.served import response_bytes, served_of
from toolkit.workflow.size import size_run

QUEUE = Queue(service_s=0.003, row_s=0.0004, max_batch_size=8, batch_delay_s=0.001)
ASKED = Asked(demand=Demand(peak_per_s=5000))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_folder(tmp_path_factory.mktemp("size"), QUEUE, (300.0, 600.0, 900.0), "p99=20ms")


def test_a_plan_is_kept_and_reported(run: Path) -> None:
    plan = size_run(run, ASKED, prices="example")
    assert read_json(run / PLAN, CapacityPlan) == plan
    assert read_report(run / "report.json").sizing == plan
    html = (run / "report.html").read_text()
    assert f"{plan.replicas.recommended} replicas of net" in html
    assert "EXAMPLE" in html and "no demand was given" not in html
    assert plan.sustained_per_s.basis in ("measured", "interpolated")


def test_the_command_prints_one_document_and_ends_with_0(run: Path, tmp_path: Path) -> None:
    done = toolkit("size", str(run), "--rate", "5000", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["plan"]["replicas"]["recommended"] > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "there is no rate to size for"),
        (("--rate", "100", "--hardware", "NVIDIA H100"), "never used for NVIDIA H100"),
        (("--rate", "100", "--slo", "p99=10us"), "no rate is sure to hold"),
        (("--rate", "100", "--candidate", "other"), "no valid measurement of 'other'"),
        (("--rate", "100", "--prices", "absent.yaml"), "absent.yaml cannot be read"),
        (("--rate", "100", "--verify"), "no repository"),
    ],
)
def test_what_cannot_be_sized_is_refused_with_its_mend(run: Path, tmp_path: Path, options: tuple, message: str) -> None:
    done = toolkit("size", str(run), *options, cwd=tmp_path)
    assert done.returncode == 2 and message in " ".join(done.stderr.split()), done.stderr


def test_results_of_an_unknown_machine_need_its_name(tmp_path: Path) -> None:
    run = run_folder(tmp_path, QUEUE, (300.0, 900.0), "p99=20ms", environment=UNKNOWN)
    with pytest.raises(UsageError, match="do not say where they were measured"):
        size_run(run, ASKED)
    plan = size_run(run, replace(ASKED, hardware="NVIDIA L4"))
    assert plan.hardware == "NVIDIA L4 (as you say)" and "not known" in plan.client_share


def test_nothing_is_verified_on_another_machine(tmp_path: Path) -> None:
    other = replace(environment_here(), cpu="Another CPU")
    run = run_folder(tmp_path, QUEUE, (300.0, 900.0), "p99=20ms", environment=other)
    (run / "repository").mkdir()
    with pytest.raises(UsageError, match="not the machine"):
        size_run(run, ASKED, verify_s=1.0, prices=None)
    assert read_manifest(run).environment == other


@pytest.mark.parametrize(
    ("config", "gpus", "expected"),
    [
        ({}, 0, (1, 1, 0.0)),
        ({"instance_group": [{"count": 2, "kind": "KIND_CPU"}], "max_batch_size": 8}, 0, (2, 1, 0.0)),
        ({"dynamic_batching": {"max_queue_delay_microseconds": "500"}, "max_batch_size": 8}, 0, (1, 8, 5e-4)),
        ({"instance_group": [{"count": 2, "kind": "KIND_GPU"}]}, 4, (8, 1, 0.0)),
        ({"instance_group": [{"count": 2, "kind": "KIND_GPU", "gpus": [0]}]}, 4, (2, 1, 0.0)),
        ({"instance_group": [{"count": 2, "kind": "KIND_CPU"}]}, 4, (2, 1, 0.0)),
    ],
)
def test_what_forms_a_queue(config: dict, gpus: int, expected: tuple) -> None:
    found = served_of({"net": config}, gpus=gpus)["net"]
    assert (found.instances, found.max_batch_size, found.queue_delay_s) == expected


def test_an_ensemble_forms_none_and_sizes_of_answers_are_known_where_fixed() -> None:
    assert served_of({"all": {"ensemble_scheduling": {}}}) == {}
    output = {"data_type": "TYPE_FP32", "dims": ["10"]}
    assert response_bytes({"output": [output, output]}) == 80
    assert response_bytes({"output": [output, {"data_type": "TYPE_STRING", "dims": [1]}]}) is None
    assert response_bytes({"output": [{"data_type": "TYPE_FP32", "dims": [-1]}]}) is None
