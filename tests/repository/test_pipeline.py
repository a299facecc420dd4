from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from toolkit.errors import RepositoryError
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step
from toolkit.repository.pipeline import Pipeline, PipelineStep, add_pipeline, composing_models

GOLDEN = Path(__file__).parent / "ensemble.pbtxt"
DECODE = PipelineStep(model="decode", inputs={"IMAGE": "IMAGE"}, outputs={"PIXELS": "pixels"})
SCORE = PipelineStep(model="scorer", inputs={"IMAGE": "pixels"}, outputs={"SCORES": "SCORES"})
PIPELINE = Pipeline(name="photo", steps=(DECODE, SCORE))


@pytest.fixture
def models(tmp_path: Path, scorer: RepositoryEntry) -> Path:
    """A repository with `decode` (bytes to 1 x 2 x 2, batches of 4) and `scorer` (1 x 2 x 2 to 4, batches of 8)."""
    repository = tmp_path / "models"
    size = {"width": 2, "height": 2, "mode": "L"}
    add_step(repository, "image_decode", name="decode", parameters=size, config={"max_batch_size": 4})
    return repository


def test_types_dims_batch_and_labels_come_from_the_models(models: Path) -> None:
    entry = add_pipeline(models, PIPELINE)
    text = (entry.path / "config.pbtxt").read_text()
    assert text == GOLDEN.read_text()
    message = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert (message.platform, message.max_batch_size) == ("ensemble", 4)
    assert (entry.path / "labels_SCORES.txt").read_text() == "a\nb\nc\nd\n"
    assert (entry.path / "1").is_dir()


def test_composing_models_are_those_behind_an_ensemble(models: Path) -> None:
    entry = add_pipeline(models, PIPELINE)
    assert composing_models(entry.config) == ("decode", "scorer")
    assert composing_models(replace(entry.config, ensemble_scheduling=None)) == ()


def test_a_tensor_in_between_can_be_shown(models: Path) -> None:
    entry = add_pipeline(models, replace(PIPELINE, outputs=("SCORES", "pixels"), max_batch_size=2))
    assert [(o.name, o.dims) for o in entry.config.output] == [("SCORES", (4,)), ("pixels", (1, 2, 2))]
    assert entry.config.max_batch_size == 2


def test_without_a_batch_the_batch_axis_of_the_models_is_written(models: Path) -> None:
    entry = add_pipeline(models, replace(PIPELINE, max_batch_size=0))
    assert [t.dims for t in (*entry.config.input, *entry.config.output)] == [(-1, 1), (-1, 4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": (DECODE, replace(SCORE, model="scorrer"))}, "there is no model 'scorrer'"),
        (
            {"steps": (DECODE, replace(SCORE, inputs={"IMAGE": "pixel"})), "inputs": ("IMAGE",)},
            "scorer.IMAGE takes 'pixel', which is neither an input nor made by a step",
        ),
        ({"steps": (DECODE, replace(SCORE, inputs={}))}, "input scorer.IMAGE is not connected"),
        ({"steps": (DECODE, replace(SCORE, outputs={"SCORE": "S"}))}, "scorer has no output 'SCORE'; it has SCORES"),
        ({"steps": (DECODE, replace(SCORE, inputs={"IMAGE": "pixels", "X": "x"}))}, "scorer has no input 'X'"),
        ({"steps": (DECODE, DECODE, SCORE)}, "'pixels' is made twice, by decode.PIXELS and decode.PIXELS"),
        ({"steps": (replace(SCORE, inputs={"IMAGE": "IMAGE"}), DECODE)}, "photo.IMAGE is TYPE_"),
        ({"inputs": ("IMAGE", "extra")}, "no step takes the input 'extra'"),
        ({"outputs": ("TOP",)}, "no step makes the output 'TOP'"),
        ({"max_batch_size": 8}, "max_batch_size 8 is above the 4 of decode"),
        (
            {"steps": (SCORE, replace(SCORE, inputs={"IMAGE": "SCORES"}, outputs={"SCORES": "pixels"}))},
            "the steps wait for each other: scorer",
        ),
    ],
)
def test_what_does_not_close_is_named(models: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RepositoryError) as caught:
        add_pipeline(models, replace(PIPELINE, **change))
    assert message in caught.value.message
    assert not (models / "photo").exists()


def test_shapes_must_agree(tmp_path: Path, models: Path, make_artifact: Any) -> None:
    add_artifact(models, make_artifact("batch,3,2,2", name="colour"))
    steps = (DECODE, replace(SCORE, model="colour"))
    with pytest.raises(RepositoryError, match=r"decode.PIXELS has shape \[-1, 1, 2, 2\], colour.IMAGE has \[-1, 3, 2"):
        add_pipeline(models, replace(PIPELINE, steps=steps))
