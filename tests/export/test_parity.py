from __future__ import annotations

import pickle
import re

import numpy as np
import pytest

from toolkit.export.difference import TOLERANCES, default_tolerance
from toolkit.export.parity import ParityResult, Tolerance, compare, join_rows, top1, worst_of
from toolkit.records import from_data, to_data

NAN, INF = float("nan"), float("inf")


def f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(len(values), 1)


@pytest.mark.parametrize(
    ("reference", "answers", "mismatches"),
    [
        ((1.0, 2.0), (1.0, 2.0), 0),
        ((1.0, 2.0), (1.0005, 2.001), 0),
        ((1.0, 2.0), (1.0, 2.01), 1),
        ((0.0, 1.0), (5e-5, 1.0), 0),
        ((0.0, 1.0), (5e-4, 1.0), 1),
        ((0.0, 0.0), (0.0, 0.0), 0),
        ((0.0, 0.0), (1.0, 0.0), 1),
        ((1e-5, 2e-5), (2e-5, 1e-5), 2),
        ((NAN, 1.0), (NAN, 1.0), 0),
        ((NAN, 1.0), (0.0, 1.0), 1),
        ((1.0, 1.0), (NAN, 1.0), 1),
        ((INF, -INF, 1.0), (INF, -INF, 1.0), 0),
        ((INF, -INF, 1.0), (INF, INF, 1.0), 1),
        ((1.0, 1.0), (INF, 1.0), 1),
        ((-3e38, 3e38), (3e38, -3e38), 2),
    ],
)
def test_floats_by_the_table(reference, answers, mismatches):
    result = compare({"y": f32(*reference)}, {"y": f32(*answers)})
    assert (result.outputs[0].mismatches, result.passed) == (mismatches, mismatches == 0)
    assert from_data(ParityResult, to_data(result), "parity") == result


def test_figures_are_those_of_the_definition():
    output = compare({"y": f32(0.0, 2.0, -4.0)}, {"y": f32(0.5, 2.0, -5.0)}).outputs[0]
    assert (output.max_absolute, output.max_relative, output.worst_sample) == (1.0, 0.25, 2)
    assert output.cosine == pytest.approx((4 + 20) / np.sqrt(20 * 29.25))


def test_a_reference_without_a_finite_element_proves_nothing():
    result = compare({"y": f32(NAN, NAN)}, {"y": f32(NAN, NAN)})
    assert not result.passed and "nothing is proven" in result.reason


def test_nothing_compared_is_not_passed():
    assert (
        "nothing was compared"
        in compare({"y": np.zeros((0, 3), np.float32)}, {"y": np.zeros((0, 3), np.float32)}).reason
    )
    assert not compare({}, {}).passed


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_integers_are_compared_exactly(dtype):
    reference, answers = np.array([[0], [1], [1]], dtype), np.array([[0], [0], [1]], dtype)
    output = compare({"y": reference}, {"y": answers}, Tolerance(absolute=9, relative=9)).outputs[0]
    assert (output.mismatches, output.worst_sample, output.max_absolute) == (1, 1, 1.0)
    assert compare({"y": reference}, {"y": reference}).passed


def test_large_integers_are_not_rounded():
    big = np.array([[2**62]])
    assert compare({"y": big}, {"y": big + 1}).outputs[0].mismatches == 1


def test_text_is_compared_exactly_whatever_its_numpy_form():
    reference = np.array([["cat"], ["dog"]], dtype=object)
    assert compare({"y": reference}, {"y": np.array([[b"cat"], [b"dog"]])}).passed
    output = compare({"y": reference}, {"y": np.array([[b"cat"], [b"dot"]])}).outputs[0]
    assert (output.mismatches, output.worst_sample, output.cosine) == (1, 1, 0.0)


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "missing from the answers"),
        ({"y": np.zeros((2, 4), np.float32)}, r"answered with shape \(2, 4\), expected \(2, 3\)"),
        ({"y": np.zeros((6, 1), np.float32)}, "answered with shape"),
        ({"y": np.zeros((2, 3), np.int64)}, "answered with dtype INT64, expected FP32"),
        ({"y": np.ones((2, 3), np.float32), "z": np.zeros(2)}, "'z' is not in the reference"),
    ],
)
def test_shape_problems_are_results(answers, problem):
    result = compare({"y": np.ones((2, 3), np.float32)}, answers)
    assert not result.passed
    assert re.search(problem, result.reason)


