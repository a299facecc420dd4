"""Every rule has a case that plants it, and a clean repository has no remark at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from toolkit.errors import RepositoryError, UsageError
from toolkit.repository.entry import RepositoryEntry, add_artifact, add_step
from toolkit.repository.lint import RULES, Remark, lint_repository, rule_of, rules_table
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


def added(entry: str, text: str) -> Callable[[Path], None]:
    """More of an entry's config.pbtxt."""

    def add(repository: Path) -> None:
        file = repository / entry / "config.pbtxt"
        file.write_text(file.read_text() + text)

    return add


def configured(text: str, name: str = "other") -> Callable[[Path], None]:
    """One more entry, of a backend that no other rule knows, with this config."""

    def write(repository: Path) -> None:
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(f'name: "{name}"\n{text}')

    return write


def together(*plants: Callable[[Path], None]) -> Callable[[Path], None]:
    def plant(repository: Path) -> None:
        for one in plants:
            one(repository)

    return plant


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

FREE = "max_batch_size: 0"
DECOUPLED = "model_transaction_policy { decoupled: true }"
LATEST = "latest {\n    num_versions: 1"
DELAY = "max_queue_delay_microseconds: 0\n"
DELAYED = together(
    edited("decode", BATCHING + "  max_queue_delay_microseconds: 0", BATCHING + "  max_queue_delay_microseconds: 100"),
    edited("decode", "max_batch_size: 8", "max_batch_size: 1"),
)
LEVELS = "priority_levels: 2\ndefault_priority_level: 1\npriority_queue_policy "
QUEUE = "default_queue_policy { timeout_action: %s default_timeout_microseconds: %d }\n"
ORDERED, ORDER = "preserve_ordering: false\n", "preserve_ordering: true\n"
SCALAR = 'name: "A" data_type: TYPE_BOOL dims: 1 reshape { }'
CONTROL = 'control_input { name: "%s" control { %s } } '
START = "kind: CONTROL_SEQUENCE_START int32_false_true: [0, 1]"
PARAMETER = (
    'key: "execution_mode"\n  value {\n    string_value: "0"',
    'key: "execution_mode"\n  value {\n    string_value: "2"',
)
OPTIMIZATION = "optimization {\n"
ACCELERATOR = 'execution_accelerators { gpu_execution_accelerator { name: "%s" } }\n'
ON_CPU = together(
    edited("scorer", "kind: KIND_AUTO", "kind: KIND_CPU"),
    edited("scorer", OPTIMIZATION, OPTIMIZATION + ACCELERATOR % "cuda"),
)
STEP_VERSION = ('"scorer"\n    model_version: -1', '"scorer"\n    model_version: 2')
GPU_STEP = edited("decode", "kind: KIND_CPU", "kind: KIND_GPU")
ENVIRONMENT = (
    "response_cache {",
    """parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" } }
    response_cache {""",
)


def sequences(text: str) -> Callable[[Path], None]:
    """One more entry with a sequence batcher and an input X."""
    tensor = 'input { name: "X" data_type: TYPE_BOOL dims: 1 }'
    return configured(f'backend: "x" max_batch_size: 4 {tensor} sequence_batching {{ {text} }}')


def linked(path: str) -> Callable[[Path], None]:
    """A link to a file outside of the repository."""

    def link(repository: Path) -> None:
        (repository.parent / "outside").write_text("a\nb\nc\nd\n")
        (repository / path).unlink(missing_ok=True)
        (repository / path).symlink_to(repository.parent / "outside")

    return link


STAMP = '{"schema": 1, "tensorrt": "10.9.0", "gpu": "", "architecture": "", "driver": "", "most_rows": 8}'


def engine(stamp: str) -> Callable[[Path], None]:
    """An entry with an engine, its stamp and batches of 9."""
    tensor = 'input { name: "X" data_type: TYPE_FP32 dims: 3 }'
    entry = configured(f'backend: "tensorrt" max_batch_size: 9 {tensor}')
    return together(entry, written("other/1/model.plan", "engine"), written("other/1/engine.json", stamp))


