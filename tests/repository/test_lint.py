"""Every rule has a case that plants it, and a clean repository has no remark at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from toolkit.errors import RepositoryError
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step
from toolkit.repository.lint import RULES, Remark, lint_repository
from toolkit.repository.pipeline import Pipeline, PipelineStep, add_pipeline


@pytest.fixture
def repository(tmp_path: Path, scorer: RepositoryEntry) -> Path:
    """`scorer`, `decode` and the ensemble `photo` of both, all clean."""
    place = tmp_path / "models"
    add_step(place, "image_decode", name="decode", parameters={"width": 2, "height": 2, "mode": "L"})
    steps = (
        PipelineStep(model="decode", inputs={"IMAGE": "IMAGE"}, outputs={"PIXELS": "pixels"}),
        PipelineStep(model="scorer", inputs={"IMAGE": "pixels"}, outputs={"SCORES": "SCORES"}),
    )
    add_pipeline(place, Pipeline(name="photo", steps=steps))
    return place


def edited(entry: str, old: str, new: str) -> Callable[[Path], None]:
    """Change the one place in an entry's config.pbtxt."""

    def edit(repository: Path) -> None:
        file = repository / entry / "config.pbtxt"
        text = file.read_text()
        assert text.count(old) == 1, f"'{old}' is there {text.count(old)} times"
        file.write_text(text.replace(old, new))

    return edit


def written(path: str, text: str) -> Callable[[Path], None]:
    def write(repository: Path) -> None:
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text)

    return write


def removed(path: str) -> Callable[[Path], None]:
    return lambda repository: (repository / path).unlink()


def remodelled(inp: list[Any], out: list[Any], code: int = TensorProto.FLOAT) -> Callable[[Path], None]:
    """Another graph under the scorer's unchanged config."""

    def write(repository: Path) -> None:
        from onnx import helper, save

        graph = helper.make_graph(
            [helper.make_node("Identity", ["IMAGE"], ["SCORES"])],
            "other",
            [helper.make_tensor_value_info("IMAGE", code, inp)],
            [helper.make_tensor_value_info("SCORES", TensorProto.FLOAT, out)],
        )
        save(helper.make_model(graph), repository / "scorer/1/model.onnx")

    return write


IMAGE, SCORES = ["batch", 1, 2, 2], ["batch", 4]
STEP = "decode/1/model.py"
BATCHING = "dynamic_batching {\n"
FULL_WARMUP = 'name: "batch_max"\n  batch_size: 8'

PLANTED: tuple[tuple[str, Callable[[Path], None], str], ...] = (
    ("TR001", written("scorer/config.pbtxt", 'name: "scorer"\nmax_batch: 8\n'), "config.pbtxt:2:1: "),
    ("TR002", edited("scorer", 'name: "scorer"', 'name: "score"'), "name is 'score', the folder is 'scorer'"),
    ("TR003", edited("photo", "max_batch_size: 8\n", ""), "max_batch_size is not written"),
    ("TR004", edited("scorer", BATCHING, BATCHING + "preferred_batch_size: [4, 16]\n"), "16 is above max_batch_size 8"),
    ("TR005", edited("decode", "max_batch_size: 8", "max_batch_size: 0"), "dynamic_batching with max_batch_size 0"),
    ("TR006", edited("photo", 'model_name: "scorer"', 'model_name: "score"'), "there is no model 'score'"),
    ("TR006", edited("decode", "TYPE_FP32", "TYPE_FP16"), "decode.PIXELS is TYPE_FP16, scorer.IMAGE is TYPE_FP32"),
    ("TR007", edited("decode", "dims: [1]", "dims: [1, 1]\n allow_ragged_batch: true"), "'IMAGE' is ragged"),
    ("TR008", edited("scorer", "enable: false", "enable: true"), "response_cache is enabled"),
    ("TR009", remodelled(IMAGE, ["batch", 5]), "output 'SCORES' has dims [4], the graph says [5]"),
    ("TR009", remodelled(IMAGE, ["batch", "n"]), "output 'SCORES' has dims [4], the graph says [-1]"),
    ("TR009", edited("scorer", 'name: "SCORES"', 'name: "Y"'), "the graph has no output 'Y'; it has SCORES"),
    ("TR010", remodelled([1, 1, 2, 2], SCORES), "max_batch_size is 8, and 'IMAGE' is [1, 1, 2, 2]"),
    ("TR010", remodelled(IMAGE, []), "max_batch_size is 8, and 'SCORES' is []"),
    ("TR011", removed("scorer/1/model.onnx"), "1/model.onnx is missing"),
    ("TR011", lambda repository: (repository / "photo/1").rmdir(), "there is no version folder"),
    ("TR012", edited("scorer", FULL_WARMUP, FULL_WARMUP.replace("8", "9")), "'batch_max': batch_size 9 is above 8"),
    ("TR013", removed("scorer/labels.txt"), "labels.txt of output 'SCORES' is missing"),
    ("TR014", edited("scorer", "kind: KIND_AUTO", "kind: KIND_GPU\n gpus: [1]"), "says KIND_GPU gpus [1]"),
    ("TR015", written("decode/requirements.txt", "# nothing\n"), "1/model.py:13 imports 'PIL'"),
    ("TR015", written(STEP, "import toolkit.tensor\n"), "1/model.py:1 imports 'toolkit'"),
    ("TR015", written(STEP, "def broken(:\n"), "1/model.py:1: "),
    ("TR016", edited("scorer", '"execution_mode"', '"exec_mode"'), "'exec_mode' is none of the onnxruntime backend's"),
    ("TR017", removed("scorer/config.pbtxt"), "there is no config.pbtxt"),
    ("TR018", remodelled(["batch", 3, 2, 2], SCORES), "input 'IMAGE' has dims [1, 2, 2], the graph says [3, 2, 2]"),
    ("TR018", remodelled(IMAGE, SCORES, TensorProto.INT64), "'IMAGE' is TYPE_FP32, the graph says TYPE_INT64"),
    ("TR019", remodelled(IMAGE, ["chosen", 4]), "first axes differ: 'batch' of IMAGE, 'chosen' of SCORES"),
    ("TR020", written("scorer/1/model.onnx", "not a model"), "model.onnx is truncated, damaged or not ONNX"),
)


