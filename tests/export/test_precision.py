"""Precisions: the graphs in half and in int8, what a variant may lose, and the ladder as a whole."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.artifact import read_artifact
from toolkit.errors import ExportFailed, RepositoryError, UsageError
from toolkit.export.arrays import read_arrays, write_arrays
from toolkit.export.budget import compare_within_budget, loss_between
from toolkit.export.half import CUT, to_half
from toolkit.export.ladder import LADDER_FILE, Ladder, export_ladder
from toolkit.export.onnxruntime import run_onnx
from toolkit.export.parity import ParityResult, top1
from toolkit.export.precision import PRECISIONS, convert_precision, precisions_from_text
from toolkit.export.spec import (
    MODEL_FILE,
    PRECISION_NAMES,
    SAMPLES_FILE,
    ExportSpec,
    WorkerRequest,
    precision_of,
    variant_file,
)
from toolkit.export.timing import time_interleaved
from toolkit.export.variant import export_variant
from toolkit.models.source import Source, source_from_path
from toolkit.records import read_json
from toolkit.repository.entry import add_artifact

DIGITS = """\
import numpy as np, torch
from sklearn.datasets import load_digits

def digits():
    found = load_digits()
    return (found.images[:, None] / 16).astype(np.float32), found.target

class Net(torch.nn.Module):
    def __init__(self, spread):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.head = torch.nn.Linear(8 * 16, 10)
        self.register_buffer("spread", torch.tensor(spread))

    def forward(self, image):
        found = torch.nn.functional.max_pool2d(self.conv(image).relu(), 2).flatten(1)
        # Beside a value of `spread`, which is taken off again, a range of eight bits leaves nothing of the others.
        wide = torch.cat([found, self.spread.expand(len(image), 1)], 1)
        return self.head((wide * 1.0)[:, :-1])

def load_model(spread=0.0):
    torch.manual_seed(0)
    model, (x, y) = Net(spread), map(torch.from_numpy, digits())
    optimiser = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(40):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:1300]), y[:1300]).backward()
        optimiser.step()
    return model

def sample_inputs(seed, n):
    return {"image": digits()[0][:n]}

def held_out():
    images, labels = digits()
    return {"image": images[1300:]}, labels[1300:]
"""


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """A trained CNN in every precision."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "model.py").write_text(DIGITS)
    source = source_from_path(str(folder / "model.py"))
    found = export_ladder(
        source, ExportSpec(sample_count=32), folder / "out", precisions=tuple(PRECISIONS), name="digits", task=top1
    )
    return found, folder / "out"


def test_every_rung_is_an_artifact_with_its_figures(ladder):
    found, folder = ladder
    assert read_json(folder / LADDER_FILE, Ladder) == found
    assert [rung.precision for rung in found.rungs] == list(PRECISIONS)
    assert "sample_inputs() of the model's file" in found.calibrated_on and found.judged_on.startswith("labelled")
    base = found.rungs[0]
    for rung in found.rungs:
        artifact = read_artifact(folder / rung.artifact)
        assert (artifact.precision, artifact.name, artifact.parity) == (rung.precision, "digits", "passed")
        assert rung.accepted and rung.task and rung.task.samples == 497 and rung.task.reference > 0.85
        assert rung.task.answers >= rung.task.reference - found.accuracy_budget
        assert rung.size_bytes < base.size_bytes or rung is base
        assert (folder / rung.artifact / "export.log").is_file() and (folder / rung.artifact / "reproduce.sh").is_file()
    assert "budget 0.01" in found.rungs[1].reason and "labelled samples" in found.rungs[1].reason


def test_lower_precisions_differ_by_as_much_as_their_bits_say(ladder):
    found, _ = ladder
    difference = {rung.precision: rung.largest_difference for rung in found.rungs}
    assert difference["fp32"] < difference["fp16"] / 10
    assert difference["fp16"] < difference["bf16"]
    assert difference["int8-qdq"] > 0 and difference["int8-dynamic"] > 0


