"""The referee's command line and inputs; that it is missed with a remedy; and a stand-in program that is too old."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ConfigurationError, MissingDependency
from toolkit.load.pattern import Concurrency
from toolkit.load.perf_analyzer import (
    MAX_INPUTS,
    VARIABLE,
    command,
    find_perf_analyzer,
    input_data,
    version_from_text,
)
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import infer_request


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


def test_the_point_is_ours_in_three_windows() -> None:
    load = Concurrency(clients=8, duration_s=6.0)
    words = command(Path("pa"), Endpoint(http="h:1"), "net", load, inputs=Path("i"), csv=Path("c"))
    options = dict(zip(words[1::2], words[2::2], strict=False))
    assert (options["-m"], options["-u"], options["--concurrency-range"]) == ("net", "h:1", "8")
    assert (options["--measurement-interval"], options["--max-trials"]) == ("2000", "3")
    assert options["--input-data"] == "i"


@pytest.mark.parametrize(("batching", "shape"), [(True, [8]), (False, [1, 8])])
def test_the_inputs_are_the_bytes_of_our_requests(batching: bool, shape: list[int]) -> None:
    rows = np.arange(16, dtype=np.float32).reshape(2, 1, 8)
    requests = [infer_request("net", {"x": row, "y": row[:, :1]}, host="h") for row in rows]
    data = input_data(requests, batching=batching)["data"]
    assert data[1]["x"]["shape"] == shape
    assert base64.b64decode(data[1]["x"]["content"]["b64"]) == rows[1].tobytes()
    assert base64.b64decode(data[1]["y"]["content"]["b64"]) == rows[1, :, :1].tobytes()
    assert len(input_data(requests * MAX_INPUTS, batching=batching)["data"]) == MAX_INPUTS


def test_requests_without_binary_tensors_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no binary tensors"):
        input_data([b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"], batching=True)


def test_the_version_is_what_it_says() -> None:
    assert version_from_text("Perf Analyzer Version 2.51.0 (commit unknown)") == "2.51.0"
    assert version_from_text("perf_analyzer: not found") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Perf Analyzer Version 2.48.0 (commit unknown)", "is version 2.48.0; expected 2.51 or newer"),
        ("hello", "does not tell its version: hello"),
    ],
)
def test_what_is_no_referee_is_refused(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(program(tmp_path / "perf_analyzer", text)))
    with pytest.raises(MissingDependency, match=message):
        find_perf_analyzer()


def test_its_absence_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(MissingDependency, match="neither on the PATH") as missed:
        find_perf_analyzer()
    assert VARIABLE in missed.value.mend
    monkeypatch.setenv("PATH", str(program(tmp_path / "perf_analyzer", "Perf Analyzer Version 2.60.0").parent))
    assert find_perf_analyzer().engine == "perf_analyzer 2.60.0"
