from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toolkit.errors import ConfigurationError, EnvironmentProblem, ExportFailed, UsageError
from toolkit.export.arrays import read_arrays, write_arrays
from toolkit.export.samples import AXIS_LENGTH, Arguments, input_specs, samples_for
from toolkit.export.spec import ExportSpec
from toolkit.tensor import tensor_from_text

X_AND_MASK = Arguments(accepted=("x", "mask"), required=("x",))


def test_arrays_survive_the_file_and_its_bytes_are_the_same_each_time(tmp_path):
    arrays = {
        "input.a/b": np.arange(6).reshape(2, 3),
        "text": np.array([["cat"], [b"d\x00g"]], dtype=object),
        "none": np.zeros((0, 2), np.float16),
    }
    write_arrays(tmp_path / "a.npz", arrays)
    write_arrays(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    found = read_arrays(tmp_path / "a.npz")
    assert found["text"].tolist() == [[b"cat"], [b"d\x00g"]]
    np.testing.assert_array_equal(found["input.a/b"], arrays["input.a/b"])
    assert found["none"].dtype == np.float16


def test_a_pickle_in_an_npz_is_not_opened(tmp_path):
    np.savez(tmp_path / "evil.npz", x=np.array([print], dtype=object))
    with pytest.raises(ConfigurationError, match=r"evil\.npz cannot be read"):
        read_arrays(tmp_path / "evil.npz")


def test_a_full_disk_is_a_problem_of_the_environment():
    with pytest.raises(EnvironmentProblem, match="No space left") as caught:
        write_arrays(Path("/dev/full"), {"x": np.zeros(100_000)})
    assert "free some disk space" in caught.value.mend


def test_random_samples_follow_the_declared_inputs():
    declared = (tensor_from_text("x:float32:batch,length"), tensor_from_text("mask:int64:batch,length:5..9"))
    spec = ExportSpec(inputs=declared, sample_count=6)
    first, second = (samples_for(spec, declared, X_AND_MASK, None) for _ in range(2))
    assert {name: a.shape for name, a in first.items()} == {"x": (6, AXIS_LENGTH), "mask": (6, AXIS_LENGTH)}
    assert first["mask"].min() >= 5 and first["mask"].max() <= 9
    np.testing.assert_array_equal(first["x"], second["x"])


def test_sources_in_order_of_precedence(tmp_path):
    rows = np.full((3, 2), 7, np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", x=rows)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "x.npy", rows)
    only_x = Arguments(accepted=("x",), required=("x",))
    for samples in ("rows.npy", "rows.npz", "folder"):
        found = samples_for(ExportSpec(samples=tmp_path / samples), (), only_x, lambda: {"x": rows * 0})
        np.testing.assert_array_equal(found["x"], rows)
    assert samples_for(ExportSpec(sample_count=2), (), only_x, lambda: {"x": rows * 0})["x"].shape == (2, 2)


def test_inputs_come_in_the_order_of_the_model():
    offered = {"mask": np.zeros((1, 2), np.int64), "x": np.zeros((1, 2), np.float32)}
    assert list(samples_for(ExportSpec(), (), X_AND_MASK, lambda: offered)) == ["x", "mask"]


@pytest.mark.parametrize(
    ("offered", "message", "mend"),
    [
        ({"image": np.zeros((2, 2))}, "an input 'image' that the model does not take; it takes: x, mask", "x, mask"),
        ({"x": np.zeros(2), "maks": np.zeros(2)}, "'maks'", "rename it to 'mask'"),
        ({"mask": np.zeros((2, 2))}, "lacks the input 'x'", "add it"),
        ({"x": np.zeros(2), "mask": np.zeros(3)}, "same number of rows, at least one; found x 2, mask 3", ""),
        ({"x": np.zeros((0, 3))}, "at least one; found x 0", ""),
        ({"x": np.array(1.0)}, "found x 0", ""),
        ({"x": [1, 2]}, "expected numpy arrays by input name", "return"),
        ([np.zeros(2)], "gave a list; expected numpy arrays", "return"),
        ({}, "expected numpy arrays", "return"),
        ({"x": np.zeros(2, np.complex64)}, "input 'x': 'complex64' is not a tensor dtype", "float32"),
    ],
)
def test_samples_that_do_not_fit_are_refused(offered, message, mend):
    with pytest.raises(ExportFailed, match=message) as caught:
        samples_for(ExportSpec(), (), X_AND_MASK, lambda: offered)
    assert mend in caught.value.mend


@pytest.mark.parametrize("text", ["x:float32:batch,3", "x:int64:batch,2", "x:float32:batch"])
def test_samples_must_fit_the_declaration(text):
    declared = (tensor_from_text(text),)
    with pytest.raises(ExportFailed, match=r"input 'x' is FP32 \[4, 2\]; expected " + text):
        samples_for(ExportSpec(), declared, X_AND_MASK, lambda: {"x": np.zeros((4, 2), np.float32)})


def test_nothing_known_about_the_inputs():
    with pytest.raises(ExportFailed, match="the model takes: x, mask") as caught:
        samples_for(ExportSpec(), (), X_AND_MASK, None)
    assert "sample_inputs(seed, n)" in caught.value.mend


@pytest.mark.parametrize("name", ["absent.npy", "damaged.npy", "rows.csv"])
def test_sample_files_that_cannot_be_used(tmp_path, name):
    (tmp_path / "damaged.npy").write_bytes(b"\x93NUMPY")
    only_x = Arguments(accepted=("x",), required=("x",))
    with pytest.raises(UsageError, match=name):
        samples_for(ExportSpec(samples=tmp_path / name), (), only_x, None)


def test_one_array_for_a_model_of_two_inputs(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(2))
    both = Arguments(accepted=("x", "mask"), required=("x", "mask"))
    with pytest.raises(UsageError, match="the model takes 2: x, mask"):
        samples_for(ExportSpec(samples=tmp_path / "x.npy"), (), both, None)


def test_specs_learn_the_range_of_integers():
    rows = {"ids": np.array([[3, 8]]), "x": np.zeros((1, 2), np.float32)}
    ids, x = input_specs(rows, (tensor_from_text("x:float32:batch,length"),))
    assert (ids.text(), x.text()) == ("ids:int64:batch,2:3..8", "x:float32:batch,length")


@pytest.mark.parametrize("wrong", [{"sample_count": 0}, {"batch_sizes": ()}, {"batch_sizes": (0,)}])
def test_specs_that_make_no_sense(wrong):
    with pytest.raises(UsageError):
        ExportSpec(**wrong)
