"""Load a TensorFlow SavedModel. It runs the program in it, so only the worker calls this, in TensorFlow's environment.

In: a trusted Source. Out: a FunctionModel of its serving signature.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ModelRefused
from toolkit.models.code import customer_code
from toolkit.models.function import Answers, Array, FunctionModel, Probe
from toolkit.models.source import Source
from toolkit.tensor import BATCH, TensorSpec, dtype_from_numpy

SIGNATURE = "serving_default"
MOVED = "the same model with each variable moved by up to half a unit of roundoff"


def load_saved_model(source: Source) -> FunctionModel:
    """The serving signature of a SavedModel, on the CPU. Raises ModelRefused for a damaged one, or without signatures.

    Its inputs are as the signature declares them; an axis without a length is the batch where it is the first, and
    else named after its input.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    with customer_code(source.path, "tf.saved_model.load", ModelRefused, mend="save it again: tf.saved_model.save"):
        loaded = tf.saved_model.load(str(source.path))
    function = _signature(source.path, loaded)
    declared = function.structured_input_signature[1]
    inputs = tuple(_spec(name, tensor) for name, tensor in declared.items())
    names = tuple(declared)

    def answers(rows: Mapping[str, Array]) -> dict[str, Array]:
        tensors = {name: tf.constant(array, dtype=declared[name].dtype) for name, array in rows.items()}
        return {name: value.numpy() for name, value in sorted(function(**tensors).items())}

    @contextmanager
    def moved() -> Iterator[Answers]:
        with _moved(function.variables):
            yield answers

    variables = [v.numpy() for v in function.variables if v.dtype != tf.resource]
    has_floats = any(array.dtype.kind == "f" for array in variables)
    return FunctionModel(
        original=(function, loaded),  # the variables go with the object that was loaded
        answers=answers,
        accepted=names,
        required=names,
        inputs=inputs,
        parameters=sum(array.size for array in variables),
        size_bytes=sum(file.stat().st_size for file in source.path.rglob("*") if file.is_file()),
        operators=_operators(function.graph.as_graph_def()),
        probes=(Probe(text=MOVED, answers=moved),) if has_floats else (),
    )


def _signature(path: Path, loaded: Any) -> Any:
    signatures = dict(loaded.signatures)
    if SIGNATURE in signatures:
        return signatures[SIGNATURE]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    found = ", ".join(sorted(signatures)) or "none"
    raise ModelRefused(
        f"{path} has no signature '{SIGNATURE}', and it is not clear which to serve: it has {found}",
        mend=f"save it with one: tf.saved_model.save(model, path, signatures={{'{SIGNATURE}': model.call}})",
    )


def _spec(name: str, tensor: Any) -> TensorSpec:
    dtype = dtype_from_numpy(np.dtype(tensor.dtype.as_numpy_dtype)).name
    if tensor.shape.rank is None:
        raise ModelRefused(f"input '{name}' has no shape", mend="save it with an input_signature of known rank")
    axes = enumerate(tensor.shape.as_list())
    shape = ((BATCH if axis == 0 else f"{name}_{axis}") if size is None else int(size) for axis, size in axes)
    return TensorSpec(name=name, dtype=dtype, shape=tuple(shape))


@contextmanager
def _moved(variables: Any) -> Iterator[None]:
    """The variables with seeded errors of storage, as if each had been rounded once more; then as they were."""
    random = np.random.default_rng(0)
    before = [(v, v.numpy()) for v in variables if v.dtype.is_floating]
    try:
        for variable, values in before:
            unit = float(np.finfo(values.dtype).eps) / 2
            variable.assign((values * (1 + unit * random.uniform(-1, 1, values.shape))).astype(values.dtype))
        yield
    finally:
        for variable, values in before:
            variable.assign(values)


def _operators(graph: Any) -> dict[str, int]:
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return dict(Counter(node.op for node in nodes).most_common())
