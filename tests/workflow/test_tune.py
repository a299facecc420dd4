"""`toolkit tune` on a live embedded Triton: the journal, the resumption, the chosen configuration; and bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_poc import toolkit, write_poc

from toolkit.records import read_json, write_text
from toolkit.repository.config import config_from_pbtxt
from toolkit.serve.embedded import problems
from toolkit.tune.search import Tried
from toolkit.tune.tuned import Tuned
from toolkit.workflow.audit import audit_run
from toolkit.workflow.runs import read_manifest

RANGES = {"net": {"max_batch_size": [8, 16], "max_queue_delay_microseconds": [0]}}
TUNE = ("tune", "pocs/tiny", "--slo", "p50=200ms", "--budget", "12s", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a PoC that has ranges."""
    for problem in problems():
        pytest.skip(str(problem))
    root = tmp_path_factory.mktemp("tuning")
    folder = write_poc(root / "pocs" / "tiny")
    data = yaml.safe_load((folder / "poc.yaml").read_text())
    data["search"]["ranges"] = RANGES
    write_text(folder / "poc.yaml", yaml.safe_dump(data))
    (root / "empty").mkdir()
    yield root


@pytest.fixture(scope="module")
def document(place: Path) -> dict[str, Any]:
    """What the command says of a whole search."""
    done = toolkit(*TUNE, cwd=place)
    assert done.returncode in (0, 1), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) is (found["decision"]["outcome"] == "PASS")
    return found


@pytest.mark.timing
def test_a_search_leaves_every_trial_and_the_answer(place: Path, document: dict[str, Any]) -> None:
    run = place / document["run"]
    answer = read_json(run / "tuned.json", Tuned)
    trials = [read_json(p, Tried) for p in run.glob("trials/*/*/tried.json")]
    assert answer.configurations == document["configurations"] == 2
    assert {t.ask.why for t in trials} >= {"probe", "rate"}
    assert sum(t.spent_s for t in trials) == pytest.approx(answer.spent_s, rel=0.01)
    assert all(t.memory_bytes and t.splits for t in trials)
    assert (run / "report.html").is_file() and read_manifest(run).ended


@pytest.mark.timing
def test_the_chosen_configuration_is_written_as_triton_reads_it(place: Path, document: dict[str, Any]) -> None:
    if document["decision"]["candidate"] is None:
        pytest.skip(f"the machine was too busy to measure: {document['decision']['sentence']}")
    for folder in ("chosen", "chosen_repository"):
        file = place / document["run"] / folder / "net" / "config.pbtxt"
        config = config_from_pbtxt(file.read_text(), str(file))
        expected = {"b16-i1-d0-t1": 16}.get(document["decision"]["candidate"], 8)
        assert config.max_batch_size == expected


@pytest.mark.timing
def test_a_search_can_be_audited_and_one_altered_digit_is_caught(place: Path, document: dict[str, Any]) -> None:
    run = place / document["run"]
    found = audit_run(run)
    assert found.passed and found.points > 0, (found.altered, found.differences)
    original = (run / "tuned.json").read_text()
    write_text(run / "tuned.json", re.sub(r'"spent_s": (\d)', lambda m: f'"spent_s": {(int(m[1]) + 1) % 10}', original))
    assert not audit_run(run).passed
    write_text(run / "tuned.json", original)


@pytest.mark.timing
def test_a_resumed_search_measures_nothing_twice(place: Path, document: dict[str, Any]) -> None:
    before = {p: p.stat().st_ino for p in place.glob(f"{document['run']}/trials/*/*/tried.json")}
    done = toolkit(*TUNE, "--resume", cwd=place)
    again = json.loads(done.stdout)
    assert again == document, done.stderr
    assert before == {p: p.stat().st_ino for p in place.glob(f"{document['run']}/trials/*/*/tried.json")}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing", "--slo", "p99=20ms"), 2, "has no entry 'nothing'"),
        (("pocs/tiny", "--slo", "throughput=5"), 2, "throughput"),
        (("pocs/tiny", "--slo", "p99=20ms", "--objective", "cost"), 2, "no price is given"),
        (("pocs/tiny", "--budget", "0s"), 2, "expected more than 0"),
        (("pocs/none", "--slo", "p99=20ms"), 2, "has no poc.yaml"),
        (("pocs/tiny", "--url", "http://127.0.0.1:9"), 2, "a PoC is tuned on a server of our own"),
    ],
)
def test_what_makes_no_sense_is_refused(place: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = toolkit("tune", *words, "--repository", "empty", cwd=place)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in " ".join(done.stderr.split())
