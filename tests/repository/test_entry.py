from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.errors import ConfigurationError, EnvironmentProblem, RepositoryError, ToolkitError, UsageError
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step, read_entries, read_entry
from toolkit.repository.publish import building


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_an_entry_holds_what_triton_needs_and_where_it_came_from(scorer: RepositoryEntry) -> None:
    assert files(scorer.path) == ["1/model.onnx", "config.pbtxt", "labels.txt", "toolkit.json"]
    assert (scorer.name, scorer.version, scorer.config.output[0].label_filename) == ("scorer", 1, "labels.txt")
    assert (scorer.path / "labels.txt").read_text() == "a\nb\nc\nd\n"
    provenance = json.loads((scorer.path / "toolkit.json").read_text())
    assert (provenance["kind"], provenance["parity"]) == ("artifact", "passed")
    assert provenance["artifact_sha256"] == scorer.artifact_sha256 != ""


def test_an_entry_is_read_back_as_it_was_written(tmp_path: Path, scorer: RepositoryEntry) -> None:
    assert read_entries(tmp_path / "models") == (scorer,)


def test_overrides_are_laid_over_the_defaults(tmp_path: Path, make_artifact: Any) -> None:
    config = {"max_batch_size": 16, "instance_group": [{"count": 2, "kind": "KIND_AUTO"}]}
    entry = add_artifact(tmp_path / "m", make_artifact(), name="two", config=config)
    assert (entry.name, entry.config.max_batch_size, entry.config.instance_group[0].count) == ("two", 16, 2)
    assert [w.batch_size for w in entry.config.model_warmup] == [1, 16]


def test_samples_give_the_lengths_for_the_warm_up(tmp_path: Path, make_artifact: Any) -> None:
    folder = make_artifact("batch,length", "batch,4")
    np.savez(folder / "samples.npz", IMAGE=np.zeros((3, 9), np.float32))
    entry = add_artifact(tmp_path / "m", folder)
    assert entry.config.model_warmup[0].inputs["IMAGE"].dims == (9,)


def test_an_existing_entry_stays_unless_it_is_replaced(tmp_path: Path, scorer: RepositoryEntry) -> None:
    folder = tmp_path / "artifacts" / "scorer"
    with pytest.raises(RepositoryError, match="exists already") as caught:
        add_artifact(tmp_path / "models", folder)
    assert "--replace" in caught.value.mend and read_entry(scorer.path) == scorer
    replaced = add_artifact(tmp_path / "models", folder, config={"max_batch_size": 2}, replace=True)
    assert replaced.config.max_batch_size == 2
    assert files(replaced.path) == ["1/model.onnx", "config.pbtxt", "toolkit.json"]
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["scorer"]


def test_an_interrupted_addition_leaves_the_old_entry_and_nothing_else(tmp_path: Path, scorer: RepositoryEntry) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        building(tmp_path / "models", "scorer", replace=True) as version,
    ):
        (version.parent / "config.pbtxt").write_text("half")
        raise KeyboardInterrupt
    assert [p.name for p in (tmp_path / "models").iterdir()] == ["scorer"]
    assert read_entry(scorer.path) == scorer


def test_what_a_killed_addition_left_is_no_entry(tmp_path: Path, scorer: RepositoryEntry) -> None:
    (tmp_path / "models" / ".other.partial" / "1").mkdir(parents=True)
    assert [e.name for e in read_entries(tmp_path / "models")] == ["scorer"]


def test_failed_parity_is_refused_with_its_reason(tmp_path: Path, make_artifact: Any) -> None:
    folder = make_artifact(parity="failed")
    (folder / "parity.json").write_text('{"reason": "SCORES differs by 3.2"}')
    with pytest.raises(RepositoryError, match=r"SCORES differs by 3\.2"):
        add_artifact(tmp_path / "m", folder)
    assert not (tmp_path / "m").exists()
    assert add_artifact(tmp_path / "m", folder, allow_failed_parity=True).name == "scorer"


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b", "é", "a" * 129])
def test_unusable_names_are_refused(tmp_path: Path, make_artifact: Any, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"), building(tmp_path / "m", name, replace=False):
        pass


def test_labels_must_fit_an_output(tmp_path: Path, make_artifact: Any) -> None:
    with pytest.raises(RepositoryError, match=r"3 one-line labels fit none of its outputs \(SCORES \[4\]\)"):
        add_artifact(tmp_path / "m", make_artifact(), labels=("a", "b", "c"))


def test_a_damaged_artifact_is_refused(tmp_path: Path, make_artifact: Any) -> None:
    folder = make_artifact()
    (folder / "model.onnx").write_bytes(b"other")
    with pytest.raises(ConfigurationError, match="digest"):
        add_artifact(tmp_path / "m", folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"src/main.c": ""}, "holds 'src'"),
        ({"notes.txt": ""}, "holds 'notes.txt'"),
        ({"model/model.onnx": ""}, "holds 'model'"),
    ],
)
def test_a_folder_that_is_not_a_repository_is_left_alone(
    tmp_path: Path, make_artifact: Any, content: dict[str, str], message: str
) -> None:
    place = tmp_path / "home"
    for name, text in content.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    for act in (lambda: add_artifact(place, make_artifact()), lambda: read_entries(place)):
        with pytest.raises(RepositoryError, match=message):
            act()
    assert files(place) == list(content)