def test_swapped_outputs_fail():
    a, b = f32(1, 2, 3), f32(3, 2, 1)
    assert compare({"a": a, "b": b}, {"a": a, "b": b}).passed
    result = compare({"a": a, "b": b}, {"a": b, "b": a})
    assert [o.mismatches for o in result.outputs] == [2, 2]


def test_the_coarser_dtype_sets_the_tolerance_and_small_references_tighten_it():
    ones = f32(1.0)
    assert default_tolerance(ones, ones.astype(np.float16)) == TOLERANCES["FP16"]
    assert default_tolerance(ones * 100, ones) == TOLERANCES["FP32"]
    assert default_tolerance(ones * 0, ones) == TOLERANCES["FP32"]
    assert default_tolerance(ones / 2, ones).absolute == pytest.approx(TOLERANCES["FP32"].absolute / 2)


def test_rows_are_joined_in_order():
    parts = [{"y": f32(1, 2)}, {"y": f32(3)}]
    joined, problems = join_rows(parts, (2, 1))
    assert not problems
    np.testing.assert_array_equal(joined["y"], f32(1, 2, 3))


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ({"y": f32(3, 4)}, "(2, 1) for 1 rows"),
        ({"y": np.zeros((1, 2), np.float32)}, "(1, 2) for 1 rows"),
        ({"y": np.float32(1)}, "() for 1 rows"),
        ({}, "missing from some answers"),
    ],
)
def test_groups_that_do_not_fit_are_problems(second, problem):
    joined, problems = join_rows([{"y": f32(1, 2)}, second], (2, 1))
    assert not joined and problem in problems["y"]
    assert problem in compare({"y": f32(1, 2, 3)}, joined, problems=problems).reason


def test_worst_of_names_the_batch_size():
    good = compare({"y": f32(1, 2)}, {"y": f32(1, 2)})
    bad = compare({"y": f32(1, 2)}, {"y": f32(1, 3)})
    result = worst_of({1: good, 2: bad, 8: good})
    assert not result.passed and result.reason.startswith("batch 2: output 'y'")
    assert (result.outputs[0].batch_size, result.outputs[0].elements, result.outputs[0].mismatches) == (2, 6, 1)
    assert worst_of({1: good, 8: good}).passed
    assert worst_of({1: good, 8: good}).batch_sizes == (1, 8)


def test_top1_counts_and_a_drop_fails():
    labels = np.array([0, 1, 2, 2])
    reference = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    near = reference + np.float32(1e-6)
    assert top1({"y": reference}, labels) == 0.75
    same = compare({"y": reference}, {"y": near}, task=top1, labels=labels)
    assert same.passed and same.task and (same.task.reference, same.task.disagreements) == (0.75, 0)
    other = np.eye(3, dtype=np.float32)[[0, 1, 1, 0]]
    loose = Tolerance(absolute=2, relative=0)
    worse = compare({"y": reference}, {"y": other}, loose, task=top1, labels=labels)
    assert worse.task and (worse.task.answers, worse.task.disagreements) == (0.5, 2)
    assert not worse.passed and worse.reason == "top1 fell from 0.7500 to 0.5000"
    assert compare({"y": other}, {"y": reference}, loose, task=top1, labels=labels).passed


def test_a_task_metric_can_be_sent_to_another_process():
    assert pickle.loads(pickle.dumps(top1)) == top1


@pytest.mark.parametrize("answered", [[3, 1], [b"yes", b"no"], ["yes", "no"]])
def test_a_model_that_answers_labels_is_judged_by_them(answered):
    outputs = {"label": np.array(answered), "probabilities": np.zeros((2, 4))}
    labels = np.array([3, 2] if answered[0] == 3 else ["yes", "yes"])
    assert top1(outputs, labels) == 0.5
