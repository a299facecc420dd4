"""What a small run of each PoC must leave, whoever started it: the command line, or a notebook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.load.server_metrics import read_metrics
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.workflow.deploy import Deployment, deploy_run
from toolkit.workflow.openai import speaking_openai

LOOPBACK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
#: PoCs that run whole in their notebooks (notebook_run.py); the others by the command line (test_pocs.py).
IN_NOTEBOOKS = {"vision", "recsys", "llm"}
HELD_OUT = {"vision": 540}


def without_network() -> list[str]:
    """The words before a command that cut it off from every network but the loopback, if this machine allows it."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return []
    return LOOPBACK if subprocess.run([*LOOPBACK, "true"], capture_output=True, check=False).returncode == 0 else []


def check_smoke_run(name: str, run: Path) -> None:
    """A run of the PoC `name` that proved parity, judged what it measured, and wrote a report of its own."""
    report = json.loads((run / "report.json").read_text())
    assert json.loads((run / "decision.json").read_text())["outcome"] in ("PASS", "UNDECIDED", "FAIL")
    parity = json.loads((run / "parity" / "live.json").read_text())
    assert parity["outcome"] == "PASS", parity["reason"]
    if name in HELD_OUT:
        task = parity["result"]["task"]
        assert (task["samples"], task["disagreements"]) == (HELD_OUT[name], 0)
        assert task["answers"] == task["reference"] > 0.95
    if name == "recsys":
        recall = json.loads((run / "recall" / "nearest_items" / "recall.json").read_text())
        assert recall["outcome"] == "PASS" and recall["k"] == 100
        assert parity["result"]["task"]["disagreements"] == 0
        for figure in report["quality"]:
            values = figure["values"]
            assert values["by popularity"] < values["trained"] < values["best possible"], figure
    if name == "llm":
        check_streams(run, parity, report)
    html = (run / "report.html").read_text()
    shown = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.DOTALL)
    assert not re.search(r'(?:src|href)\s*=\s*["\']?(?:https?:)?//', shown)


def check_streams(run: Path, parity: dict[str, Any], report: dict[str, Any]) -> None:
    """Every prompt was continued as by the original while sequences went together, and tokens have their times; an
    OpenAI client is answered with the same text, and one that leaves frees its slot."""
    assert parity["clients"] == 8 and parity["evidence"][0]["mean_rows"] >= 2
    compared = re.match(r"(\d+) greedy tokens of (\d+) prompts compared, 0 prompts differ, (\d+) end in a tie",
                        parity["result"]["reason"])  # fmt: skip
    assert compared is not None and int(compared[3]) <= 0.05 * int(compared[2]) and int(compared[1]) > 500
    for trial in report["trials"]:
        for point in trial["points"]:
            measured = point["measurement"]
            assert measured["streams"]["itl"]["count"] > measured["requests"]
            assert measured["goodput"]["share"] > 0 and measured["split"] is None
    openai = pytest.importorskip("openai", reason="the facade's client needs the `test` extra")
    with serve_embedded(run / "repository") as server, speaking_openai(
        server.endpoint, run / "repository", port=0
    ) as address:  # fmt: skip
        client = openai.OpenAI(base_url=f"http://{address}/v1", api_key="none", max_retries=0)
        said = {"model": "llm", "prompt": "The import statement", "temperature": 0, "max_tokens": 12}
        whole = client.completions.create(**said)
        pieces = [chunk.choices[0].text for chunk in client.completions.create(**said, stream=True)]
        assert "".join(pieces) == whole.choices[0].text and whole.usage.completion_tokens == 12
        chat = client.chat.completions.create(model="llm", messages=[{"role": "user", "content": "if"}], max_tokens=4)
        assert chat.usage.completion_tokens <= 4 and chat.usage.prompt_tokens > 4
        with pytest.raises(openai.BadRequestError, match="the context holds") as long:
            client.completions.create(**(said | {"prompt": "if " * 3000}))
        assert long.value.code == "context_length_exceeded"
        with client.completions.create(**(said | {"max_tokens": 600}), stream=True) as chunks:
            next(iter(chunks))
        assert soon(lambda: metric(server.endpoint.metrics, "requests_cancelled") == 1)
        assert soon(lambda: metric(server.endpoint.metrics, "slots_in_use") == 0)
        check_smoke(run, server.endpoint)


def check_smoke(run: Path, endpoint: Endpoint) -> None:
    """The bundle brings the backend that no image has, and its smoke test finds the original's tokens."""
    bundle = run / "deploy"
    if not bundle.exists():  # a busy machine may leave the run undecided
        deploy_run(run, bundle, Deployment(allow_unproven=True))
    assert (bundle / "triton" / "backends" / "onnxruntime_llm" / "model.py").is_file()
    command = [sys.executable, str(bundle / "smoke" / "smoke.py"), "--url", f"http://{endpoint.http}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(json.loads((bundle / "smoke" / "expected.json").read_text())["token_ids"]) >= 4


def metric(address: str, name: str) -> float:
    return sum(sample.value for sample in read_metrics(address) if sample.name == f"onnxruntime_llm_{name}")


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
