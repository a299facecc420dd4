"""One pipeline as an ensemble and as Business Logic Scripting, on one Triton: the same answers, the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
from toolkit.errors import ConfigurationError, RepositoryError
from toolkit.export.arrays import write_arrays
from toolkit.index.build import build_index
from toolkit.index.spec import Flat
from toolkit.index.vectors import clustered_vectors
from toolkit.load.ask import Answer, ask
from toolkit.repository.config import with_overrides
from toolkit.repository.ensemble import SCHEDULING, composing_models
from toolkit.repository.entry import add_step, read_entry
from toolkit.repository.lint import lint_repository
from toolkit.repository.pipeline import Pipeline, PipelineStep, add_pipeline
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.serve.wire import infer_request, infer_response

DATA = clustered_vectors(300, 8, queries=40, clusters=10)
STEPS = (
    PipelineStep(model="nearest", inputs={"QUERY": "QUERY", "EXCLUDE": "EXCLUDE"}, outputs={"IDS": "i", "SCORES": "s"}),
    PipelineStep(model="rows", inputs={"IDS": "i"}, outputs={"ROWS": "ROWS"}),
    PipelineStep(
        model="top", inputs={"IDS": "i", "SCORES": "s"}, outputs={"BEST_IDS": "ITEMS", "BEST_SCORES": "SCORES"}
    ),
)
PIPELINE = Pipeline(name="bls", steps=STEPS, kind="bls")


def fill(repository: Path, files: Path) -> Path:
    build_index(DATA.values, Flat(), files, name="items")
    write_arrays(files / "arrays.npz", {"ids": np.arange(300), "features": DATA.values})
    add_step(repository, "vector_search", name="nearest", parameters={"dimension": 8, "k": 6}, files=files)
    add_step(repository, "table_lookup", name="rows", parameters={"count": 6, "width": 8}, files=files)
    add_step(repository, "best_of", name="top", parameters={"count": 6, "best": 3})
    add_pipeline(repository, PIPELINE)
    return repository


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    place = tmp_path_factory.mktemp("bls")
    repository = fill(place / "models", place / "files")
    add_pipeline(repository, replace(PIPELINE, name="ensemble", kind="ensemble"))
    assert lint_repository(repository) == ()
    with serve_embedded(repository, log=place / "triton.log") as server:
        yield server.endpoint


def asked(endpoint: Endpoint, model: str, queries: Any, *, excluded: int = 2, clients: int = 16) -> list[Answer]:
    exclude = np.arange(excluded)[None]
    requests = [infer_request(model, {"QUERY": q[None], "EXCLUDE": exclude}, host="localhost") for q in queries]
    return ask(endpoint, requests, clients=clients)


def test_both_answer_alike_alone_and_batched(served: Endpoint) -> None:
    for clients in (1, 16):
        ours, theirs = (asked(served, name, DATA.queries, clients=clients) for name in ("bls", "ensemble"))
        for one, other in zip(ours, theirs, strict=True):
            assert not one.error, one.body
            expected = infer_response(other.body, other.header_length)
            found = infer_response(one.body, one.header_length)
            assert found.keys() == expected.keys() == {"ROWS", "ITEMS", "SCORES"}
            for name, array in expected.items():
                np.testing.assert_array_equal(found[name], array)


def test_a_bad_request_fails_alone_and_names_the_step(served: Endpoint) -> None:
    assert DATA.queries is not None
    queries = DATA.queries.copy()
    queries[::5] = np.nan
    answers = asked(served, "bls", queries)
    for place, answer in enumerate(answers):
        assert bool(answer.error) == (place % 5 == 0)
        assert not answer.error or b"nearest: QUERY row 0 holds a NaN" in answer.body


def test_with_nothing_left_the_list_is_empty(served: Endpoint) -> None:
    (answer,) = asked(served, "bls", DATA.values[:1], excluded=300)
    found = infer_response(answer.body, answer.header_length)
    assert found["ITEMS"].tolist() == [[-1, -1, -1]] and not found["ROWS"].any()


def test_what_the_entry_says_and_what_the_linter_says_of_it(tmp_path: Path) -> None:
    repository = fill(tmp_path / "models", tmp_path / "files")
    entry = read_entry(repository / "bls")
    assert (entry.config.backend, entry.config.max_batch_size, entry.config.ensemble_scheduling) == ("python", 64, None)
    assert composing_models(entry.config) == ("nearest", "rows", "top")
    (repository / "top").rename(repository / "best")
    remarks = lint_repository(repository)
    assert ("TR006", "there is no model 'top' in the repository") in {(r.rule, r.text) for r in remarks}
    with pytest.raises(RepositoryError, match="'bls' does not close"):
        add_pipeline(repository, PIPELINE, replace=True)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ('{"stepp": []}', "is not a field")])
def test_steps_that_do_not_read_are_named(tmp_path: Path, text: str, message: str) -> None:
    config = read_entry(fill(tmp_path / "models", tmp_path / "files") / "bls").config
    with pytest.raises(ConfigurationError, match=message):
        composing_models(with_overrides(config, {"parameters": {SCHEDULING: text}}))