def test_times_are_of_what_this_runtime_can_run(ladder):
    found, _ = ladder
    times = {rung.precision: rung.times for rung in found.rungs}
    assert {t.batch_size for t in times["int8-qdq"]} == {1, 8}
    assert all(t.rounds >= 5 and 0 < t.least_s <= t.median_s for ts in times.values() for t in ts)
    assert not times["bf16"] and any("no time" in note for note in found.rungs[2].notes)
    assert "tried as: every weight and value rounded to bfloat16" in found.rungs[2].notes[0]


def operators(path):
    return [node.op_type for node in onnx.load(path).graph.node]


def test_qdq_is_unsigned_for_cpus_and_signed_and_symmetric_for_tensorrt(ladder):
    _, folder = ladder
    for precision, types, zeros in (
        ("int8-qdq", {TensorProto.UINT8, TensorProto.INT8}, None),
        ("int8-qdq-trt", {TensorProto.INT8}, 0),
    ):
        model = onnx.load(folder / precision / MODEL_FILE)
        weights = {w.name: w for w in model.graph.initializer}
        points = [weights[n.input[2]] for n in model.graph.node if n.op_type == "QuantizeLinear"]
        assert points and {p.data_type for p in points} <= types
        assert zeros is None or all(numpy_helper.to_array(p).max() == zeros for p in points)
        biases = [w for w in weights.values() if w.data_type == TensorProto.INT32]
        assert bool(biases) == (precision == "int8-qdq")
    assert "ConvInteger" in operators(folder / "int8-dynamic" / MODEL_FILE)


def test_a_variant_is_served_as_any_artifact(ladder, tmp_path):
    _, folder = ladder
    entry = add_artifact(tmp_path / "repo", folder / "int8-qdq")
    assert entry.config.input[0].dims == (1, 8, 8)


def test_an_int8_variant_that_destroys_accuracy_is_kept_as_rejected(ladder, tmp_path):
    """One value far above all others takes the whole range of eight bits."""
    folder = tmp_path / "customer"
    folder.mkdir()
    (folder / "model.py").write_text(DIGITS)
    source = source_from_path(str(folder / "model.py"))
    spec = ExportSpec(sample_count=16, arguments={"spread": 3e4})
    wanted = ("int8-qdq",)
    found = export_ladder(source, spec, tmp_path / "out", precisions=wanted, name="digits", task=top1)
    base, int8 = found.rungs
    assert base.accepted and not int8.accepted and int8.task
    assert int8.task.answers < int8.task.reference - 0.3
    assert "drop of top1 on 497 labelled samples" in int8.reason and "(budget 0.01)" in int8.reason
    assert any("the error grows most at node '" in note for note in int8.notes)
    artifact = read_artifact(tmp_path / "out" / "int8-qdq")
    assert artifact.parity == "failed"
    with pytest.raises(RepositoryError, match="drop of top1"):
        add_artifact(tmp_path / "repo", tmp_path / "out" / "int8-qdq")


def test_a_model_that_is_not_proven_is_not_converted(model_py, tmp_path):
    body = "wrong = 0.05 if torch.compiler.is_exporting() else 0.0\nreturn self.linear(x) + wrong * x[:, :1]"
    source = source_from_path(str(model_py(body)))
    found = export_ladder(source, ExportSpec(sample_count=5), tmp_path / "out", precisions=("fp16",), name="net")
    assert [rung.precision for rung in found.rungs] == ["fp32"] and not found.rungs[0].accepted


def test_a_model_without_weights_in_float32_stays_as_it_is(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("batch", 4))],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / MODEL_FILE)
    source = Source(path=tmp_path / MODEL_FILE, entry=None, framework="onnx", sha256="")
    request = WorkerRequest(action="convert", source=source, spec=ExportSpec(precision="fp16"))
    with pytest.raises(ExportFailed, match="no float32 weights: fp16 would be the same model"):
        convert_precision(request, tmp_path / "out", lambda phase: None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fp32,fp16", ("fp32", "fp16")),
        ("int8", ("int8-dynamic", "int8-qdq")),
        ("int8-qdq-trt, fp32,fp32", ("fp32", "int8-qdq-trt")),
    ],
)
def test_precisions_by_name(text, names):
    assert precisions_from_text(text) == names


