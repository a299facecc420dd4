"""Integers without a range: bounds from the tables that they index, and masks that leave something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from toolkit.export.index_bounds import bounds_in_graph, bounds_of_module, needs_bounds, with_bounds
from toolkit.export.samples import random_samples
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
