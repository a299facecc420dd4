"""The dtype table, the `--input` form and seeded tensors."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.errors import UsageError
from toolkit.tensor import DTYPES, Signature, TensorSpec, dtype_from_name, random_tensor, tensor_from_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x:float32:batch,3,224,224", TensorSpec(name="x", dtype="FP32", shape=("batch", 3, 224, 224))),
        (
            "ids:int64:batch,length:0..299",
            TensorSpec(name="ids", dtype="INT64", shape=("batch", "length"), low=0, high=299),
        ),
        ("s:FP16:", TensorSpec(name="s", dtype="FP16", shape=())),
        ("n:int32:batch:-5..5", TensorSpec(name="n", dtype="INT32", shape=("batch",), low=-5, high=5)),
    ],
)
def test_input_text_is_read_and_written_back(text: str, expected: TensorSpec) -> None:
    assert tensor_from_text(text) == expected
    assert tensor_from_text(expected.text()) == expected


@pytest.mark.parametrize(
    "text", ["x", "x:float32", ":float32:1", "x:float99:1", "x:float32:0", "x:float32:-1", "x:int64:1:3"]
)
def test_input_text_that_makes_no_sense_is_refused_with_a_mend(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        tensor_from_text(text)
    assert caught.value.mend


@pytest.mark.parametrize("row", [d for d in DTYPES if d.numpy and d.name != "BYTES"], ids=lambda d: d.name)
def test_the_dtype_table_agrees_with_numpy(row) -> None:
    assert np.dtype(row.numpy).itemsize == row.itemsize
    assert dtype_from_name(row.numpy) == dtype_from_name(row.config) == row


def test_random_tensors_are_seeded_and_stay_in_range() -> None:
    spec = tensor_from_text("ids:int64:batch,length:3..5")
    first = random_tensor(spec, {"batch": 40, "length": 7}, seed=1)
    assert first.shape == (40, 7)
    assert set(np.unique(first)) == {3, 4, 5}
    assert np.array_equal(first, random_tensor(spec, {"batch": 40, "length": 7}, seed=1))
    with pytest.raises(UsageError, match="length"):
        random_tensor(spec, {"batch": 2}, seed=0)


def test_a_signature_batches_only_when_every_tensor_does() -> None:
    rows, whole = tensor_from_text("x:float32:batch,2"), tensor_from_text("y:float32:2")
    assert Signature(inputs=(rows,), outputs=(rows,)).is_batchable
    assert not Signature(inputs=(rows,), outputs=(whole,)).is_batchable
