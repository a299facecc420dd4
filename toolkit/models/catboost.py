"""Load a CatBoost model from its own format (.cbm). Only the export worker calls this.

In: a Source. Out: a TabularModel; ModelRefused for a damaged file and for categorical or text features, which
CatBoost itself cannot write as ONNX.
"""

from __future__ import annotations

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


def load_catboost(source: Source) -> TabularModel:
    """The model of a file, and what it answers for a matrix of features."""
    catboost = require("catboost")
    model = catboost.CatBoost()
    with customer_code(source.path, "catboost", ModelRefused, mend="save it again with model.save_model()"):
        model.load_model(str(source.path))
    if model.get_cat_feature_indices() or model.get_text_feature_indices():
        raise ModelRefused(
            f"{source.path} has categorical or text features, which CatBoost cannot write as ONNX",
            mend="train on encoded columns, with the encoder in a scikit-learn pipeline in front",
        )
    names, classes = tuple(model.feature_names_), np.asarray(model.classes_)
    width, is_classifier = len(names), len(classes) > 0
    ranges = {int(f): (min(b), max(b)) for f, b in model.get_borders().items() if b}

    def answers(inputs: Arrays) -> dict[str, Array]:
        if not is_classifier:
            return predicted(np.asarray(model.predict(inputs[FEATURES])))
        return classified(model.predict(inputs[FEATURES], prediction_type="Probability"), classes)

    leaves = int(model.get_tree_leaf_counts().sum())
    return TabularModel(
        estimator=model,
        columns=matrix(width),
        answers=answers,
        draw=draw_matrix(ranges, width),
        outputs=(LABEL, PROBABILITIES) if is_classifier else (PREDICTION,),
        parts={"trees": int(model.tree_count_), "leaves": leaves},
        parameters=2 * leaves - int(model.tree_count_),
        has_trees=True,
        feature_names=names,
    )
