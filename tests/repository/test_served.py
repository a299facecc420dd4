"""What config generation writes, on one real Triton: ragged and optional inputs, strings, scalars, text, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from toolkit.artifact import Artifact, write_artifact
from toolkit.models.onnx import signature_from_onnx
from toolkit.records import digest_of_files
from toolkit.repository.entry import add_artifact, add_step
from toolkit.repository.history import roll_back
from toolkit.repository.lint import lint_repository
from toolkit.repository.pipeline import Pipeline, PipelineStep, add_pipeline
from toolkit.repository.provenance import provenance_of
from toolkit.serve import client
from toolkit.serve.embedded import problems, serve_embedded
from toolkit.serve.server import Endpoint

from .test_text_and_tables import COLUMNS, GOOD, WORDS, write_tokenizer

TABLE = np.arange(20, dtype=np.float32).reshape(10, 2)
EMBEDDING = np.random.default_rng(0).standard_normal((len(WORDS), 3)).astype(np.float32)
WEIGHT = np.array([[1.0], [2.0], [4.0], [8.0]], np.float32)
BOUNDS = {
    "kind": "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO",
    "target_name": ["bounds"],
    "data_type": "TYPE_INT32",
    "source_input": ["ids"],
}


Tensors = dict[str, tuple[int, list[Any]]]


def artifact(folder: Path, name: str, graph: Any) -> Path:
    """An artifact of a hand-made graph."""
    place = folder / name
    place.mkdir(parents=True)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), place / "model.onnx")
    value = Artifact(
        name=name,
        format="onnx",
        precision="fp32",
        files=("model.onnx",),
        signature=signature_from_onnx(place / "model.onnx"),
        sha256=digest_of_files(place, ("model.onnx",)),
        built_on="a test",
        parity="passed",
    )
    write_artifact(place, value)
    return place


def graph_of(nodes: list[Any], inputs: Tensors, outputs: Tensors, **weights: Any) -> Any:
    sides = [[helper.make_tensor_value_info(n, *t) for n, t in side.items()] for side in (inputs, outputs)]
    return helper.make_graph(nodes, "graph", *sides, [numpy_helper.from_array(a, n) for n, a in weights.items()])


def bag(folder: Path) -> Path:
    """Sums of embedding rows, one for each request: of a concatenation of all, cut at `bounds`."""
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("CumSum", ["rows", "axis"], ["sums"]),
        helper.make_node("Concat", ["nothing", "sums"], ["totals"], axis=0),
        helper.make_node("Slice", ["bounds", "one", "last"], ["ends"]),
        helper.make_node("Slice", ["bounds", "first", "minus"], ["starts"]),
        helper.make_node("Gather", ["totals", "ends"], ["upper"]),
        helper.make_node("Gather", ["totals", "starts"], ["lower"]),
        helper.make_node("Sub", ["upper", "lower"], ["sum"]),
    ]
    inputs: Tensors = {"ids": (TensorProto.INT64, ["total"]), "bounds": (TensorProto.INT32, ["edges"])}
    places = {"one": 1, "last": 2**31 - 1, "first": 0, "minus": -1}
    weights: dict[str, Any] = {n: np.array([v]) for n, v in places.items()}
    outputs = {"sum": (TensorProto.FLOAT, ["batch", 2])}
    weights |= {"table": TABLE, "nothing": np.zeros((1, 2), np.float32), "axis": np.array(0)}
    return artifact(folder, "bag", graph_of(nodes, inputs, outputs, **weights))


def shifted(folder: Path) -> Path:
    """x + shift, where a request may leave the shift out; and the row's sum, one value a row."""
    nodes = [
        helper.make_node("Add", ["x", "shift"], ["y"]),
        helper.make_node("ReduceSum", ["y", "last"], ["total"], keepdims=0),
    ]
    inputs = {"x": (TensorProto.FLOAT, ["N", 2]), "shift": (TensorProto.FLOAT, ["N", 1])}
    outputs = {"y": (TensorProto.FLOAT, ["N", 2]), "total": (TensorProto.FLOAT, ["N"])}
    weights = {"shift": np.ones((1, 1), np.float32), "last": np.array([1])}
    return artifact(folder, "shifted", graph_of(nodes, inputs, outputs, **weights))


