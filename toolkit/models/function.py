"""A loaded model that is a function of named arrays: what the loaders of TensorFlow's and JAX's models return.

It holds functions of the customer's own framework, so it lives in the export worker only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toolkit.tensor import TensorSpec

Array = np.ndarray[Any, Any]
Answers = Callable[[Mapping[str, Array]], dict[str, Array]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The same model computed otherwise, which shows its rounding noise: `text` says how.

    `answers` is a context, in which the model's weights or its arithmetic may be others, and gives the function.
    """

    text: str
    answers: Callable[[], AbstractContextManager[Answers]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionModel:
    """`original` is the framework's own function, for the converter; `answers` runs it on all rows at once.

    `inputs` are what the format itself says of them, empty for a Python file. `accepted` and `required` are the names
    that it takes, `any_name` that it goes by order alone. `taken` gives an array as the framework would hold it.
    `probes` are in the order of preference. `sample_inputs` and `held_out` are those of a Python file.
    """

    original: Any
    answers: Answers
    accepted: tuple[str, ...]
    required: tuple[str, ...]
    parameters: int
    size_bytes: int
    operators: dict[str, int] = field(default_factory=dict)
    any_name: bool = False
    inputs: tuple[TensorSpec, ...] = ()
    taken: Callable[[Array], Array] = lambda array: array
    probes: tuple[Probe, ...] = ()
    sample_inputs: Callable[[int, int], Any] | None = None
    held_out: Callable[[], Any] | None = None