def test_a_repository_that_is_a_file_or_absent(tmp_path: Path, make_artifact: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RepositoryError, match="is a file"):
        add_artifact(tmp_path / "file", make_artifact())
    with pytest.raises(RepositoryError, match="does not exist"):
        read_entries(tmp_path / "nowhere")


def test_a_readme_and_hidden_files_are_no_entries(tmp_path: Path, scorer: RepositoryEntry) -> None:
    (tmp_path / "models" / "README.md").write_text("what this is")
    (tmp_path / "models" / ".gitignore").write_text("*")
    assert [e.name for e in read_entries(tmp_path / "models")] == ["scorer"]


def test_foreign_entries_are_read_by_the_real_parser(tmp_path: Path) -> None:
    (tmp_path / "bare" / "3").mkdir(parents=True)
    (tmp_path / "bare" / "12").mkdir()
    (tmp_path / "named" / "1").mkdir(parents=True)
    (tmp_path / "named" / "config.pbtxt").write_text("platform: 'tensorrt_plan' # name left out\nmax_batch_size: 2")
    bare, named = read_entries(tmp_path)
    assert (bare.config.name, bare.version, bare.artifact_sha256) == ("bare", 12, "")
    assert (named.config.name, named.config.platform, named.config.max_batch_size) == ("named", "tensorrt_plan", 2)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [("max_batch_sise: 1", ConfigurationError, "config.pbtxt:1:1: "), ("\xff", ConfigurationError, "cannot be read")],
)
def test_a_broken_config_names_the_place(tmp_path: Path, text: str, error: type[ToolkitError], message: str) -> None:
    (tmp_path / "m" / "1").mkdir(parents=True)
    (tmp_path / "m" / "config.pbtxt").write_bytes(text.encode("latin-1"))
    with pytest.raises(error) as caught:
        read_entries(tmp_path)
    assert message in caught.value.message


def test_a_full_or_closed_disk_is_an_environment_problem(tmp_path: Path, make_artifact: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        add_artifact(tmp_path / "file" / "models", make_artifact())


def test_a_step_declares_its_tensors_from_its_parameters(tmp_path: Path) -> None:
    entry = add_step(
        tmp_path,
        "image_decode",
        name="decode",
        parameters={"width": 6, "height": 4, "mode": "L", "mean": [0.5], "scale": 16},
        config={"max_batch_size": 32},
    )
    assert files(entry.path) == ["1/model.py", "config.pbtxt", "requirements.txt", "toolkit.json"]
    assert [(t.name, t.data_type, t.dims) for t in (*entry.config.input, *entry.config.output)] == [
        ("IMAGE", "TYPE_STRING", (1,)),
        ("PIXELS", "TYPE_FP32", (1, 4, 6)),
    ]
    assert {k: v.string_value for k, v in entry.config.parameters.items()} == {
        "width": "6",
        "height": "4",
        "mode": "L",
        "scale": "16",
        "mean": "0.5",
        "std": "1",
        "resample": "bilinear",
    }
    assert (entry.config.max_batch_size, entry.config.instance_group[0].kind) == (32, "KIND_CPU")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"width": 6}, "image_decode: height is missing"),
        ({"width": 6, "height": 4, "heigth": 4}, "'heigth' is not a parameter; did you mean 'height'?"),
        ({"width": 6.5, "height": 4}, "width is 6.5; expected integer"),
        ({"width": 6, "height": 0}, "height is 0; expected integer"),
        ({"width": 6, "height": 4, "mode": "CMYK"}, "mode is 'CMYK'; expected one of L, RGB"),
        ({"width": 6, "height": 4, "mean": "0.5;1"}, "mean is '0.5;1'; expected numbers"),
        ({"width": 6, "height": 4, "mode": "L", "mean": "1,2,3"}, "mean has 3 numbers"),
    ],
)
def test_wrong_step_parameters_are_named(tmp_path: Path, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        add_step(tmp_path / "m", "image_decode", name="decode", parameters=parameters)
    assert message in caught.value.message and not (tmp_path / "m").exists()


def test_an_unknown_step_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        add_step(tmp_path, "image_decoder", name="decode", parameters={})
    assert "image_decode" in caught.value.mend
