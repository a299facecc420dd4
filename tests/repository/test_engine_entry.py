"""TensorRT entries: batching by axis names, never beyond the profile that the engine was built for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toolkit.artifact import Artifact, write_artifact
from toolkit.errors import ConfigurationError
from toolkit.export.engine import EngineStamp
from toolkit.records import digest_of_files, write_json
from toolkit.repository.entry import add_artifact
from toolkit.repository.lint import lint_repository
from toolkit.tensor import Signature, tensor_from_text


def engine(folder: Path, output: str = "Y:float32:batch,3", rows: int = 8) -> Path:
    """An artifact as the export of an engine leaves it; the engine itself is never opened here."""
    folder.mkdir()
    (folder / "model.plan").write_text("engine")
    stamp = EngineStamp(tensorrt="10.9.0", gpu="NVIDIA L4", architecture="8.9", driver="580", most_rows=rows)
    write_json(folder / "engine.json", stamp)
    files = ("model.plan", "engine.json")
    artifact = Artifact(
        name="bert",
        format="tensorrt",
        precision="fp16",
        files=files,
        signature=Signature(inputs=(tensor_from_text("IDS:int64:batch,16"),), outputs=(tensor_from_text(output),)),
        sha256=digest_of_files(folder, files),
        built_on="a test",
        parity="passed",
    )
    write_artifact(folder, artifact)
    return folder


def test_the_entry_asks_for_what_the_engine_was_built_for(tmp_path: Path) -> None:
    config = add_artifact(tmp_path / "m", engine(tmp_path / "engine")).config
    assert (config.platform, config.backend, config.max_batch_size) == ("tensorrt_plan", "tensorrt", 8)
    assert [t.dims for t in (*config.input, *config.output)] == [(16,), (3,)]
    assert [(g.kind, g.profile) for g in config.instance_group] == [("KIND_GPU", ("0",))]
    assert [(w.batch_size, w.inputs["IDS"].dims) for w in config.model_warmup] == [(1, (16,)), (8, (16,))]
    assert sorted(p.name for p in (tmp_path / "m/bert/1").iterdir()) == ["engine.json", "model.plan"]
    assert lint_repository(tmp_path / "m") == ()


def test_fewer_rows_may_be_asked_for(tmp_path: Path) -> None:
    entry = add_artifact(tmp_path / "m", engine(tmp_path / "engine"), config={"max_batch_size": 4})
    assert [w.batch_size for w in entry.config.model_warmup] == [1, 4]


@pytest.mark.parametrize(
    ("made", "size", "message"),
    [
        ({}, 9, "max_batch_size 9 is above the 8 rows that the engine was built for"),
        ({"output": "Y:float32:1,3"}, 4, "the first axis of 'Y' is fixed at 1"),
    ],
)
def test_a_batch_that_the_engine_does_not_take_is_refused(
    tmp_path: Path, made: dict[str, Any], size: int, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        add_artifact(tmp_path / "m", engine(tmp_path / "engine", **made), config={"max_batch_size": size})


def test_an_engine_of_fixed_shapes_is_not_batched(tmp_path: Path) -> None:
    config = add_artifact(tmp_path / "m", engine(tmp_path / "engine", "Y:float32:1,3")).config
    assert (config.max_batch_size, config.dynamic_batching, config.input[0].dims) == (0, None, (-1, 16))
