"""Differences by meaning: what is unset equals its default, order says nothing, and every change is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli import main
from toolkit.errors import ConfigurationError, RepositoryError, UsageError
from toolkit.repository.diff import Difference, diff
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step

FULL = """
name: "m" backend: "onnxruntime" max_batch_size: 4 default_model_filename: "model.onnx"
version_policy { latest { num_versions: 1 } }
input { name: "A" data_type: TYPE_FP32 dims: 2 }
input { name: "B" data_type: TYPE_FP32 dims: 2 optional: false }
output { name: "Y" data_type: TYPE_FP32 dims: 2 }
instance_group { count: 1 kind: KIND_AUTO }
optimization { graph { level: 0 } input_pinned_memory { enable: true } }
parameters { key: "intra_op_thread_count" value { string_value: "0" } }
response_cache { enable: false }
model_transaction_policy { decoupled: false }
"""
SHORT = """
platform: "onnxruntime_onnx" max_batch_size: 4  # the same, as someone else wrote it
output [ { name: "Y", data_type: TYPE_FP32, dims: [ 2 ] } ]
input [ { name: "B", data_type: TYPE_FP32, dims: [ 2 ] }, { name: "A", data_type: TYPE_FP32, dims: [ 2 ] } ]
"""


def entry(folder: Path, text: str) -> Path:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.onnx").write_bytes(b"weights")
    (folder / "config.pbtxt").write_text(text)
    return folder


def changed(found: tuple[Difference, ...]) -> dict[str, tuple[str, str]]:
    return {d.field: (d.before, d.after) for d in found}


def test_what_is_unset_equals_its_default(tmp_path: Path) -> None:
    assert diff(entry(tmp_path / "a" / "m", FULL), entry(tmp_path / "b" / "m", SHORT)) == ()


@pytest.mark.parametrize(
    ("old", "new", "field", "before", "after"),
    [
        ("count: 1", "count: 2", "instance_group[0].count", "1", "2"),
        ("KIND_AUTO", "KIND_CPU", "instance_group[0].kind", "KIND_AUTO", "KIND_CPU"),
        ("max_batch_size: 4", "max_batch_size: 8", "max_batch_size", "4", "8"),
        ("level: 0", "level: 2", "optimization.graph.level", "0", "2"),
        ("enable: true", "enable: false", "optimization.input_pinned_memory.enable", "true", "false"),
        ('string_value: "0"', 'string_value: "3"', "parameters.intra_op_thread_count", "0", "3"),
        ("decoupled: false", "decoupled: true", "model_transaction_policy.decoupled", "false", "true"),
        ("optional: false", "optional: true", "input[B].optional", "false", "true"),
        (
            '"Y" data_type: TYPE_FP32 dims: 2',
            '"Y" data_type: TYPE_FP32 dims: [-1, 2]',
            "output[Y].dims",
            "[2]",
            "[-1, 2]",
        ),
        ("response_cache {", "dynamic_batching { } response_cache {", "dynamic_batching", "absent", "{"),
        ('backend: "onnxruntime"', 'backend: "tensorrt"', "backend", "onnxruntime", "tensorrt"),
        ("num_versions: 1", "num_versions: 0", "versions.served", "[1]", "[]"),
    ],
)
def test_a_changed_field_is_named(tmp_path: Path, old: str, new: str, field: str, before: str, after: str) -> None:
    assert FULL.count(old) == 1
    found = diff(entry(tmp_path / "a", FULL), entry(tmp_path / "b", FULL.replace(old, new)))
    assert field in changed(found)
    assert changed(found)[field][0] == before and changed(found)[field][1].startswith(after)
    assert all(d.meaning for d in found), found


def test_files_and_versions_count_and_provenance_does_not(tmp_path: Path, scorer: RepositoryEntry) -> None:
    other = tmp_path / "copy"
    shutil.copytree(scorer.path, other)
    provenance = json.loads((other / "toolkit.json").read_text())
    (other / "toolkit.json").write_text(json.dumps(provenance | {"toolkit": "0.0.1"}))
    (other / "1" / "__pycache__").mkdir()
    (other / "1" / "__pycache__" / "x.pyc").write_bytes(b"")
    assert diff(scorer.path, other) == ()
    (other / "labels.txt").write_text("a\nb\nc\ne\n")
    (other / "2").mkdir()
    assert set(changed(diff(scorer.path, other))) == {"files[labels.txt]", "versions.there", "versions.served"}


def test_repositories_differ_by_their_entries(tmp_path: Path, make_artifact: Any) -> None:
    for name in ("one", "two"):
        add_artifact(tmp_path / name, make_artifact())
    assert diff(tmp_path / "one", tmp_path / "two") == ()
    add_step(tmp_path / "two", "image_decode", name="decode", parameters={"width": 2, "height": 2})
    add_artifact(tmp_path / "two", make_artifact(), config={"max_batch_size": 2}, replace=True)
    found = diff(tmp_path / "one", tmp_path / "two")
    assert (found[0].entry, found[0].field, found[0].after) == ("decode", "entry", "python, version 1")
    assert {d.field for d in found[1:]} == {"max_batch_size", "model_warmup[batch_max].batch_size"}
    assert {(d.before, d.after) for d in found[1:]} == {("8", "2")}


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (lambda a, b: (a, b.parent), UsageError),
        (lambda a, b: (a.parent / "nowhere", b.parent), RepositoryError),
        (lambda a, b: (a, entry(b.parent.parent / "c", "max_batch: 3")), ConfigurationError),
    ],
)
def test_what_cannot_be_compared_is_an_error(
    tmp_path: Path, broken: Callable[[Path, Path], tuple[Path, Path]], error: type[Exception]
) -> None:
    one, other = entry(tmp_path / "a" / "m", FULL), entry(tmp_path / "b" / "m", FULL)
    with pytest.raises(error):
        diff(*broken(one, other))


def test_the_exit_code_says_whether_there_is_a_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = entry(tmp_path / "a", FULL), entry(tmp_path / "b", FULL.replace("count: 1", "count: 2"))
    codes = []
    for second in (one, other):
        monkeypatch.setattr("sys.argv", ["toolkit", "repo", "diff", str(one), str(second), "--json"])
        with pytest.raises(SystemExit) as caught:
            main()
        codes.append(caught.value.code)
    assert codes == [0, 1]
    assert '"instance_group[0].count"' in capsys.readouterr().out
