"""Integers without a range: bounds from the tables that they index, and masks that leave something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from toolkit.export.arrays import read_arrays
from toolkit.export.index_bounds import bounds_in_graph, bounds_of_module, needs_bounds, with_bounds
from toolkit.export.pytorch_export import export_pytorch
from toolkit.export.samples import random_samples
from toolkit.export.spec import SAMPLES_FILE
from toolkit.tensor import tensor_from_text


def graph_of(nodes, **tables):
    weights = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in tables.items()]
    return helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, ("b", 3))], [], weights
    )


@pytest.mark.parametrize(
    ("nodes", "bounds"),
    [
        ([helper.make_node("Gather", ["words", "ids"], ["y"])], {"ids": 99}),
        (
            [
                helper.make_node("Cast", ["ids"], ["whole"], to=TensorProto.INT32),
                helper.make_node("Unsqueeze", ["whole", "axes"], ["more"]),
                helper.make_node("Gather", ["words", "more"], ["y"]),
            ],
            {"ids": 99},
        ),
        (
            [
                helper.make_node("Gather", ["words", "ids"], ["y"]),
                helper.make_node("Gather", ["places", "ids"], ["z"]),
            ],
            {"ids": 6},
        ),
        ([helper.make_node("Gather", ["words", "ids"], ["y"], axis=1)], {}),
        ([helper.make_node("Gather", ["flat", "ids"], ["y"])], {}),
        (
            [
                helper.make_node("Add", ["ids", "offset"], ["moved"]),
                helper.make_node("Gather", ["words", "moved"], ["y"]),
            ],
            {},
        ),
    ],
)
def test_indices_are_followed_to_the_table_in_the_graph(nodes, bounds):
    assert bounds_in_graph(graph_of(nodes, words=(100, 8), places=(7, 8), flat=(5,))) == bounds


class Tables(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = torch.nn.Embedding(100, 4), torch.nn.Embedding(7, 4)
        self.bag = torch.nn.EmbeddingBag(30, 4)

    def forward(self, tokens, places, bags, other):
        columns = self.words(tokens[:, 0]) + self.places(places.long()).sum(1)
        return columns + self.bag(bags) + other.sum(1, keepdim=True)


def test_indices_are_followed_to_the_tables_of_a_module():
    ones = torch.ones(2, 3, dtype=torch.int64)
    inputs = {
        "tokens": ones.clone(),
        "places": torch.tensor([[0, 1], [1, 0]], dtype=torch.int32),
        "bags": ones.clone() * 2,
    }
    inputs["other"] = torch.tensor([[0, 0, 1, 1], [1, 1, 0, 0]])
    module = Tables().eval()
    assert bounds_of_module(lambda: module(**inputs), inputs) == {"tokens": 99, "places": 6, "bags": 29}


def test_a_range_that_was_given_is_kept():
    inputs = (tensor_from_text("ids:int64:batch,3"), tensor_from_text("more:int64:batch:2..4"))
    assert needs_bounds(inputs) and not needs_bounds(inputs[1:])
    assert [t.text() for t in with_bounds(inputs, {"ids": 99, "more": 9})] == [
        "ids:int64:batch,3:0..99",
        "more:int64:batch:2..4",
    ]


@pytest.mark.parametrize("dtype", ["int64", "bool", "int32"])
def test_masks_are_ones_then_zeros(dtype):
    (mask,) = random_samples((tensor_from_text(f"attention_mask:{dtype}:batch,length"),), 20, 0).values()
    assert mask.dtype == np.dtype(dtype) and mask.shape == (20, 64)
    assert mask[:, 0].all() and not mask.all() and (np.diff(mask.astype(int), axis=1) <= 0).all()
    (given,) = random_samples((tensor_from_text("mask:int64:batch,length:0..9"),), 20, 0).values()
    assert given.max() == 9


def test_an_export_without_a_range_tries_the_whole_table(model_py, request_for, tmp_path):
    """The fault is in rows that zeros and ones never reach."""
    path = model_py()
    path.write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.words = torch.nn.Embedding(300, 4)\n"
        "    def forward(self, tokens): return self.words(tokens).sum(1)\n"
        "def load_model(): return Net()\n"
    )
    (tmp_path / "out").mkdir()
    request = request_for(path, inputs=(tensor_from_text("tokens:int64:batch,7"),), sample_count=40)
    (tokens,) = export_pytorch(request, tmp_path / "out", lambda phase: None)
    assert (tokens.low, tokens.high) == (0, 299)
    assert read_arrays(tmp_path / "out" / SAMPLES_FILE)["tokens"].max() > 250
