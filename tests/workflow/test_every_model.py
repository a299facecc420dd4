"""Every kind of model that a customer brings: exported, served on one embedded Triton, and asked by many at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from model_zoo import MODELS, Brought

from toolkit.artifact import Artifact
from toolkit.export.arrays import read_arrays
from toolkit.export.check import COMPARATORS, read_facts
from toolkit.export.export import export
from toolkit.export.parity import ParityResult
from toolkit.export.spec import ExportSpec
from toolkit.families.asking import Questions
from toolkit.models.source import source_from_path
from toolkit.records import read_json
from toolkit.repository.entry import add_artifact
from toolkit.repository.lint import lint_repository
from toolkit.serve.client import load_model, unload_model
from toolkit.serve.embedded import problems, serve_embedded
from toolkit.serve.server import Server
from toolkit.workflow.live_parity import check_live_parity
from toolkit.workflow.requests import as_columns, requests_from

SPEC = ExportSpec(sample_count=16)
#: All wait for the exports, which two processes work off side by side.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("every-model")


@pytest.fixture(scope="module")
def exports(place: Path) -> Iterator[dict[str, Future[Artifact]]]:
    """All exports, two at a time; the sources before that, as seeding is the process's."""
    sources = {b.name: source_from_path(b.make(place / b.name / "in", 0), trust=b.trust) for b in MODELS}
    with ThreadPoolExecutor(2) as pool:
        yield {n: pool.submit(export, s, SPEC, place / n / "out", name=n) for n, s in sources.items()}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    """One server for all models, each loaded for its test."""
    found = problems()
    if found:
        pytest.skip(str(found[0]))
    (place / "repository").mkdir()
    with serve_embedded(place / "repository", models=()) as running:
        yield running


@pytest.mark.parametrize("brought", MODELS, ids=lambda b: b.name)
def test_exported_served_and_equal(brought: Brought, exports: dict[str, Future[Artifact]], server: Server, place: Path):
    name, folder, repository = brought.name, place / brought.name / "out", place / "repository"
    artifact = exports[name].result()
    parity = read_json(folder / "parity.json", ParityResult)
    assert parity.passed, parity.reason
    assert artifact.signature.is_batchable and artifact.opset in (17, 20)
    assert (folder / "reproduce.sh").is_file() and (folder / "export.log").is_file()

    # Some of them answer faster than a client asks; the delay lets requests meet.
    add_artifact(repository, folder, name=name, config={"dynamic_batching": {"max_queue_delay_microseconds": 3000}})
    assert not [r for r in lint_repository(repository) if r.severity == "error"]
    load_model(server.endpoint, name)
    questions = Questions(
        requests=requests_from(name, as_columns(read_arrays(folder / "samples.npz"))),
        reference=as_columns(read_arrays(folder / "reference.npz")),
        comparing=COMPARATORS[read_facts(folder).comparing],
    )
    live = check_live_parity(server.endpoint, [name], questions, clients=11)
    unload_model(server.endpoint, name)
    assert live.outcome == "PASS", live.reason
