"""Versions of an entry: added, kept, served, rolled back; and a half-written one is never seen."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from toolkit.artifact import Artifact, read_artifact, write_artifact
from toolkit.errors import RepositoryError
from toolkit.records import digest_of_files, read_json
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step, read_entries, read_entry
from toolkit.repository.history import KEPT, roll_back
from toolkit.repository.lint import lint_repository
from toolkit.repository.model_config import ModelConfig, ModelVersionPolicy
from toolkit.repository.publish import building
from toolkit.repository.versions import served_versions

LABELS = ("a", "b", "c", "d")


def retrained(folder: Path, number: int) -> Path:
    """The artifact with other weights."""
    artifact = read_json(folder / "artifact.json", Artifact)
    model = onnx.load(folder / "model.onnx")
    del model.graph.initializer[:]
    model.graph.initializer.append(numpy_helper.from_array(np.array([number]), f"version{number}"))
    onnx.save(model, folder / "model.onnx")
    digest = digest_of_files(folder, ("model.onnx",))
    write_artifact(folder, dataclasses.replace(artifact, sha256=digest))
    return folder


def add(tmp_path: Path, number: int, **changes: Any) -> RepositoryEntry:
    folder = retrained(tmp_path / "artifacts" / "scorer", number)
    return add_artifact(tmp_path / "models", folder, labels=LABELS, new_version=True, **changes)


@pytest.mark.parametrize(
    ("policy", "there", "served"),
    [
        (None, (1, 2, 3), (3,)),
        (ModelVersionPolicy(latest={"num_versions": 2}), (1, 2, 10), (2, 10)),
        (ModelVersionPolicy(latest={}), (1, 2), ()),
        (ModelVersionPolicy(all={}), (3, 1), (1, 3)),
        (ModelVersionPolicy(specific={"versions": [1, 7]}), (1, 2), (1,)),
    ],
)
def test_a_policy_says_what_is_served(
    policy: ModelVersionPolicy | None, there: tuple[int, ...], served: tuple[int, ...]
) -> None:
    assert served_versions(ModelConfig(version_policy=policy), there) == served


def test_a_new_version_lies_beside_the_old_one_and_is_served(tmp_path: Path, scorer: RepositoryEntry) -> None:
    second = add(tmp_path, 2, config={"max_batch_size": 4})
    assert (second.version, second.versions, second.config.max_batch_size) == (2, (1, 2), 4)
    assert second.artifact_sha256 != scorer.artifact_sha256
    assert lint_repository(tmp_path / "models") == ()
    assert (second.path / "1" / "model.onnx").read_bytes() != (second.path / "2" / "model.onnx").read_bytes()
    assert [e.name for e in read_entries(tmp_path / "models")] == ["scorer"]


def test_back_and_forth_brings_each_version_with_its_own_config(tmp_path: Path, scorer: RepositoryEntry) -> None:
    second = add(tmp_path, 2, config={"max_batch_size": 4})
    (second.path / "labels.txt").write_text("w\nx\ny\nz\n")
    back = roll_back(tmp_path / "models", "scorer")
    assert (back.version, back.versions, back.config.max_batch_size) == (1, (1, 2), 8)
    assert back.config.version_policy == ModelVersionPolicy(specific={"versions": [1]})
    assert (back.path / "labels.txt").read_text() == "a\nb\nc\nd\n"
    assert back.artifact_sha256 == scorer.artifact_sha256
    assert lint_repository(tmp_path / "models") == ()
    again = roll_back(tmp_path / "models", "scorer", to=2)
    assert (again.version, again.config.max_batch_size) == (2, 4)
    assert (again.path / "labels.txt").read_text() == "w\nx\ny\nz\n"


def test_the_oldest_versions_go_but_never_the_one_that_is_served(tmp_path: Path, scorer: RepositoryEntry) -> None:
    for number in range(2, KEPT + 2):
        entry = add(tmp_path, number)
    assert entry.versions == tuple(range(2, KEPT + 2))
    roll_back(tmp_path / "models", "scorer", to=2)
    assert add(tmp_path, 9).versions == (2, 3, 4, 5)  # the two newest, the served one, the new one
    assert add(tmp_path, 10).versions == (4, 5, 6)


def test_after_a_rollback_the_next_version_is_served_again(tmp_path: Path, scorer: RepositoryEntry) -> None:
    add(tmp_path, 2)
    roll_back(tmp_path / "models", "scorer")
    third = add(tmp_path, 3)
    assert (third.version, third.versions) == (3, (1, 2, 3))
    assert roll_back(tmp_path / "models", "scorer").version == 2


def test_a_version_that_clients_would_not_recognise_is_refused(
    tmp_path: Path, scorer: RepositoryEntry, make_artifact: Any
) -> None:
    shutil.copytree(tmp_path / "artifacts" / "scorer", tmp_path / "artifacts" / "old")
    other = make_artifact("batch,3", "batch,4")
    with pytest.raises(RepositoryError, match="these differ: IMAGE") as caught:
        add_artifact(tmp_path / "models", other, new_version=True)
    assert "--name" in caught.value.mend and read_entry(scorer.path) == scorer
    with pytest.raises(RepositoryError, match="max_batch_size"):
        add_artifact(tmp_path / "models", tmp_path / "artifacts/old", new_version=True, config={"max_batch_size": 0})


def test_the_same_again_is_no_new_version(tmp_path: Path, scorer: RepositoryEntry) -> None:
    folder = tmp_path / "artifacts" / "scorer"
    again = add_artifact(tmp_path / "models", folder, labels=LABELS, new_version=True)
    assert again == scorer
    other = add_artifact(tmp_path / "models", folder, labels=("w", "x", "y", "z"), new_version=True)
    assert other.versions == (1, 2)
    tuned = add_artifact(tmp_path / "models", folder, labels=LABELS, config={"max_batch_size": 2}, new_version=True)
    assert tuned.versions == (1, 2, 3)


def test_there_must_be_a_version_to_go_back_to(tmp_path: Path, scorer: RepositoryEntry) -> None:
    with pytest.raises(RepositoryError, match="no version before 1; it has: 1"):
        roll_back(tmp_path / "models", "scorer")
    with pytest.raises(RepositoryError, match="no version 7"):
        roll_back(tmp_path / "models", "scorer", to=7)
    with pytest.raises(RepositoryError, match="no entry 'other'"):
        roll_back(tmp_path / "models", "other")


def test_a_foreign_entry_is_rolled_back_by_its_policy(tmp_path: Path) -> None:
    for version in ("1", "2"):
        (tmp_path / "bare" / version).mkdir(parents=True)
    (tmp_path / "bare" / "config.pbtxt").write_text('backend: "x" max_batch_size: 3')
    back = roll_back(tmp_path, "bare")
    assert (back.version, back.versions, back.config.max_batch_size) == (1, (1, 2), 3)


def test_steps_have_versions_too(tmp_path: Path) -> None:
    size = {"width": 2, "height": 2}
    add_step(tmp_path, "image_decode", name="decode", parameters=size)
    entry = add_step(tmp_path, "image_decode", name="decode", parameters=size | {"scale": 2}, new_version=True)
    assert entry.versions == (1, 2)
    assert roll_back(tmp_path, "decode").config.parameters["scale"].string_value == "255"


def test_an_interrupted_version_is_never_seen(tmp_path: Path, scorer: RepositoryEntry) -> None:
    place = tmp_path / "models"
    with pytest.raises(KeyboardInterrupt), building(place, "scorer", replace=True, version=2) as version:
        (version / "model.onnx").write_text("half")
        raise KeyboardInterrupt
    assert read_entry(scorer.path) == scorer and [p.name for p in place.iterdir()] == ["scorer"]


def test_a_reader_always_finds_a_whole_entry(tmp_path: Path, scorer: RepositoryEntry) -> None:
    """One exchange of folders, not two renames: a server that polls never finds the entry missing."""
    missing: list[bool] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            missing.append(not (scorer.path / "config.pbtxt").exists())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(2, 12):
        add(tmp_path, number)
    ended.set()
    watcher.join()
    assert len(missing) > 100 and not any(missing)


def test_an_artifact_is_still_itself_after_retraining(tmp_path: Path, scorer: RepositoryEntry) -> None:
    assert read_artifact(retrained(tmp_path / "artifacts" / "scorer", 5)).sha256 != scorer.artifact_sha256
