"""Parity through the live server finds what the exporter cannot: answers that depend on who else is in the batch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_poc import WIDTH, save_model, write_poc

from toolkit.export.onnxruntime import run_onnx
from toolkit.families.asking import Questions
from toolkit.poc import read_poc
from toolkit.repository.entry import read_entries
from toolkit.serve.embedded import serve_embedded
from toolkit.workflow.build import build_all, build_repository, sources_of
from toolkit.workflow.live_parity import check_live_parity, clients_of_round
from toolkit.workflow.requests import requests_from


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The entries `net`, `leaking` (the same, its model replaced by one that leaks) and `alone` (batches of one)."""
    place = tmp_path_factory.mktemp("live")
    poc = read_poc(write_poc(place / "pocs" / "tiny"))
    artifacts = build_all(poc, place, sources_of(poc), lambda text: None)
    folder = build_repository(poc, place, artifacts, lambda text: None)
    for name in ("leaking", "alone"):
        shutil.copytree(folder / "net", folder / name)
        config = folder / name / "config.pbtxt"
        config.write_text(config.read_text().replace('"net"', f'"{name}"'))
    save_model(folder / "leaking" / "1" / "model.onnx", leaks=True)
    assert len(read_entries(folder)) == 3
    return folder


def questions(repository: Path, model: str) -> Questions:
    x = np.random.default_rng(3).standard_normal((96, WIDTH)).astype(np.float32)
    path = repository / model / "1" / "model.onnx"
    rows = [run_onnx(path, {"x": x[i : i + 1]})["y"] for i in range(len(x))]
    return Questions(requests=requests_from(model, {"x": x}), reference={"y": np.concatenate(rows)})


def test_a_sound_model_passes_and_a_leak_across_the_batch_is_named(repository: Path) -> None:
    with serve_embedded(repository) as server:
        sound = check_live_parity(server.endpoint, ("net",), questions(repository, "net"), clients=16)
        leaking = check_live_parity(server.endpoint, ("leaking",), questions(repository, "leaking"), clients=16)
        lonely = check_live_parity(server.endpoint, ("alone",), questions(repository, "alone"), clients=1)
    assert sound.outcome == "PASS", sound.reason
    assert sum(int(size) > 1 for size in sound.evidence[0].executions) >= 2
    assert leaking.outcome == "FAIL"
    assert leaking.result is not None
    assert leaking.result.outputs[0].mismatches > 0
    assert "y" in leaking.reason
    assert lonely.outcome == "INVALID", "one client never makes a batch, so nothing is proven"
    assert "alone" in lonely.reason


def test_requests_that_fail_are_a_failure_and_not_left_out(repository: Path) -> None:
    good = questions(repository, "net")
    bad = requests_from("absent", {"x": np.zeros((1, WIDTH), np.float32)})
    with serve_embedded(repository, models=("net",)) as server:
        asked = Questions(requests=(*good.requests[:-1], *bad), reference=good.reference)
        result = check_live_parity(server.endpoint, ("net",), asked, clients=8)
    assert result.outcome == "FAIL"
    assert result.failures >= 1
    assert "not answered" in result.reason


@pytest.mark.parametrize(("clients", "expected"), [(16, [16, 12, 8, 16]), (4, [4, 3, 2, 4]), (1, [1, 1, 1, 1])])
def test_rounds_differ_in_their_clients_so_that_batches_differ_in_size(clients: int, expected: list[int]) -> None:
    assert [clients_of_round(clients, round_) for round_ in range(4)] == expected