@pytest.mark.parametrize("text", ["fp8", "", ","])
def test_unknown_precisions_are_refused_with_those_that_there_are(text):
    with pytest.raises(UsageError, match="is not one of: fp32, fp16, bf16, int8-dynamic, int8-qdq, int8-qdq-trt, int8"):
        precisions_from_text(text)


# --- graphs in half precision -----------------------------------------------------------------------------------------


def graph_of(nodes, weights, y=("batch", 4), x=("batch", 4), y_type=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", y_type, y)],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


ONES = np.full((4,), 1.5, np.float32)
BRANCH = helper.make_graph(
    [helper.make_node("Add", ["x", "w"], ["sum"])], "then", [], [helper.make_tensor_value_info("sum", 1, ("batch", 4))]
)
OTHER = helper.make_graph(
    [helper.make_node("Mul", ["x", "w"], ["product"])],
    "else",
    [],
    [helper.make_tensor_value_info("product", 1, ("batch", 4))],
)


@pytest.mark.parametrize("target", ["FLOAT16", "BFLOAT16"])
@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([helper.make_node("Add", ["x", "w"], ["y"])], {"w": ONES}),
        ([helper.make_node("Identity", ["x"], ["y"])], {}),
        (
            [
                helper.make_node("Cast", ["x"], ["whole"], to=TensorProto.INT64),
                helper.make_node("Cast", ["whole"], ["back"], to=TensorProto.FLOAT),
                helper.make_node("Mul", ["back", "w"], ["y"]),
            ],
            {"w": ONES},
        ),
        (
            [
                helper.make_node("Constant", [], ["three"], value_float=3.0),
                helper.make_node("Mul", ["x", "three"], ["y"]),
            ],
            {},
        ),
        (
            [
                helper.make_node("Resize", ["x", "", "scales"], ["big"], mode="nearest"),
                helper.make_node("Slice", ["big", "start", "end", "axis"], ["y"]),
            ],
            {
                "scales": np.array([1, 2], np.float32),
                "start": np.array([0]),
                "end": np.array([4]),
                "axis": np.array([1]),
            },
        ),
        (
            [helper.make_node("If", ["flag"], ["y"], then_branch=BRANCH, else_branch=OTHER)],
            {"flag": np.array(True), "w": ONES},
        ),
    ],
)
def test_graphs_in_half_answer_as_in_float(tmp_path, target, nodes, weights):
    model = graph_of(nodes, weights)
    x = {"x": np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)}
    onnx.save(model, tmp_path / "before.onnx")
    for native in (True, False):
        half = onnx.load(tmp_path / "before.onnx")
        to_half(half, target, native=native)
        onnx.checker.check_model(half, full_check=True)
        if native and target == "BFLOAT16":
            continue  # no kernels on the CPU
        onnx.save(half, tmp_path / "after.onnx")
        before, after = (run_onnx(tmp_path / name, x)["y"] for name in ("before.onnx", "after.onnx"))
        assert after.dtype == np.float32
        np.testing.assert_allclose(after, before, rtol=0.02, atol=0.02)


def test_weights_beyond_float16_are_cut_and_it_is_said(tmp_path):
    model = graph_of([helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.full(4, -3.4e38, np.float32)})
    assert to_half(model, "FLOAT16") == (CUT,)
    onnx.save(model, tmp_path / "half.onnx")
    assert np.isfinite(run_onnx(tmp_path / "half.onnx", {"x": np.zeros((1, 4), np.float32)})["y"]).all()


# --- the budget -------------------------------------------------------------------------------------------------------

SCORES = np.random.default_rng(1).dirichlet(np.ones(4), 50).astype(np.float32)


def flipped(rows):
    scores = SCORES.copy()
    scores[:rows] = np.roll(scores[:rows], 1, axis=1)
    return scores


@pytest.mark.parametrize(("budget", "passed"), [(0.05, False), (0.06, True)])
def test_a_loss_is_weighed_against_the_budget(budget, passed):
    labels = SCORES.argmax(1)
    for given in (labels, None):
        result = compare_within_budget({"y": SCORES}, {"y": flipped(3)}, budget=budget, task=top1, labels=given)
        assert result.passed == passed and "0.0600" in result.reason


