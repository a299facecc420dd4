"""The commands that ask a text generator, against one that keeps the contract: infer, sweep, max-rate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from generation_stub import Stub, generating
from tiny_poc import toolkit

from toolkit.load.request_records import read_records

SLO = "ttft=2s,tpot=1s"


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with generating(gap_s=0.002) as running:
        yield running


def test_infer_shows_the_text_and_what_a_reader_felt(stub: Stub, tmp_path: Path) -> None:
    url = f"http://{stub.address}"
    done = toolkit("infer", "llm", "--url", url, "--prompt", "a b c", "--max-tokens", 6, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text, told = done.stdout.strip().splitlines()
    assert text == "The import statement binds names."
    assert told.startswith("[6 tokens, ended by length; first after ") and "ms per token" in told
    answer = json.loads(toolkit("infer", "llm", "--url", url, "--max-tokens", 3, "--json", cwd=tmp_path).stdout)
    assert (answer["text"], answer["token_ids"], len(answer["gaps_ms"])) == ("The import statement", [0, 1, 2], 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("infer", "llm", "--max-tokens", 0), "max_tokens is 0"),
        (("infer", "llm", "--max-tokens", -3), "max_tokens is -3"),
        (("infer", "llm", "--prompt", ""), "the prompt is empty"),
        (("sweep", "llm", "--workload", "input=5000,output=8"), "the context holds 4096"),
        (("sweep", "llm", "--workload", "input=0"), "input is '0'"),
        (("sweep", "llm", "--workload", "poem"), "'poem' is no part"),
        (("sweep", "llm", "--tokenizer", "."), "no tokenizer.json"),
    ],
)
def test_bad_input_is_refused_before_anything_is_measured(
    stub: Stub, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = toolkit(*arguments, "--url", f"http://{stub.address}", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_sweep_over_clients_and_rates_has_token_times_and_goodput(stub: Stub, tmp_path: Path) -> None:
    common = ("--url", f"http://{stub.address}", "--workload", "input=8,output=4..6", "--slo", SLO)
    common = (*common, "--duration", "700ms", "--no-drift-check")
    done = toolkit("sweep", "llm", *common, "--concurrency", "1,4", "--json", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    document = json.loads(done.stdout)
    for point in document["points"]:
        assert point["ttft"]["p50_ms"] > 0 and point["tpot"]["p50_ms"] > 0 and point["itl"]["p99_ms"] > 0
        assert point["ttft"]["p50_ms"] <= point["latency"]["p50_ms"]
        assert 4 <= point["output_tokens_per_request"] <= 6
        assert point["output_tokens_per_s"] == pytest.approx(5 * point["throughput_per_s"], rel=0.4)
        assert point["goodput"]["share"] == 1.0
        assert point["goodput"]["requests_per_s"] == pytest.approx(point["throughput_per_s"], rel=0.4)
        assert point["itl"]["count"] > 2 * point["requests"]
    shown = toolkit("sweep", "llm", *common, "--rate", "20", cwd=tmp_path)
    assert all(column in shown.stdout for column in ("TTFT p50", "TPOT p50", "ITL p99", "tokens/s", "goodput"))
    report = Path(tmp_path / document["run"] / "report.html").read_text()
    assert "First token and every other, over the load" in report


def test_the_highest_rate_under_limits_of_a_request(stub: Stub, tmp_path: Path) -> None:
    asked = ("--url", f"http://{stub.address}", "--workload", "input=8,output=4", "--slo", "ttft=500ms,tpot=200ms")
    done = toolkit("max-rate", "llm", *asked, "--to", 20, "--budget", "5s", "--json", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    answer = json.loads(done.stdout)
    assert "goodput" in answer["sentence"]
    for probe in answer["probes"]:
        assert (probe["is_share"], probe["allowed"]) == (True, pytest.approx(0.05))
        assert probe["measured"] == 0.0


def test_a_server_that_dies_within_streams_leaves_their_records(tmp_path: Path) -> None:
    with generating(die_after=3) as dying:
        url = f"http://{dying.address}"
        done = toolkit("sweep", "llm", "--url", url, "--concurrency", "2", "--duration", "500ms", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "NoAnswers" in done.stdout
    (path,) = tmp_path.glob("runs/llm/*/trials/as-served/concurrency-2/records.npz")
    records = read_records(path)
    assert not records.succeeded.any() and records.responses.max() == 3
    assert len(records.response_ns) == records.responses.sum()