def classifier(folder: Path) -> Path:
    """Token ids and a mask to the mean of embeddings, a class each: the shape of a text classifier."""
    nodes = [
        helper.make_node("Gather", ["embedding", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["float_mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["float_mask", "last"], ["mask"]),
        helper.make_node("Mul", ["rows", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "first"], ["count"], keepdims=0),
        helper.make_node("Div", ["sum", "count"], ["scores"]),
    ]
    inputs = {name: (TensorProto.INT64, ["batch", "length"]) for name in ("input_ids", "attention_mask")}
    outputs = {"scores": (TensorProto.FLOAT, ["batch", 3])}
    axes = {"last": np.array([2]), "first": np.array([1])}
    return artifact(folder, "classifier", graph_of(nodes, inputs, outputs, embedding=EMBEDDING, **axes))


def linear(folder: Path) -> Path:
    inputs, outputs = {"x": (TensorProto.FLOAT, ["batch", 4])}, {"y": (TensorProto.FLOAT, ["batch", 1])}
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return artifact(folder, "linear", graph_of(nodes, inputs, outputs, w=WEIGHT))


def columns(folder: Path) -> Path:
    """A scikit-learn pipeline of strings and numbers, the ONNX graph as skl2onnx writes it."""
    pytest.importorskip("skl2onnx", reason="scikit-learn models need the `sklearn` extra")
    import pandas
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    frame = pandas.DataFrame({"city": ["Bern", "Oslo", "Bern", "Rome"], "age": [20.0, 30.0, 40.0, 50.0]})
    pre = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["city"]), (StandardScaler(), ["age"]))
    model = make_pipeline(pre, LogisticRegression()).fit(frame, ["no", "yes", "no", "yes"])
    kinds = [("city", StringTensorType([None, 1])), ("age", FloatTensorType([None, 1]))]
    graph = convert_sklearn(model, initial_types=kinds, target_opset=20, options={"zipmap": False}).graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return artifact(folder, "columns", graph)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of everything, each entry written by the functions that users call."""
    folder = tmp_path_factory.mktemp("served")
    place, made = folder / "models", folder / "artifacts"
    wait = {"dynamic_batching": {"max_queue_delay_microseconds": 100_000}}
    add_artifact(place, bag(made), config={"batch_input": [BOUNDS]} | wait)
    shift = {"name": "shift", "data_type": "TYPE_FP32", "dims": [1], "optional": True}
    add_artifact(place, shifted(made), config={"input": [shift]})
    add_artifact(place, classifier(made), config=wait)
    add_step(place, "text_tokenize", name="tokenize", parameters={"bucket": 4}, files=write_tokenizer(folder / "text"))
    wires = {"INPUT_IDS": "ids", "ATTENTION_MASK": "mask"}
    steps = (
        PipelineStep(model="tokenize", inputs={"TEXT": "TEXT"}, outputs=wires),
        PipelineStep(
            model="classifier", inputs={"input_ids": "ids", "attention_mask": "mask"}, outputs={"scores": "SCORES"}
        ),
    )
    add_pipeline(place, Pipeline(name="sentiment", steps=steps))
    (folder / "table").mkdir()
    (folder / "table" / "features.json").write_text(json.dumps({"columns": COLUMNS}))
    add_step(place, "tabular_features", name="features", parameters={"numbers": 4}, files=folder / "table")
    add_artifact(place, linear(made))
    steps = (
        PipelineStep(model="features", inputs={"RECORD": "RECORD"}, outputs={"FEATURES": "x"}),
        PipelineStep(model="linear", inputs={"x": "x"}, outputs={"y": "SCORE"}),
    )
    add_pipeline(place, Pipeline(name="scored", steps=steps))
    add_artifact(place, columns(made))
    cpu = {"instance_group": [{"count": 1, "kind": "KIND_CPU"}]}
    add_artifact(place, linear(folder / "retrained"), config=cpu, new_version=True)
    return place


@pytest.fixture(scope="module")
def endpoint(models: Path) -> Iterator[Endpoint]:
    found = problems()
    if found:
        pytest.skip(str(found[0]))
    roll_back(models, "linear")
    with serve_embedded(models) as server:
        yield server.endpoint


def texts(*values: str) -> Any:
    return np.array([[v.encode()] for v in values], object)


def test_all_of_it_is_clean(models: Path) -> None:
    assert lint_repository(models) == ()
    shifts = provenance_of(models / "shifted")
    assert shifts is not None and shifts.batching == "every input and output has the first axis 'N'"


def test_requests_of_different_lengths_are_one_ragged_batch(endpoint: Endpoint) -> None:
    lengths = (1, 5, 2, 3)
    asked = [np.arange(n, dtype=np.int64)[None, :] % 10 for n in lengths]
    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(lambda ids: client.infer(endpoint, "bag", {"ids": ids})["sum"], asked))
    for ids, answer in zip(asked, answers, strict=True):
        np.testing.assert_allclose(answer, TABLE[ids[0]].sum(axis=0, keepdims=True))
    sizes = {b["batch_size"] for b in client.statistics(endpoint, "bag")["batch_stats"]}
    assert max(sizes) > 1, "the requests were joined"


def test_an_optional_input_has_the_graphs_own_value(endpoint: Endpoint) -> None:
    x = np.array([[1, 2], [3, 4]], np.float32)
    assert client.infer(endpoint, "shifted", {"x": x})["y"].tolist() == (x + 1).tolist()
    given = client.infer(endpoint, "shifted", {"x": x, "shift": np.array([[10], [20]], np.float32)})
    assert given["y"].tolist() == [[11, 12], [23, 24]]
    assert given["total"].reshape(-1).tolist() == [23, 47]


def test_text_is_classified_from_end_to_end(endpoint: Endpoint) -> None:
    answer = client.infer(endpoint, "sentiment", {"TEXT": texts("Good film", "bad")})["SCORES"]
    rows = [[WORDS[w] for w in ("[CLS]", *words, "[SEP]")] for words in (("good", "film"), ("bad",))]
    np.testing.assert_allclose(answer, [EMBEDDING[ids].mean(axis=0) for ids in rows], rtol=1e-5)


def test_texts_of_one_bucket_are_batched(endpoint: Endpoint) -> None:
    def batches() -> int:
        stats = client.statistics(endpoint, "classifier")["batch_stats"]
        return sum(b["compute_infer"]["count"] for b in stats if b["batch_size"] > 1)

    before = batches()
    with ThreadPoolExecutor(6) as pool:
        words = ("good", "bad film", "film", "good", "bad", "bad good")
        list(pool.map(lambda text: client.infer(endpoint, "sentiment", {"TEXT": texts(text)}), words))
    assert batches() > before


def test_a_record_is_scored_from_end_to_end(endpoint: Endpoint) -> None:
    records = [GOOD, GOOD | {"city": "Bern", "age": 40}]
    answer = client.infer(endpoint, "scored", {"RECORD": texts(*map(json.dumps, records))})["SCORE"]
    np.testing.assert_allclose(answer, [[1 + 4 + 8 * 1.5], [2 + 8 * 1.5]], rtol=1e-6)
    with pytest.raises(Exception, match="city is 'Rome'"):
        client.infer(endpoint, "scored", {"RECORD": texts(json.dumps(GOOD | {"city": "Rome"}))})


def test_strings_go_through_a_scikit_learn_graph(endpoint: Endpoint) -> None:
    asked = {"city": texts("Bern", "Rome"), "age": np.array([[20], [50]], np.float32)}
    answer = client.infer(endpoint, "columns", asked)
    label = next(a for a in answer.values() if a.dtype == object)
    assert label.reshape(-1).tolist() == [b"no", b"yes"]


def test_a_rolled_back_version_is_the_one_that_is_served(endpoint: Endpoint) -> None:
    states = {(e["name"], e["version"]): e["state"] for e in client.repository_index(endpoint) if "version" in e}
    assert states["linear", "1"] == "READY" and ("linear", "2") not in states