def two_streams(repository: Path) -> None:
    """An ensemble whose last step joins the streams of two decoupled models."""
    tensors = 'input {{ name: "{}" data_type: TYPE_BOOL dims: 1 }} output {{ name: "Y" data_type: TYPE_BOOL dims: 1 }}'
    for name in ("one", "two"):
        policy = DECOUPLED
        configured(f'backend: "x" {FREE} {policy} {tensors.format("X")}', name)(repository)
    both = tensors.format("X") + ' input { name: "Z" data_type: TYPE_BOOL dims: 1 }'
    configured(f'backend: "x" {FREE} {both}', "join")(repository)
    step = 'step {{ model_name: "{}" model_version: -1 {} output_map {{ key: "Y" value: "{}" }} }}'
    wires = 'input_map { key: "X" value: "%s" }'
    steps = step.format("one", wires % "X", "a") + step.format("two", wires % "X", "b")
    steps += step.format("join", wires % "a" + ' input_map { key: "Z" value: "b" }', "Y")
    configured(f'platform: "ensemble" {FREE} {tensors.format("X")} ensemble_scheduling {{ {steps} }}', "ens")(
        repository
    )


VLLM = 'backend: "vllm" max_batch_size: 0 model_transaction_policy { decoupled: true }'
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
    (
        "TR021",
        edited("scorer", 'backend: "onnxruntime"', 'backend: "tensorrt" platform: "onnxruntime_onnx"'),
        "belongs",
    ),
    ("TR021", configured(f'platform: "caffe2" {FREE}'), "platform 'caffe2' is not one of Triton's"),
    (
        "TR021",
        edited("photo", 'platform: "ensemble"', 'platform: "ensemble" backend: "python"'),
        "an ensemble has none",
    ),
    ("TR022", configured(FREE), "neither backend nor platform is written"),
    ("TR023", edited("scorer", LATEST, "specific {\n versions: [1, 3]"), "names version 3; there are [1]"),
    ("TR023", edited("scorer", "num_versions: 1", "num_versions: 0"), "the latest 0 versions"),
    ("TR024", written("scorer/02/model.onnx", ""), "the folder 02/ is not served"),
    ("TR024", written("scorer/v3/model.onnx", ""), "the folder v3/ is not served"),
    (
        "TR025",
        edited("scorer", "enable: false\n}", "enable: true\n}\nmodel_transaction_policy { decoupled: true }"),
        "dec",
    ),
    ("TR025", configured(f'backend: "x" {FREE} response_cache {{ enable: true }} sequence_batching {{}}'), "sequence"),
    ("TR026", added("scorer", DECOUPLED), "decoupled is set on the onnxruntime"),
    ("TR027", added("scorer", "model_metrics { metric_control { histogram_options { } } }"), "names no family"),
    ("TR028", configured(f'backend: "x" {FREE}', "two words"), "the entry is called 'two words'"),
    (
        "TR031",
        DELAYED,
        "max_queue_delay_microseconds 100 with max_batch_size 1",
    ),
    ("TR032", edited("scorer", BATCHING, BATCHING + "priority_levels: 2\n"), "default_priority_level 0 is not in 1..2"),
    ("TR032", edited("scorer", BATCHING, BATCHING + "default_priority_level: 2\n"), "priority_levels is 0"),
    ("TR032", edited("scorer", BATCHING, BATCHING + LEVELS + "{ key: 3 value { } }\n"), "names level 3, not in 1..2"),
    ("TR033", edited("scorer", ORDERED, ORDER + LEVELS.split("priority_queue")[0]), "with 2 priority levels"),
    ("TR033", edited("scorer", ORDERED, ORDER + QUEUE % ("DELAY", 9)), "queue policy of timeout_action DELAY"),
    ("TR034", edited("scorer", DELAY, DELAY.replace("0", "100") + QUEUE % ("REJECT", 90)), "timeout_microseconds 90"),
    ("TR035", sequences("oldest { preferred_batch_size: 9 }"), "oldest.preferred_batch_size 9 is not in 1..4"),
    ("TR035", sequences("direct { minimum_slot_utilization: 1.5 }"), "minimum_slot_utilization 1.5 is not in 0..1"),
    ("TR035", sequences(CONTROL % ("A", "kind: CONTROL_SEQUENCE_START")), "needs exactly one of int32_false_true"),
    ("TR035", sequences(CONTROL % ("A", "kind: CONTROL_SEQUENCE_CORRID data_type: TYPE_FP32")), "is TYPE_FP32; expec"),
    ("TR035", sequences(CONTROL % ("A", START) + CONTROL % ("A", "kind: CONTROL_SEQUENCE_CORRID")), "'A' comes twice"),
    ("TR035", sequences(CONTROL % ("A", START) + CONTROL % ("B", START)), "_START is given to several tensors"),
    ("TR035", sequences(CONTROL % ("X", START)), "the control tensor 'X' is an input as well"),
    (
        "TR036",
        together(sequences(""), added("other", DECOUPLED)),
        "decoupled with",
    ),
    ("TR041", edited("decode", "dims: [1]", "dims: [-1]\n allow_ragged_batch: true"), "no batch_input describes it"),
    (
        "TR042",
        added("decode", "batch_input { kind: BATCH_ELEMENT_COUNT data_type: TYPE_INT64 }"),
        "has 0 source inputs",
    ),
    ("TR042", added("decode", "batch_input { data_type: TYPE_INT64 }"), "batch_input[0] is TYPE_INT64"),
    (
        "TR042",
        added("decode", 'batch_input { source_input: "X" target_name: "Y" }'),
        "made from 'X'",
    ),
    ("TR042", added("decode", 'batch_output { source_input: "IMAGE" target_name: "Y" }'), "scatters 'Y'"),
    ("TR043", configured('backend: "x" max_batch_size: 1 input { name: "A" }'), "input 'A' has no data_type"),
    (
        "TR043",
        configured('backend: "x" max_batch_size: 1 output { name: "A" data_type: TYPE_BOOL dims: 0 }'),
        "dims [0]",
    ),
    ("TR044", edited("decode", "dims: [1]", "dims: [1]\n reshape { shape: [ 2 ] }"), "has dims [1] and reshape [2]"),
    ("TR044", configured(f'backend: "x" {FREE} input {{ {SCALAR} }}'), "empty reshape with max_batch_size 0"),
    ("TR045", edited("decode", "dims: [1]", "dims: [1]\n format: FORMAT_NHWC"), "FORMAT_NHWC with 1 dims; it needs 3"),
    ("TR045", edited("decode", "dims: [1]", "dims: [1]\n is_shape_tensor: true"), "is a shape tensor on the python"),
    ("TR046", added("decode", 'input { name: "IMAGE" data_type: TYPE_STRING dims: 1 }'), "input 'IMAGE' comes 2 times"),
    ("TR047", written("scorer/labels.txt", "a\nb\n"), "labels.txt has 2 labels, output 'SCORES' has 4 values"),
    ("TR047", linked("scorer/labels.txt"), "the label file labels.txt lies outside of the entry"),
    ("TR051", edited("scorer", *PARAMETER), "parameter 'execution_mode' is '2'; expected an integer from 0 to 1"),
    ("TR052", edited("decode", "kind: KIND_CPU", "kind: KIND_CPU\n gpus: [0]"), "KIND_CPU with gpus [0]"),
    ("TR053", edited("scorer", "kind: KIND_AUTO", 'kind: KIND_AUTO\n profile: "a"'), "has profile ['a'] on the onnxru"),
    ("TR054", edited("scorer", "count: 1\n  kind", "count: 0\n  kind"), "instance_group[0] has no count"),
    ("TR055", edited("scorer", "count: 1\n  kind", "count: 2\n  kind"), "2 instances with intra_op_thread_count 0"),
    (
        "TR056",
        edited("scorer", OPTIMIZATION, OPTIMIZATION + ACCELERATOR % "openvino"),
        "'openvino' is none of the onnx",
    ),
    (
        "TR057",
        ON_CPU,
        "gpu_execution_accelerator with instances of KIND_CPU alone",
    ),
    ("TR061", added("photo", "instance_group { count: 2 }"), "instance_group is set on an ensemble"),
    ("TR061", configured('platform: "ensemble" max_batch_size: 1'), "there is no ensemble_scheduling"),
    ("TR062", edited("photo", 'model_name: "scorer"', 'model_name: "photo"'), "'photo' contains itself"),
    ("TR063", edited("photo", *STEP_VERSION), "version 2 of scorer; served are [1]"),
    ("TR064", added("scorer", DECOUPLED), "its model scorer is decoupled"),
    ("TR065", two_streams, "step[2] join takes tensors that originate from step[0] one and step[1] two"),
    ("TR066", edited("decode", "dims: [1, 2, 2]", "dims: [1, -1, 2]"), "PIXELS has shape [-1, 1, -1, 2], scorer.IMAGE"),
    ("TR071", written("scorer/1/model.onnx", ""), "1/model.onnx is empty"),
    (
        "TR071",
        written("scorer/1/model.onnx", "version https://git-lfs.github.com/spec/v1\noid"),
        "is a Git LFS pointer",
    ),
    ("TR072", written(STEP, "class TritonPythonModel:\n    def execute(self, r): ...\n"), "1/model.py is not the file"),
    ("TR073", linked("scorer/1/extra.bin"), "1/extra.bin leads to /"),
    ("TR074", engine(STAMP), "max_batch_size is 9, the engine in 1/ was built for 8 rows"),
    ("TR074", engine("[8]"), "engine.json: not a document"),
    ("TR081", edited("scorer", "dims: [1, 2, 2]\n}", "dims: [1, 2, 2]\n  optional: true\n}"), "graph needs it"),
    ("TR091", written(STEP, "class TritonPythonModel: ...\n"), "has no class TritonPythonModel with a method execute"),
    (
        "TR092",
        together(written("decode/requirements.txt", "onnxruntime\nPillow\n"), GPU_STEP),
        "KIND_GPU with onnxruntime",
    ),
    ("TR093", edited("decode", *ENVIRONMENT), "EXECUTION_ENV_PATH names env.tar.gz, which is not in the entry"),
    ("TR101", written("llm/config.pbtxt", 'backend: "vllm" max_batch_size: 0'), "decoupled: true } is not written"),
    ("TR102", together(written("llm/config.pbtxt", VLLM), written("llm/1/model.json", "{}")), "names no model"),
    ("TR103", written("llm/config.pbtxt", f'{VLLM} parameters {{ key: "dtype" value {{}} }}'), "'dtype' is none"),
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
    assert all(r.remedy for r in found)


def test_the_readme_of_the_repository_explains_every_rule() -> None:
    readme = Path(__file__).parents[2] / "model_repo" / "README.md"
    assert rules_table() in readme.read_text(), "python -m toolkit repo lint --explain all >> model_repo/README.md"


def test_a_rule_is_explained_by_its_id() -> None:
    assert rule_of("tr004").id == "TR004"
    with pytest.raises(UsageError, match="no rule 'TR0004'") as caught:
        rule_of("TR0004")
    assert "TR004" in caught.value.mend


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
    assert {r.rule for r in lint_repository(repository)} == {"TR072"}


def test_a_step_may_import_its_own_files(repository: Path) -> None:
    written("decode/1/helpers/colour.py", "import numpy\n")(repository)
    written(
        STEP,
        "from . import near\nimport os.path\nfrom helpers.colour import grey\nimport c_python_backend_utils\n"
        "class TritonPythonModel:\n    def execute(self, requests): ...\n",
    )(repository)
    assert {r.rule for r in lint_repository(repository)} == {"TR072"}


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
