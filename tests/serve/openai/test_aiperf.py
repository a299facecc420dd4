"""AIPerf, where it is installed (an environment of its own), on both faces: OpenAI's, and Triton's by its template."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from generation_stub import INPUTS, Stub, generating

from toolkit.families.prompts import prose
from toolkit.serve.openai import Model, facade
from toolkit.serve.server import Endpoint

AIPERF = os.environ.get("AIPERF") or shutil.which("aiperf")
TEMPLATE = (
    '{"text_input": {{ text|tojson }}, "stream": true, "exclude_input_in_output": true,'
    ' "sampling_parameters": "{\\"max_tokens\\": 8, \\"temperature\\": 0, \\"ignore_eos\\": true}"}'
)
REQUESTS = 12

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(AIPERF is None, reason="AIPerf is not installed; AIPERF=/path/to/aiperf names it"),
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizers = pytest.importorskip("tokenizers", reason="AIPerf needs a tokenizer's folder")
    trained, folder = tokenizers.ByteLevelBPETokenizer(), tmp_path_factory.mktemp("tokenizer")
    trained.train_from_iterator([prose()[:60_000]], vocab_size=600, show_progress=False)
    trained.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    return folder


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with generating(gap_s=0.002) as running:
        yield running


def profile(folder: Path, tokenizer: Path, *words: str) -> dict[str, float]:
    """Run AIPerf and return the averages of its metrics by name."""
    common = ["-m", "llm", "--streaming", "--tokenizer", tokenizer, "--concurrency", "3", "--isl", "24", "--osl", "8"]
    command = [AIPERF, "profile", *common, "--request-count", str(REQUESTS), "--ui", "simple", *words]
    done = subprocess.run(
        [*map(str, command), "--output-artifact-dir", folder], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]
    (result,) = folder.rglob("profile_export_aiperf.json")
    told = json.loads(result.read_text())
    return {name: value["avg"] for name, value in told.items() if isinstance(value, dict) and "avg" in value}


def test_chats_through_the_facade(stub: Stub, tokenizer: Path, tmp_path: Path) -> None:
    model = Model(name="llm", inputs=frozenset(name for name, _ in INPUTS))
    with facade(Endpoint(http=stub.address), (model,)) as speaking:
        url = f"http://{speaking.address}"
        told = profile(
            tmp_path, tokenizer, "--endpoint-type", "chat", "--url", url, "--extra-inputs", "ignore_eos:true"
        )
    assert told["request_count"] == REQUESTS and not told.get("error_request_count")
    assert 0 < told["time_to_first_token"] < told["request_latency"]


def test_tritons_own_stream_by_a_template(stub: Stub, tokenizer: Path, tmp_path: Path) -> None:
    template = tmp_path / "payload.jinja"
    template.write_text(TEMPLATE)
    asked = ("--endpoint-type", "template", "--custom-endpoint", "/v2/models/llm/generate_stream")
    extra = ("--extra-inputs", f"payload_template:{template}", "--extra-inputs", "response_field:text_output")
    told = profile(tmp_path / "out", tokenizer, *asked, "--url", f"http://{stub.address}", *extra)
    assert told["request_count"] == REQUESTS and not told.get("error_request_count")
    assert 0 < told["time_to_first_token"] < told["request_latency"]
