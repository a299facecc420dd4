"""Load a scikit-learn estimator or a whole pipeline. Only the export worker calls this.

In: a Source, skops or a trusted pickle. Out: a TabularModel; its inputs are the columns of the pipeline, each with the
dtype that its transformers were fitted on, or one matrix. A missing text is the empty string, a missing number is NaN.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.extras import require
from toolkit.models.code import customer_code
from toolkit.models.sklearn_columns import ColumnFacts, column_facts, draw_columns, frame_of
from toolkit.models.source import Source
from toolkit.models.tabular import (
    FEATURES,
    LABEL,
    PREDICTION,
    PROBABILITIES,
    Array,
    Arrays,
    TabularModel,
    draw_matrix,
    matrix,
    predicted,
)
from toolkit.tensor import TensorSpec

TRANSFORMED = "transformed"
#: Beside what skops trusts: compiled or private classes of these libraries that hold numbers and run nothing.
_TRUSTED_TYPES = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
_TRUSTED_MODULES = ("sklearn._loss.", "sklearn.metrics._dist_metrics.", "sklearn.neighbors._", "sklearn.tree._tree.")


def load_sklearn(source: Source) -> TabularModel:
    """The fitted estimator of a file. Raises ModelRefused for untrusted types, unfitted and foreign objects."""
    estimator = _from_skops(source) if source.framework == "skops" else _from_pickle(source)
    if not hasattr(estimator, "get_params") or not _can_answer(estimator):
        raise ModelRefused(
            f"{source.path} holds a {type(estimator).__module__}.{type(estimator).__name__}, no fitted scikit-learn"
            " estimator",
            mend="save the fitted pipeline itself; a torch.nn.Module is saved with torch.save, as .pt",
        )
    facts = column_facts(estimator)
    outputs = _outputs(estimator)
    parts = Counter(type(part).__name__ for part in parts_of(estimator))
    return TabularModel(
        estimator=estimator,
        columns=tuple(f.spec for f in facts) or _matrix_of(estimator, str(source.path)),
        answers=lambda inputs: _answers(estimator, facts, outputs, inputs),
        draw=draw_columns(facts)
        if facts
        else draw_matrix(_ranges(estimator), _width(estimator), missing=_takes_missing(estimator)),
        outputs=outputs,
        parts=dict(parts.most_common()),
        parameters=sum(_numbers_in(part) for part in parts_of(estimator)),
        has_trees=any(_is_tree(part) for part in parts_of(estimator)),
        feature_names=tuple(str(name) for name in getattr(estimator, "feature_names_in_", ())),
    )


def parts_of(value: Any) -> Iterator[Any]:
    """A fitted estimator and all fitted estimators inside it."""
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, list | tuple) or (isinstance(part, np.ndarray) and part.dtype == object):
            waiting += list(np.ravel(part)) if isinstance(part, np.ndarray) else part
        elif hasattr(part, "get_params"):
            # `estimator_` is the template that the members of an ensemble were cloned from.
            fitted = {n: v for n, v in vars(part).items() if (n.endswith("_") and n != "estimator_") or n == "steps"}
            yield part
            waiting += fitted.values()


def _from_skops(source: Source) -> Any:
    io = require("skops.io")
    with customer_code(source.path, "skops", ModelRefused, mend="save it again with skops.io.dump"):
        named = io.get_untrusted_types(file=source.path)
    unknown = [n for n in named if n not in _TRUSTED_TYPES and not n.startswith(_TRUSTED_MODULES)]
    if unknown and not source.trusted:
        raise ModelRefused(
            f"{source.path} holds objects of {', '.join(unknown[:3])}, which are code beyond scikit-learn",
            mend="if you trust where it came from, add --trust",
        )
    with customer_code(source.path, "skops", ModelRefused, mend="load it with the versions that it was saved with"):
        return io.load(source.path, trusted=named)


def _from_pickle(source: Source) -> Any:
    joblib = require("joblib")
    sys.path.insert(0, str(source.path.parent.resolve()))
    mend = "load it with the versions that it was saved with"
    with customer_code(source.path, "unpickling it", ModelRefused, mend=mend):
        return joblib.load(source.path)


def _can_answer(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return hasattr(estimator, "predict") or hasattr(estimator, "transform")


def _outputs(estimator: Any) -> tuple[str, ...]:
    from sklearn.base import is_regressor

    if hasattr(estimator, "predict_proba"):
        return LABEL, PROBABILITIES
    if hasattr(estimator, "predict"):
        return (PREDICTION,) if is_regressor(estimator) else (LABEL,)
    return (TRANSFORMED,)


def _answers(
    estimator: Any, facts: tuple[ColumnFacts, ...], outputs: tuple[str, ...], inputs: Arrays
) -> dict[str, Array]:
    rows = frame_of(facts, inputs) if facts else inputs[FEATURES]
    if outputs == (PREDICTION,):
        return predicted(np.asarray(estimator.predict(rows)))
    if outputs == (TRANSFORMED,):
        made = estimator.transform(rows)
        return {TRANSFORMED: np.asarray(made.todense() if hasattr(made, "todense") else made, dtype=np.float32)}
    found = {LABEL: np.asarray(estimator.predict(rows))}
    if PROBABILITIES in outputs:
        found[PROBABILITIES] = np.asarray(estimator.predict_proba(rows), dtype=np.float32)
    return found


def _width(estimator: Any) -> int:
    return int(estimator.n_features_in_)


def _matrix_of(estimator: Any, where: str) -> tuple[TensorSpec, ...]:
    if not hasattr(estimator, "n_features_in_"):
        raise ModelRefused(
            f"{where}: it is not known how many features a {type(estimator).__name__} takes",
            mend="fit it as part of a pipeline whose first step takes a DataFrame or a matrix",
        )
    return matrix(_width(estimator))


def _is_tree(part: Any) -> bool:
    libraries = ("sklearn.tree", "xgboost", "lightgbm", "catboost")
    return type(part).__module__.startswith(libraries) or hasattr(part, "tree_") or hasattr(part, "_predictors")


def _draw(estimator: Any) -> Callable[..., dict[str, Array]]:
    return draw_matrix(_ranges(estimator), _width(estimator), missing=_takes_missing(estimator))


def _takes_missing(estimator: Any) -> bool:
    """Whether a row of missing values is answered; forests and imputers do so, most others raise."""
    row = np.full((1, _width(estimator)), np.nan, dtype=np.float32)
    try:
        getattr(estimator, "predict" if hasattr(estimator, "predict") else "transform")(row)
    except ValueError:
        return False
    return True


def _ranges(estimator: Any) -> dict[int, tuple[float, float]]:
    """Where the features of a matrix lie, by the first scaler if there is one, else by the trees' thresholds."""
    for part in parts_of(estimator):
        if hasattr(part, "scale_") and hasattr(part, "mean_") and part.mean_ is not None and part.scale_ is not None:
            return {
                i: (float(m - 2 * s), float(m + 2 * s))
                for i, (m, s) in enumerate(zip(part.mean_, part.scale_, strict=True))
            }
    found: dict[int, list[float]] = {}
    for tree in (part.tree_ for part in parts_of(estimator) if hasattr(part, "tree_")):
        for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
            if feature >= 0 and np.isfinite(threshold):
                found.setdefault(int(feature), []).append(float(threshold))
    return {feature: (min(values), max(values)) for feature, values in found.items()}


def _numbers_in(part: Any) -> int:
    """How many learned numbers an estimator holds itself: its fitted arrays, and the nodes of its trees."""
    arrays = [v for n, v in vars(part).items() if n.endswith("_") and isinstance(v, np.ndarray) and v.dtype != object]
    nodes = int(part.tree_.node_count) if hasattr(part, "tree_") else 0
    return sum(array.size for array in arrays) + nodes
