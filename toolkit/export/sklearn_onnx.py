"""scikit-learn to ONNX with skl2onnx, and what it gets wrong put right. Only the export worker calls this.

In: a TabularModel of scikit-learn. Out: an `onnx.ModelProto`. Put right here:
- scalers compute what scikit-learn computes on float32, rounding for rounding: skl2onnx multiplies by a reciprocal,
  which lands on the other side of the thresholds of trees behind it;
- missing texts, which are empty in a tensor and NaN in a DataFrame;
- missing numbers in decision trees, whose branch skl2onnx leaves out;
- XGBoost and LightGBM as the last step, and probabilities as a tensor instead of a list of maps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed
from toolkit.extras import require
from toolkit.models.sklearn import parts_of
from toolkit.models.tabular import PROBABILITIES, TabularModel

_FLOAT, _DOUBLE = 1, 11
_TREE_NODES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")


def sklearn_to_onnx(model: TabularModel, opset: int, opset_ml: int) -> Any:
    """Convert the estimator. Raises ExportFailed naming the step that has no converter."""
    skl2onnx = require("skl2onnx")
    estimator = copy.deepcopy(model.estimator)
    _check_convertible(estimator)
    for part in parts_of(estimator):
        _empty_is_missing(part)
    _register_boosting(estimator)
    scalers = _exact_scalers()
    try:
        made = skl2onnx.convert_sklearn(
            estimator,
            initial_types=[(t.name, _type_of(t)) for t in model.columns],
            target_opset={"": opset, "ai.onnx.ml": opset_ml},
            options={id(estimator): {"zipmap": False}} if PROBABILITIES in model.outputs else None,
            custom_conversion_functions={kind: convert for kind, (convert, _) in scalers.items()},
            custom_shape_calculators={kind: shape for kind, (_, shape) in scalers.items()},
        )
    except (NotImplementedError, RuntimeError, NameError, TypeError, ValueError, KeyError, AttributeError) as err:
        reason = next((line for line in str(err).strip().splitlines() if line.strip()), "")
        raise ExportFailed(
            f"skl2onnx {skl2onnx.__version__} cannot convert it: {type(err).__name__}: {reason}",
            mend="replace the step by one that skl2onnx has a converter for, or serve it as a python-backend step",
        ) from err
    _route_missing_numbers(made, estimator)
    return made


def _check_convertible(estimator: Any) -> None:
    for part in parts_of(estimator):
        categorical = getattr(part, "is_categorical_", None)
        if categorical is not None and np.any(categorical):
            raise ExportFailed(
                f"{type(part).__name__} splits on categories (categorical_features), and skl2onnx writes such splits"
                " as thresholds: the answers would be wrong",
                mend="encode them in front with a OneHotEncoder, and leave categorical_features out",
            )


def _type_of(tensor: Any) -> Any:
    types = require("skl2onnx.common.data_types")
    kinds = {"FP32": types.FloatTensorType, "INT64": types.Int64TensorType, "BYTES": types.StringTensorType}
    return kinds[tensor.dtype]([None, *tensor.shape[1:]])


def _empty_is_missing(part: Any) -> None:
    """Where a fitted imputer or encoder of texts knows NaN, let it know the empty text instead."""
    statistics = getattr(part, "statistics_", None)
    if statistics is not None and any(isinstance(value, str) for value in statistics):
        part.missing_values = ""
    if getattr(part, "categories_", None) is None:
        return
    for index, categories in enumerate(part.categories_):
        if categories.dtype == object and any(isinstance(value, str) for value in categories):
            texts = ["" if value is None or value != value else value for value in categories]
            part.categories_[index] = np.array(texts, dtype=object)


def _register_boosting(estimator: Any) -> None:
    """Tell skl2onnx of XGBoost's and LightGBM's own converters, for those that the pipeline ends with."""
    modules = {type(part).__module__.split(".")[0] for part in parts_of(estimator)}
    if not modules & {"xgboost", "lightgbm"}:
        return
    register = require("skl2onnx").update_registered_converter
    shapes = require("skl2onnx.common.shape_calculator")
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    converters = {
        "XGB": ("xgboost", "onnxmltools.convert.xgboost.operator_converters.XGBoost", "convert_xgboost"),
        "LGBM": ("lightgbm", "onnxmltools.convert.lightgbm.operator_converters.LightGbm", "convert_lightgbm"),
    }
    for prefix, (library, module, function) in converters.items():
        if library in modules:
            convert = getattr(require(module), function)
            classifier, regressor = (
                getattr(require(library), f"{prefix}{kind}") for kind in ("Classifier", "Regressor")
            )
            shape = shapes.calculate_linear_classifier_output_shapes
            register(classifier, f"Toolkit{prefix}Classifier", shape, convert, options=options)
            shape = shapes.calculate_linear_regressor_output_shapes
            register(regressor, f"Toolkit{prefix}Regressor", shape, convert)


# --- scalers, rounding for rounding -----------------------------------------------------------------------------------


def _exact_scalers() -> dict[Any, tuple[Callable[..., None], Callable[..., None]]]:
    """For each scaler its conversion and shape function.

    What scikit-learn 1.9 computes for float32 rows, found by comparing bits: StandardScaler casts its mean and scale to
    float32; RobustScaler and MinMaxScaler compute in double and round to float32 after each of the two operations.
    """
    preprocessing = require("sklearn.preprocessing")
    return {
        preprocessing.StandardScaler: (_convert_standard, _shape_as_input),
        preprocessing.RobustScaler: (_convert_robust, _shape_as_input),
        preprocessing.MinMaxScaler: (_convert_minmax, _shape_as_input),
    }


def _shape_as_input(operator: Any) -> None:
    types = require("skl2onnx.common.data_types")
    width = sum(variable.type.shape[1] or 0 for variable in operator.inputs)
    operator.outputs[0].type = types.FloatTensorType([operator.inputs[0].get_first_dimension(), width or None])


def _convert_standard(scope: Any, operator: Any, container: Any) -> None:
    raw = operator.raw_operator
    steps = [("Sub", raw.mean_)] if raw.with_mean and raw.mean_ is not None else []
    steps += [("Div", raw.scale_)] if raw.with_std and raw.scale_ is not None else []
    _write_steps(scope, operator, container, steps, in_double=False)


def _convert_robust(scope: Any, operator: Any, container: Any) -> None:
    raw = operator.raw_operator
    steps = [("Sub", raw.center_)] if raw.with_centering else []
    steps += [("Div", raw.scale_)] if raw.with_scaling else []
    _write_steps(scope, operator, container, steps, in_double=True)


def _convert_minmax(scope: Any, operator: Any, container: Any) -> None:
    raw = operator.raw_operator
    steps = [("Mul", raw.scale_), ("Add", raw.min_)]
    if raw.clip:
        steps += [("Max", np.full(1, raw.feature_range[0])), ("Min", np.full(1, raw.feature_range[1]))]
    _write_steps(scope, operator, container, steps, in_double=True)


def _write_steps(scope: Any, operator: Any, container: Any, steps: list[tuple[str, Any]], *, in_double: bool) -> None:
    """One node per step over float32; integers, which scikit-learn scales in double, are rounded once, at the end."""
    types = require("skl2onnx.common.data_types")
    concatenate = require("skl2onnx.operator_converters.common").concatenate_variables
    several = len(operator.inputs) > 1
    value = concatenate(scope, operator.inputs, container) if several else operator.inputs[0].full_name
    whole = not isinstance(operator.inputs[0].type, types.FloatTensorType)
    kind, numpy_kind = (_DOUBLE, np.float64) if in_double or whole else (_FLOAT, np.float32)

    def add(op_type: str, inputs: list[str], **attributes: Any) -> str:
        name = scope.get_unique_variable_name(f"scaled_{op_type.lower()}")
        container.add_node(op_type, inputs, name, name=scope.get_unique_operator_name(op_type), **attributes)
        return str(name)

    if kind == _DOUBLE:
        value = add("Cast", [value], to=_DOUBLE)
    for number, (op_type, constant) in enumerate(steps):
        if number and in_double and not whole:
            value = add("Cast", [add("Cast", [value], to=_FLOAT)], to=_DOUBLE)
        constant = np.asarray(constant, dtype=numpy_kind)
        name = scope.get_unique_variable_name("scaler")
        container.add_initializer(name, kind, list(constant.shape), constant.tolist())
        value = add(op_type, [value, name])
    container.add_node(
        "Cast", [value], operator.outputs[0].full_name, name=scope.get_unique_operator_name("Cast"), to=_FLOAT
    )


# --- missing numbers in trees -----------------------------------------------------------------------------------------


def _route_missing_numbers(made: Any, estimator: Any) -> None:
    """Write into the nodes of forests and single trees on which side a missing value goes, as scikit-learn has it."""
    trees = [part.tree_ for part in _ordered_trees(estimator)]
    sides = [tree.__getstate__()["nodes"]["missing_go_to_left"].astype(int) for tree in trees]
    if not any(side.any() for side in sides):
        return
    for node in made.graph.node:
        if node.op_type in _TREE_NODES:
            found = {attribute.name: attribute for attribute in node.attribute}
            ids = zip(found["nodes_treeids"].ints, found["nodes_nodeids"].ints, strict=True)
            found["nodes_missing_value_tracks_true"].ints[:] = [int(sides[tree][index]) for tree, index in ids]


def _ordered_trees(estimator: Any) -> list[Any]:
    """The decision trees of the last step, in the order of the forest; none for other kinds of ensembles."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    if not type(estimator).__module__.startswith(("sklearn.tree.", "sklearn.ensemble._forest")):
        return []
    return list(getattr(estimator, "estimators_", [estimator]))
