"""Load a LightGBM model from its own text format. Only the export worker calls this.

In: a Source. Out: a TabularModel; ModelRefused for a damaged file and for categorical splits, which ONNX lacks.
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


def load_lightgbm(source: Source) -> TabularModel:
    """The booster of a file, and what it answers for a matrix of features, NaN where a value is missing."""
    lightgbm = require("lightgbm")
    with customer_code(source.path, "lightgbm", ModelRefused, mend="save it again with Booster.save_model()"):
        booster = lightgbm.Booster(model_file=str(source.path))
        described = booster.dump_model()
    trees = described["tree_info"]
    if any(tree["num_cat"] for tree in trees):
        raise ModelRefused(
            f"{source.path} splits on categories, which ONNX trees cannot",
            mend="train on one-hot or ordinal columns, encoded by the pipeline in front",
        )
    width, objective = booster.num_feature(), str(described.get("objective", "")).split(" ")[0]
    is_classifier = objective in ("binary", "multiclass", "multiclassova", "cross_entropy")
    found = [described["feature_infos"].get(name) for name in described["feature_names"]]
    ranges = {i: (float(f["min_value"]), float(f["max_value"])) for i, f in enumerate(found) if f}
    classes = np.arange(max(2, int(described["num_class"])))

    def answers(inputs: Arrays) -> dict[str, Array]:
        scores = booster.predict(inputs[FEATURES])
        return classified(scores, classes) if is_classifier else predicted(scores)

    leaves = sum(int(tree["num_leaves"]) for tree in trees)
    return TabularModel(
        estimator=booster,
        columns=matrix(width),
        answers=answers,
        draw=draw_matrix(ranges, width, missing=True),
        outputs=(LABEL, PROBABILITIES) if is_classifier else (PREDICTION,),
        parts={"trees": len(trees), "leaves": leaves},
        parameters=2 * leaves - len(trees),
        has_trees=True,
        feature_names=tuple(described["feature_names"]),
    )