def test_a_clean_repository_has_no_remarks(repository: Path) -> None:
    assert lint_repository(repository) == ()


@pytest.mark.parametrize(("rule", "plant", "text"), PLANTED, ids=lambda v: v if isinstance(v, str) else "")
def test_a_planted_contradiction_is_found(
    repository: Path, rule: str, plant: Callable[[Path], None], text: str
) -> None:
    plant(repository)
    found = [r for r in lint_repository(repository) if r.rule == rule]
    assert any(text in r.text for r in found), lint_repository(repository)
    assert all(r.remedy and r.entry in {"scorer", "decode", "photo"} for r in found)


def test_every_rule_is_planted_and_its_id_is_its_own() -> None:
    assert {r.id for r in RULES} == {rule for rule, _, _ in PLANTED}
    assert len({r.id for r in RULES}) == len(RULES)


WARMUP_INPUT = """
model_warmup { name: "w" batch_size: 1 inputs { key: "%s" value { data_type: %s dims: %s %s } } }
"""


@pytest.mark.parametrize(
    ("name", "dtype", "dims", "data", "text"),
    [
        ("IMAGE", "TYPE_STRING", "[1]", "zero_data: true", ""),
        ("OTHER", "TYPE_STRING", "[1]", "zero_data: true", "'OTHER' is not an input"),
        ("OTHER", "TYPE_STRING", "[1]", "zero_data: true", "input 'IMAGE' is missing"),
        ("IMAGE", "TYPE_FP32", "[1]", "zero_data: true", "is TYPE_FP32, the model's is TYPE_STRING"),
        ("IMAGE", "TYPE_STRING", "[-1]", "zero_data: true", "has dims [-1], the model's are [1]"),
        ("IMAGE", "TYPE_STRING", "[1, 1]", "zero_data: true", "has dims [1, 1], the model's are [1]"),
        ("IMAGE", "TYPE_STRING", "[1]", 'input_data_file: "one"', "there is no file warmup/one"),
    ],
)
def test_warm_up_inputs_must_be_the_models(
    repository: Path, name: str, dtype: str, dims: str, data: str, text: str
) -> None:
    with (repository / "decode/config.pbtxt").open("a") as file:
        file.write(WARMUP_INPUT % (name, dtype, dims, data))
    texts = [r.text for r in lint_repository(repository) if r.rule == "TR012"]
    assert any(text in t for t in texts) if text else not texts


def test_an_unreadable_config_is_one_remark_and_spares_the_others(repository: Path) -> None:
    written("decode/config.pbtxt", "{")(repository)
    found = [r for r in lint_repository(repository) if r.entry != "photo"]
    assert [(r.rule, r.severity, r.entry) for r in found] == [("TR001", "error", "decode")]


@pytest.mark.parametrize(
    ("text", "is_written"),
    [
        ("# max_batch_size: 1\nname: 'm'", False),
        ('metric_tags { key: "max_batch_size: 1" value: "\\" max_batch_size: 1" }', False),
        ("name: 'm' max_batch_size : 0", True),
    ],
)
def test_whether_max_batch_size_is_written(tmp_path: Path, text: str, is_written: bool) -> None:
    (tmp_path / "m/1").mkdir(parents=True)
    written("m/config.pbtxt", text)(tmp_path)
    assert ("TR003" not in {r.rule for r in lint_repository(tmp_path)}) == is_written


@pytest.mark.parametrize(
    ("inp", "out"), [("batch", "batch,length"), ("batch,length", "batch"), ("1,3", "5"), ("3", "")]
)
def test_what_add_artifact_writes_is_always_clean(tmp_path: Path, make_artifact: Any, inp: str, out: str) -> None:
    add_artifact(tmp_path / "models", make_artifact(inp, out))
    assert lint_repository(tmp_path / "models") == ()


def test_unnamed_axes_can_be_a_batch(tmp_path: Path, repository: Path) -> None:
    remodelled([None, 1, 2, 2], [None, 4])(repository)
    assert lint_repository(repository) == ()


def test_a_step_may_import_its_own_files(repository: Path) -> None:
    written("decode/1/helpers/colour.py", "import numpy\n")(repository)
    written(
        STEP, "from . import near\nimport os.path\nfrom helpers.colour import grey\nimport c_python_backend_utils\n"
    )(repository)
    assert lint_repository(repository) == ()


def test_a_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    written("src/main.py", "")(tmp_path)
    with pytest.raises(RepositoryError, match="holds 'src'"):
        lint_repository(tmp_path)


def test_a_remark_says_what_and_how(repository: Path) -> None:
    edited("scorer", "enable: false", "enable: true")(repository)
    rule = next(r for r in RULES if r.id == "TR008")
    assert lint_repository(repository) == (
        Remark(rule="TR008", severity="remark", entry="scorer", text="response_cache is enabled", remedy=rule.remedy),
    )
