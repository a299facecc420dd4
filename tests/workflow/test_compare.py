"""Comparing runs: what is refused and why, recorded figures, and two repositories measured in turn."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_poc import WIDTH, save_model, toolkit

from toolkit.artifact import Artifact, write_artifact
from toolkit.environment import environment_here
from toolkit.errors import UsageError
from toolkit.load.gate import gate_from_text
from toolkit.load.importers.results import records_of
from toolkit.load.metrics import measurement_from_records
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.request_records import write_records
from toolkit.load.slo import Slo
from toolkit.models.onnx import signature_from_onnx
from toolkit.records import digest_of_file, read_json, write_json
from toolkit.repository.entry import add_artifact
from toolkit.tune.decision import Candidate
from toolkit.workflow.comparability import mismatches
from toolkit.workflow.compare import compare_runs
from toolkit.workflow.comparison import Comparison, Question
from toolkit.workflow.import_results import import_results
from toolkit.workflow.measure import MEASUREMENT, RECORDS, trial_key
from toolkit.workflow.requests import requests_from, write_requests
from toolkit.workflow.runs import MANIFEST, Subject, finish_run, new_run, read_manifest

DATA = Path(__file__).parents[1] / "load" / "importers" / "data"
LOADS = (Concurrency(clients=1), Concurrency(clients=2))
AS_SERVED = Candidate(name="as-served", config={})


def recorded_run(root: Path, name: str, mean_s: float, loads: tuple[Load, ...] = LOADS, seed: int = 0) -> Path:
    """A run folder with made-up requests of one client, about `mean_s` each, one after the other."""
    subject = Subject(
        title=name,
        family="",
        inference="request",
        measured=name,
        models=(name,),
        slo=Slo(criteria=()),
        candidates=(AS_SERVED,),
        loads=loads,
    )
    run = new_run(root, name, "toolkit sweep", subject, config={"seed": seed}, models={name: f"digest of {name}"})
    for number, load in enumerate(loads):
        times = np.random.default_rng([seed, number]).gamma(20, mean_s / 20, 1000)
        done = np.cumsum((times * 1e9).astype(np.int64))
        sent = np.concatenate(([0], done[:-1]))
        records = records_of(
            intended_ns=sent,
            sent_ns=sent,
            first_ns=done,
            done_ns=done,
            status=[200] * 2000,
            window_ns=(0, int(done[-1])),
        )
        folder = run / trial_key(AS_SERVED, load)
        write_json(folder / MEASUREMENT, measurement_from_records(records, load))
        write_records(folder / RECORDS, records)
    finish_run(run)
    return run


def compare(a: Path, b: Path, *gates: str, **more: object) -> Comparison:
    question = replace(Question(a=a, b=b, gates=tuple(map(gate_from_text, gates))), **more)  # type: ignore[arg-type]
    found, run = compare_runs(question, command="toolkit compare", root=a.parents[1], progress=lambda text: None)
    assert run is None
    return found


def elsewhere(run: Path, **fields: object) -> None:
    manifest = read_manifest(run)
    write_json(run / MANIFEST, replace(manifest, environment=replace(manifest.environment, **fields)))  # type: ignore[arg-type]


# --- what compares ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"cpu": "another CPU"}, "CPU"),
        ({"cores": 64.0}, "cores"),
        ({"memory_bytes": 2**40}, "memory"),
        ({"system": "Linux 9.1.0 riscv64"}, "system"),
        ({"packages": {"onnxruntime": "1.0"}}, "onnxruntime"),
    ],
)
def test_other_machines_and_runtimes_are_refused_by_name(tmp_path: Path, fields: dict[str, object], named: str) -> None:
    a, b = recorded_run(tmp_path, "a", 0.01), recorded_run(tmp_path, "b", 0.01)
    elsewhere(b, **fields)
    with pytest.raises(UsageError, match=f"do not compare: .*{named}: .* for A, .* for B"):
        compare(a, b)
    assert compare(a, b, same_machine=True).loads


def test_a_patch_of_the_system_and_other_packages_do_not_matter() -> None:
    here = replace(environment_here(), system="Linux 6.1.0-13-amd64 x86_64")
    packages = here.packages | {"transformers": "1.0"}
    assert not mismatches(here, replace(here, system="Linux 6.1.0-21-amd64 x86_64", packages=packages))
    assert mismatches(here, replace(here, system="Linux 6.6.0-1-amd64 x86_64"))


def test_runs_without_a_common_load_are_refused(tmp_path: Path) -> None:
    a = recorded_run(tmp_path, "a", 0.01, loads=LOADS[:1])
    with pytest.raises(UsageError, match="no load in common: concurrency-1 and concurrency-2"):
        compare(a, recorded_run(tmp_path, "b", 0.01, loads=LOADS[1:]))


def test_a_run_without_a_repository_cannot_be_measured_again(tmp_path: Path) -> None:
    a = recorded_run(tmp_path, "a", 0.01)
    with pytest.raises(UsageError, match="no repository with requests"):
        compare(a, a, how="interleaved")


# --- recorded ---------------------------------------------------------------------------------------------------------


def test_recorded_runs_are_compared_at_their_common_loads(tmp_path: Path) -> None:
    a = recorded_run(tmp_path, "a", 0.010, seed=1)
    b = recorded_run(tmp_path, "b", 0.011, loads=LOADS[:1], seed=2)
    found = compare(a, b, "p50:+3%", "p50:+20%", "throughput:-50%")
    assert (found.how, [at.load for at in found.loads], found.only_in_one) == (
        "recorded",
        ["concurrency-1"],
        ("concurrency-2",),
    )
    p50 = next(d for d in found.loads[0].differences if d.metric == "p50")
    assert p50.low is not None and p50.high is not None
    assert p50.low < 0.1 < p50.high
    assert [g.outcome for g in found.gates] == ["FAIL", "PASS", "PASS"]
    assert found.outcome == "FAIL"
    assert {c.what for c in found.changed} >= {"measured", "model a", "model b"}


def test_an_invalid_point_is_left_out_and_its_gate_undecided(tmp_path: Path) -> None:
    a, b = recorded_run(tmp_path, "a", 0.01, loads=LOADS[:1]), recorded_run(tmp_path, "b", 0.01, loads=LOADS[:1])
    place = b / trial_key(AS_SERVED, LOADS[0]) / MEASUREMENT
    data = json.loads(place.read_text())
    place.write_text(json.dumps(data | {"interrupted": True}))
    found = compare(a, b, "p99:+3%")
    assert found.loads[0].differences == ()
    assert found.loads[0].left_out == ("B at concurrency-1: it was interrupted",)
    assert (found.gates[0].outcome, found.outcome) == ("UNDECIDED", "UNDECIDED")


def test_results_of_two_tools_compare_when_somebody_vouches_for_the_machine(tmp_path: Path) -> None:
    imported = [
        import_results(DATA / name, format=None, model="net", command="toolkit import", root=tmp_path)[0]
        for name in ("perf_analyzer.json", "perf_analyzer.csv")
    ]
    assert all((run / "report.html").is_file() for run in imported)
    with pytest.raises(UsageError, match="A was imported, and carries no environment"):
        compare(*imported)
    found = compare(*imported, same_machine=True)
    assert (found.a.engine, found.b.engine) == ("perf_analyzer 2.51.0", "perf_analyzer")
    assert [at.load for at in found.loads] == ["concurrency-1", "concurrency-2"]
    changes = {d.metric: d.change for d in found.loads[0].differences}
    assert changes["throughput"] == pytest.approx(0.0, abs=1e-5)
    assert all(d.low is None for at in found.loads for d in at.differences)


# --- interleaved ------------------------------------------------------------------------------------------------------


def served_run(root: Path, name: str) -> Path:
    """A run folder with a repository that can be served: the small model of tiny_poc."""
    run = recorded_run(root, name, 0.01, loads=LOADS[1:])
    folder = root / f"{name}-artifact"
    folder.mkdir()
    model = save_model(folder / "model.onnx")
    write_artifact(
        folder,
        Artifact(
            name=name,
            format="onnx",
            precision="fp32",
            files=("model.onnx",),
            signature=signature_from_onnx(model),
            sha256=digest_of_file(model),
            built_on="",
        ),
    )
    add_artifact(run / "repository", folder, config={"max_batch_size": 8})
    x = np.random.default_rng(0).standard_normal((4, WIDTH)).astype(np.float32)
    write_requests(run / "requests", requests_from(name, {"x": x}))
    return run


def test_two_runs_are_served_and_measured_in_turn(tmp_path: Path) -> None:
    a, b = served_run(tmp_path / "runs", "a"), served_run(tmp_path / "runs", "b")
    said: list[str] = []
    asked = Question(a=a, b=b, gates=(gate_from_text("p50:+100000%"),), rounds=3, duration_s=0.3)
    found, run = compare_runs(asked, command="toolkit compare a b", root=tmp_path / "runs", progress=said.append)
    assert run is not None
    assert (found.how, found.loads[0].load) == ("interleaved", "concurrency-2")
    kept = sorted(str(p.parent.relative_to(run)) for p in run.rglob(RECORDS))
    assert kept == sorted(f"rounds/{n}/{side}/concurrency-2" for n in (1, 2, 3) for side in "ab")
    assert read_json(run / "compare.json", Comparison) == found
    assert read_manifest(run).ended
    # On a busy machine rounds may be invalid: then they are left out by name, and the gate is not passed.
    assert found.loads[0].left_out or found.outcome == "PASS"
    assert found.loads[0].left_out or all(d.rounds == 3 for d in found.loads[0].differences)
    assert said[-1] == "2 clients: round 3 of 3"


def test_the_command_prints_one_document_and_keeps_its_exit_codes(tmp_path: Path) -> None:
    shutil.copy(DATA / "perf_analyzer.csv", tmp_path)
    imported = toolkit("import", "perf_analyzer.csv", "--model", "net", "--json", cwd=tmp_path)
    assert imported.returncode == 0, imported.stderr
    run = json.loads(imported.stdout)["run"]
    compared = toolkit("compare", run, "latest:net", "--same-machine", "--gate", "p99:+3%", "--json", cwd=tmp_path)
    assert compared.returncode == 1, "without intervals a gate is undecided"
    document = json.loads(compared.stdout)
    assert (document["how"], document["run"], document["outcome"]) == ("recorded", None, "UNDECIDED")
