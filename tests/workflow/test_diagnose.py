"""`toolkit diagnose` on a live embedded Triton whose queue delay is far too long; `--apply` takes it away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_poc import save_model, toolkit

from toolkit.serve.embedded import problems
from toolkit.workflow.served_models import json_share, model_from_config

CONFIG = """
name: "net" backend: "onnxruntime" max_batch_size: 8
input { name: "x" data_type: TYPE_FP32 dims: 8 }
output { name: "y" data_type: TYPE_FP32 dims: 8 }
dynamic_batching { max_queue_delay_microseconds: 60000 }
parameters { key: "intra_op_thread_count" value { string_value: "1" } }
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the fault."""
    for problem in problems():
        pytest.skip(str(problem))
    root = tmp_path_factory.mktemp("diagnosis")
    version = root / "model_repo" / "net" / "1"
    version.mkdir(parents=True)
    save_model(version / "model.onnx")
    (version.parent / "config.pbtxt").write_text(CONFIG)
    return root


@pytest.mark.timing
def test_the_fault_is_named_and_its_remedy_measured(place: Path) -> None:
    done = toolkit("diagnose", "net", "--apply", "--clients", "4", "--window", "1s", "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    named = {f["limit"]: f for f in found["findings"]}
    assert "queue delay" in named, found["findings"]
    assert named["queue delay"]["figure"] > named["queue delay"]["threshold"]
    delay_us = named["queue delay"]["change"]["net"]["dynamic_batching"]["max_queue_delay_microseconds"]
    assert delay_us < 60000
    applied = found["applied"]
    assert applied["limit"] == next(f["limit"] for f in found["findings"] if f["change"])
    if applied["limit"] == "queue delay":
        assert applied["p50_after_s"] < 0.7 * applied["p50_before_s"]
        assert "queue delay" not in applied["findings_after"]
    assert {o["operator"] for o in found["profiles"]["net"]["operators"]} >= {"MatMul", "Tanh"}
    shares = found["shares"]["one client"]
    assert shares["queue"] > 0.5 and sum(shares.values()) == pytest.approx(1.0)
    run = place / found["run"]
    assert (run / "diagnosis.json").is_file() and (run / "report.html").is_file()
    shown = toolkit("diagnose", found["run"], "--window", "500ms", cwd=place)
    assert shown.returncode == 2 and "holds no repository" in shown.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nothing",), "nothing"),
        (("net", "--trace", "model_repo/net/config.pbtxt"), "cannot be read as a trace"),
        (("latest:none",), "there is no run of 'none'"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Path, words: tuple[str, ...], message: str) -> None:
    done = toolkit("diagnose", *words, cwd=place)
    assert done.returncode in (2, 4) and done.stdout == ""
    assert message in " ".join(done.stderr.split())


def test_a_model_is_read_from_its_own_configuration() -> None:
    config = {
        "backend": "onnxruntime",
        "max_batch_size": 8,
        "instance_group": [{"count": 2}, {"count": 1}],
        "dynamic_batching": {"max_queue_delay_microseconds": "500"},
        "parameters": {"intra_op_thread_count": {"string_value": "4"}},
    }
    model = model_from_config("net", config)
    assert (model.instances, model.delay_us, model.threads, model.is_batching) == (3, 500, 4, True)
    bare = model_from_config("net", {"name": "net", "platform": "other"})
    assert (bare.instances, bare.threads, bare.is_batching, bare.is_ensemble) == (1, None, False, False)


def test_requests_with_their_tensors_as_json_are_told_from_binary_ones(tmp_path: Path) -> None:
    (tmp_path / "0.http").write_bytes(b"POST /v2/models/net/infer HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert json_share(tmp_path) == 1.0
    (tmp_path / "1.http").write_bytes(
        b"POST /v2/models/net/infer HTTP/1.1\r\nInference-Header-Content-Length: 2\r\n\r\n{}"
    )
    assert json_share(tmp_path) == 0.5
    (tmp_path / "2.http").write_bytes(b"POST /v2/models/llm/generate_stream HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
    assert json_share(tmp_path) == 0.5, "a request to generate has no other form"
