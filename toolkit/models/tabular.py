"""A loaded tabular model: what the loaders of scikit-learn, XGBoost, LightGBM and CatBoost all return.

It holds functions of the customer's own library, so it lives in the export worker only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from toolkit.tensor import BATCH, TensorSpec

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]

#: The input of a model that takes one matrix, and the names of what models answer.
FEATURES, LABEL, PROBABILITIES, PREDICTION = "features", "label", "probabilities", "prediction"
_MISSING_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TabularModel:
    """`estimator` is the library's own object; `columns` are inputs of one value per row, or one matrix of features.

    `answers` is the original's answer by output name, one row per row. `draw(random, rows)` makes rows in the ranges
    that the model itself knows: thresholds, categories, means. `parts` counts what it is made of, `parameters` its
    learned numbers. `feature_names` are those of a matrix, where they are known.
    """

    estimator: Any
    columns: tuple[TensorSpec, ...]
    answers: Callable[[Arrays], dict[str, Array]]
    draw: Callable[[np.random.Generator, int], dict[str, Array]]
    outputs: tuple[str, ...]
    parts: dict[str, int]
    parameters: int
    has_trees: bool
    feature_names: tuple[str, ...] = ()


def matrix(width: int) -> tuple[TensorSpec, ...]:
    """The only input of a model that takes a matrix of `width` float32 features."""
    return (TensorSpec(name=FEATURES, dtype="FP32", shape=(BATCH, width)),)


def draw_matrix(
    ranges: Mapping[int, tuple[float, float]], width: int, *, missing: bool = False
) -> Callable[..., dict[str, Array]]:
    """`draw` for a matrix: uniform over somewhat more than a feature's thresholds, standard normal without any.

    `missing`: every tenth value is NaN, for a model that was made for it.
    """

    def draw(random: np.random.Generator, rows: int) -> dict[str, Array]:
        made = random.standard_normal((rows, width)).astype(np.float32)
        for feature, (low, high) in ranges.items():
            margin = 0.1 * (high - low) or 1.0
            made[:, feature] = random.uniform(low - margin, high + margin, rows)
        if missing:
            made[random.random(made.shape) < _MISSING_SHARE] = np.nan
        return {FEATURES: made}

    return draw


def classified(probabilities: Array, classes: Array) -> dict[str, Array]:
    """Label [n] and probabilities [n, classes] from probabilities [n] of the second class, or [n, classes]."""
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    return {LABEL: classes[probabilities.argmax(axis=1)], PROBABILITIES: probabilities.astype(np.float32)}


def predicted(values: Array) -> dict[str, Array]:
    """Predictions [n, targets] from [n] or [n, targets]."""
    return {PREDICTION: values.reshape(len(values), -1).astype(np.float32)}
