"""perf_analyzer as a referee: the same closed loop on the same inputs, driven by another program.

In: an endpoint, whole HTTP requests of ours, a Concurrency. Out: a Measurement with perf_analyzer as its engine. It is
a cross-check and never a requirement: version 2.51 or newer is taken from TOOLKIT_PERF_ANALYZER, else from the PATH.

The window is cut in three: perf_analyzer reports on three windows that resemble each other within its stability
percentage, and nothing at all when there are none in time, so that it is told to take the first three. It has no
warm-up; it must come after a load of ours. Its latency includes what its own threads cost.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.errors import ConfigurationError, MissingDependency, ServerTrouble
from toolkit.load.importers.perf_analyzer import TOOL, results_from_csv
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency
from toolkit.serve.client import model_config
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import HEADER_LENGTH

VARIABLE = "TOOLKIT_PERF_ANALYZER"
OLDEST = (2, 51)
WINDOWS = 3
#: perf_analyzer writes its inputs down as JSON and holds them in memory: more than that are not sent in rotation.
MAX_INPUTS = 32
#: Time that it may need beyond its windows: it reads the inputs, and waits for the last answers.
SPARE_S = 120.0
MEND = (
    "it comes with Triton's SDK image; or take the binary from the manylinux wheel of tritonclient 2.51.0, which needs "
    f"libb64.so.0d and libcudart.so.12, and set {VARIABLE} to its path"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfAnalyzer:
    """The program and the version that it says it is."""

    path: Path
    version: str

    @property
    def engine(self) -> str:
        """The name in measurements."""
        return f"{TOOL} {self.version}"


def find_perf_analyzer() -> PerfAnalyzer:
    """The program that is here. Raises MissingDependency when there is none, it does not start, or is too old."""
    named = os.environ.get(VARIABLE)
    found = named or shutil.which("perf_analyzer")
    if not found:
        raise MissingDependency(f"perf_analyzer is neither on the PATH nor named by {VARIABLE}", mend=MEND)
    try:
        said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        raise MissingDependency(f"{found} does not start: {err}", mend=MEND) from err
    version = version_from_text(said.stdout + said.stderr)
    if version is None:
        words = (said.stderr or said.stdout).strip()[:200]
        raise MissingDependency(f"{found} does not tell its version: {words}", mend=MEND)
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise MissingDependency(f"{found} is version {version}; expected 2.51 or newer", mend=MEND)
    return PerfAnalyzer(path=Path(found), version=version)


def version_from_text(text: str) -> str | None:
    """The version in "Perf Analyzer Version 2.51.0 (commit unknown)"."""
    found = re.search(r"Version (\d+\.\d+(?:\.\d+)*)", text)
    return found[1] if found else None


def command(
    tool: Path, endpoint: Endpoint, model: str, load: Concurrency, *, inputs: Path, csv: Path
) -> tuple[str, ...]:
    """The command line of one closed-loop point, over HTTP, with one request a client at a time."""
    window_ms = max(1, round(load.duration_s / WINDOWS * 1e3))
    return (
        str(tool),
        "-m", model,
        "-u", endpoint.http,
        "-i", "http",
        "-b", "1",
        "--concurrency-range", str(load.clients),
        "--input-data", str(inputs),
        "--measurement-interval", str(window_ms),
        "--max-trials", str(WINDOWS),
        "--stability-percentage", "999",
        "--verbose-csv",
        "-f", str(csv),
    )  # fmt: skip


def input_data(requests: Sequence[bytes], *, batching: bool) -> dict[str, Any]:
    """perf_analyzer's `--input-data` document for whole HTTP requests of one row with binary tensors.

    batching: the model has a batch axis, which perf_analyzer adds by itself.
    Source: triton-inference-server/perf_analyzer, docs/input_data.md.
    """
    return {"data": [_row(request, batching) for request in requests[:MAX_INPUTS]]}


def _row(request: bytes, batching: bool) -> dict[str, Any]:
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^" + HEADER_LENGTH.encode() + rb": *(\d+)", head)
    if length is None:
        raise ConfigurationError("a request has no binary tensors; perf_analyzer is given the bytes of those")
    offset, row = int(length[1]), {}
    for tensor in json.loads(body[:offset])["inputs"]:
        size = tensor["parameters"]["binary_data_size"]
        content = base64.b64encode(body[offset : offset + size]).decode()
        shape = tensor["shape"][1:] if batching else tensor["shape"]
        row[tensor["name"]] = {"content": {"b64": content}, "shape": shape or [1]}
        offset += size
    return row


def referee_point(
    endpoint: Endpoint, model: str, requests: Sequence[bytes], load: Concurrency, *, tool: PerfAnalyzer | None = None
) -> Measurement:
    """The closed loop `load` on `model` as perf_analyzer measures it.

    Raises MissingDependency without perf_analyzer, ServerTrouble with its own words when it fails.
    """
    found = tool or find_perf_analyzer()
    batching = int(model_config(endpoint, model).get("max_batch_size", 0)) > 0
    with tempfile.TemporaryDirectory() as place:
        inputs, csv = Path(place, "inputs.json"), Path(place, "result.csv")
        inputs.write_text(json.dumps(input_data(requests, batching=batching)), encoding="utf-8")
        words = command(found.path, endpoint, model, load, inputs=inputs, csv=csv)
        said = _run(words, 2 * load.duration_s + SPARE_S)
        if not csv.is_file():
            last = " / ".join(said.strip().splitlines()[-4:])
            raise ServerTrouble(f"perf_analyzer measured nothing: {last}", mend="see the server's log")
        points = results_from_csv(csv.read_text(encoding="utf-8")).points
    measured = points[0].measurement
    return replace(measured, load=load, engine=found.engine)


def _run(words: Sequence[str], timeout_s: float) -> str:
    """Everything that a program said until it ended."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as err:
        raise ServerTrouble(f"perf_analyzer did not end within {timeout_s:.0f} s", mend="see the server's log") from err
    return done.stdout + done.stderr