def test_what_is_measured_depends_on_what_there_is():
    value = np.linspace(1, 2, 50, dtype=np.float32).reshape(-1, 1)
    labels = SCORES.argmax(1)
    measures = [
        loss_between({"y": SCORES}, {"y": SCORES}, top1, labels).measure,
        loss_between({"y": SCORES}, {"y": SCORES}, top1, None).measure,
        loss_between({"y": value}, {"y": value}, top1, None).measure,
    ]
    assert [m.split(" ")[0] for m in measures] == ["drop", "share", "relative"]
    assert loss_between({"y": value}, {"y": value * 1.02}, None, None).loss == pytest.approx(0.02, rel=1e-3)


@pytest.mark.parametrize(
    "answers",
    [{}, {"y": SCORES[:, :3]}, {"y": SCORES, "z": SCORES}, {"y": np.full_like(SCORES, np.nan)}, {"y": SCORES * 0}],
)
def test_gross_faults_fail_whatever_the_budget(answers):
    assert not compare_within_budget({"y": SCORES}, answers, budget=float("inf"), task=top1).passed


def test_swapped_outputs_of_a_variant_fail_whatever_the_budget():
    a, b = SCORES, SCORES[:, ::-1].copy()
    result = compare_within_budget({"a": a, "b": b}, {"a": b, "b": a}, budget=0.99, task=top1)
    assert not result.passed and "is off by" in result.reason


def test_the_reason_of_a_variant_survives_its_file(ladder, tmp_path):
    _, folder = ladder
    artifact = export_variant(folder / "fp32", tmp_path / "again", "fp16", budget=0.0, task=top1)
    parity = read_json(tmp_path / "again" / "parity.json", ParityResult)
    assert parity.passed == (artifact.parity == "passed")
    assert "judged by an accuracy budget of 0, not element by element" in parity.basis


@pytest.mark.timing
def test_what_does_more_takes_longer_in_turn(tmp_path):
    rows = {"x": np.ones((8, 256), np.float32)}
    weight = np.eye(256, dtype=np.float32)
    for name, layers in (("one", 1), ("many", 40)):
        nodes = [helper.make_node("MatMul", [f"v{i}" if i else "x", "w"], [f"v{i + 1}"]) for i in range(layers)]
        nodes.append(helper.make_node("Relu", [f"v{layers}"], ["y"]))
        onnx.save(graph_of(nodes, {"w": weight}, ("batch", 256), ("batch", 256)), tmp_path / f"{name}.onnx")
    times = time_interleaved({name: tmp_path / f"{name}.onnx" for name in ("one", "many")}, rows, seconds=0.3)
    assert times["many"].median_s > 3 * times["one"].median_s
    assert times["many"].rounds == times["one"].rounds and times["one"].batch_size == 8


def test_calibration_reads_the_samples_beside_the_model(ladder, tmp_path):
    """Ranges from wrong samples destroy the model: it is those that are read."""
    _, folder = ladder
    for file in (MODEL_FILE, SAMPLES_FILE):
        (tmp_path / file).write_bytes((folder / "fp32" / file).read_bytes())
    images = read_arrays(tmp_path / SAMPLES_FILE)["image"]
    write_arrays(tmp_path / SAMPLES_FILE, {"image": images * 0})
    source = Source(path=tmp_path / MODEL_FILE, entry=None, framework="onnx", sha256="")
    request = WorkerRequest(action="convert", source=source, spec=ExportSpec(precision="int8-qdq"))
    (tmp_path / "out").mkdir()
    notes = convert_precision(request, tmp_path / "out", lambda phase: None)
    assert notes == ("activation ranges from 32 samples",)
    wrong = run_onnx(tmp_path / "out" / MODEL_FILE, {"image": images})
    right = run_onnx(tmp_path / MODEL_FILE, {"image": images})
    assert (next(iter(wrong.values())).argmax(1) == next(iter(right.values())).argmax(1)).mean() < 0.95


def test_the_names_of_a_poc_file_are_those_that_are_made():
    assert tuple(PRECISIONS) == PRECISION_NAMES
    assert [precision_of(variant_file(name)) for name in PRECISION_NAMES] == list(PRECISION_NAMES)
