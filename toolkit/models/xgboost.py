"""Load an XGBoost model from its own format (.json, .ubj). Only the export worker calls this.

In: a Source. Out: a TabularModel; ModelRefused for a damaged file and for an objective whose answers are unknown here.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.extras import require
from toolkit.models.code import customer_code
from toolkit.models.source import Source
from toolkit.models.tabular import (
    FEATURES,
    LABEL,
    PREDICTION,
    PROBABILITIES,
    Array,
    Arrays,
    TabularModel,
    classified,
    draw_matrix,
    matrix,
    predicted,
)

_CLASSIFIERS = ("binary:logistic", "multi:softprob", "multi:softmax")
_WITHOUT_ANSWER = ("binary:hinge", "binary:logitraw")


def load_xgboost(source: Source) -> TabularModel:
    """The booster of a file, and what it answers for a matrix of features, NaN where a value is missing."""
    xgboost = require("xgboost")
    booster = xgboost.Booster()
    with customer_code(source.path, "xgboost", ModelRefused, mend="save it again with Booster.save_model()"):
        booster.load_model(source.path)
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    if objective in _WITHOUT_ANSWER:
        raise ModelRefused(f"{source.path}: the objective {objective} has no converter", mend="use binary:logistic")
    width, names = int(booster.num_features()), tuple(booster.feature_names or ())
    trees = [json.loads(text) for text in booster.get_dump(dump_format="json")]
    ranges, leaves = _ranges(trees, names)
    is_classifier = objective in _CLASSIFIERS

    def answers(inputs: Arrays) -> dict[str, Array]:
        rows = xgboost.DMatrix(inputs[FEATURES], feature_names=list(names) or None)
        if not is_classifier:
            return predicted(booster.predict(rows))
        scores = booster.predict(rows, output_margin=objective == "multi:softmax")
        if objective == "multi:softmax":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores = powers / powers.sum(axis=1, keepdims=True)
        return classified(scores, np.arange(max(2, scores.shape[-1] if scores.ndim > 1 else 2)))

    return TabularModel(
        estimator=booster,
        columns=matrix(width),
        answers=answers,
        draw=draw_matrix(ranges, width, missing=True),
        outputs=(LABEL, PROBABILITIES) if is_classifier else (PREDICTION,),
        parts={"trees": len(trees), "leaves": leaves},
        parameters=2 * leaves - len(trees),
        has_trees=True,
        feature_names=names,
    )


def _ranges(trees: list[Any], names: tuple[str, ...]) -> tuple[dict[int, tuple[float, float]], int]:
    """The lowest and highest threshold of each feature, and the number of leaves."""
    thresholds: dict[int, list[float]] = {}
    leaves, waiting = 0, list(trees)
    while waiting:
        node = waiting.pop()
        leaves += "leaf" in node
        waiting += node.get("children", ())
        if isinstance(node.get("split_condition"), int | float):
            split = str(node["split"])
            index = names.index(split) if split in names else int(split.removeprefix("f"))
            thresholds.setdefault(index, []).append(float(node["split_condition"]))
    return {feature: (min(found), max(found)) for feature, found in thresholds.items()}, leaves
