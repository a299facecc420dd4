"""What the columns of a fitted ColumnTransformer are: names, dtypes, the values that make sense, what may be missing.

In: a fitted pipeline. Out: ColumnFacts, rows drawn from them, and the DataFrame that the pipeline is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.extras import require
from toolkit.tensor import BATCH, TensorSpec

Array = np.ndarray[Any, Any]

#: A word that no encoder was fitted on, among those that are drawn for a text column.
UNKNOWN = "never-seen"
_MISSING_SHARE, _UNKNOWN_SHARE = 0.1, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnFacts:
    """One column. `categories` are those that its encoder knows, `centre` and `spread` describe a number.

    `takes_missing`: it has an imputer, or missing values were a category. `takes_unknown`: so are other words.
    """

    spec: TensorSpec
    categories: tuple[Any, ...] = ()
    centre: float = 0.0
    spread: float = 1.0
    takes_missing: bool = False
    takes_unknown: bool = False


@dataclass
class _Found:
    dtype: str = "FP32"
    facts: dict[str, Any] = field(default_factory=dict)


def column_facts(estimator: Any) -> tuple[ColumnFacts, ...]:
    """The columns that a pipeline takes, in the order of its training data; none where it takes a matrix of numbers.

    Raises ModelRefused for columns chosen in a way that does not tell their names.
    """
    transformer = _column_transformer(estimator)
    if transformer is None:
        return ()
    if not hasattr(transformer, "feature_names_in_"):
        return ()
    names = [str(name) for name in transformer.feature_names_in_]
    found = {name: _Found() for name in names}
    used: set[str] = set()
    for _, steps, columns in transformer.transformers_:
        chosen = _chosen(columns, names)
        if isinstance(steps, str) and steps == "drop":
            continue
        used.update(chosen)
        for step in _steps(steps):
            _learn(step, [found[name] for name in chosen])
    return tuple(
        ColumnFacts(spec=TensorSpec(name=name, dtype=found[name].dtype, shape=(BATCH, 1)), **found[name].facts)
        for name in names
        if name in used
    )


def draw_columns(facts: tuple[ColumnFacts, ...]) -> Callable[..., dict[str, Array]]:
    """`draw` for columns: categories, words that are unknown, numbers around their mean, and missing values."""

    def draw(random: np.random.Generator, rows: int) -> dict[str, Array]:
        return {f.spec.name: _drawn(f, random, rows).reshape(rows, 1) for f in facts}

    return draw


def frame_of(facts: tuple[ColumnFacts, ...], inputs: Mapping[str, Array]) -> Any:
    """The DataFrame that the original is given for inputs [n, 1]; an empty text is missing where that has a meaning."""
    pandas = require("pandas")
    columns = {f.spec.name: _values(f, inputs[f.spec.name].reshape(-1)) for f in facts}
    return pandas.DataFrame(columns)


def _values(fact: ColumnFacts, array: Array) -> Array:
    if fact.spec.dtype != "BYTES":
        return array
    texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array]
    return np.array([np.nan if fact.takes_missing and not text else text for text in texts], dtype=object)


def _drawn(fact: ColumnFacts, random: np.random.Generator, rows: int) -> Array:
    if fact.categories:
        values = random.choice(np.array(fact.categories, dtype=object), rows)
    else:
        values = random.normal(fact.centre, fact.spread, rows).astype(np.float32)
    is_text = fact.spec.dtype == "BYTES"
    if fact.takes_unknown and is_text:
        values[random.random(rows) < _UNKNOWN_SHARE] = UNKNOWN
    if fact.takes_missing and fact.spec.dtype in ("BYTES", "FP32"):
        values[random.random(rows) < _MISSING_SHARE] = "" if is_text else np.nan
    if is_text:
        return np.array([str(v).encode() for v in values], dtype=object)
    return values.astype({"FP32": np.float32, "INT64": np.int64}[fact.spec.dtype])


def _column_transformer(estimator: Any) -> Any:
    """The ColumnTransformer that a pipeline begins with, if it does."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[0][1]
    return estimator if hasattr(estimator, "transformers_") else None


def _chosen(columns: Any, names: list[str]) -> list[str]:
    if isinstance(columns, str | int):
        columns = [columns]
    if isinstance(columns, slice):
        return names[columns]
    listed = list(columns)
    if listed and isinstance(listed[0], bool | np.bool_):
        return [name for name, chosen in zip(names, listed, strict=True) if chosen]
    try:
        return [names[column] if isinstance(column, int | np.integer) else str(column) for column in listed]
    except IndexError as err:
        raise ModelRefused(f"a ColumnTransformer names columns {listed}, and there are {len(names)}") from err


def _steps(steps: Any) -> list[Any]:
    return [step for _, step in steps.steps] if hasattr(steps, "steps") else [steps]


def _learn(step: Any, columns: list[_Found]) -> None:
    """Take from a fitted transformer what it tells of its columns: an encoder, an imputer, a scaler."""
    if hasattr(step, "categories_"):
        for found, categories in zip(columns, step.categories_, strict=True):
            _learn_categories(found, categories, str(getattr(step, "handle_unknown", "error")))
    if hasattr(step, "statistics_"):
        for found, statistic in zip(columns, step.statistics_, strict=True):
            found.facts["takes_missing"] = True
            if isinstance(statistic, str):
                found.dtype = "BYTES"
            else:
                found.facts["centre"] = float(statistic)
    centres, spreads = getattr(step, "mean_", None), getattr(step, "scale_", None)
    if centres is not None and spreads is not None:
        for found, centre, spread in zip(columns, centres, spreads, strict=True):
            found.facts |= {"centre": float(centre), "spread": float(spread)}


def _learn_categories(found: _Found, categories: Array, handle_unknown: str) -> None:
    values = [value for value in categories.tolist() if value is not None and value == value]
    if categories.dtype.kind in "OUS" and any(isinstance(value, str) for value in values):
        found.dtype = "BYTES"
    elif categories.dtype.kind in "iu":
        found.dtype = "INT64"
    if len(values) < len(categories):
        found.facts["takes_missing"] = True
    found.facts |= {"categories": tuple(values), "takes_unknown": handle_unknown != "error"}
