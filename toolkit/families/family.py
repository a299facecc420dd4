"""A Family: the parts of a proof of concept that depend on the kind of model. It holds functions, no state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolkit.export.parity import Comparing, TaskMetric, compare
from toolkit.families.asking import Asking

#: (tensor that a step makes, the step's parameters) -> (tensor that the step must be given to make it)
Encoder = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """`inference` names one inference in sentences; `encoders` invert pipeline steps, so that samples become requests.

    `task` judges answers against labels where a model file offers labelled samples (`held_out`), `compare` answers of
    the server against their reference. `asking` says how an entry is asked that is not asked with rows of tensors.
    """

    name: str
    inference: str
    task: TaskMetric
    encoders: Mapping[str, Encoder]
    slo: str
    max_batch_size: int
    compare: Comparing = compare
    asking: Asking | None = None
