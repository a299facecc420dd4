"""What the worker does for a tabular model: load, choose samples, ask the original, convert; or only look."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.errors import ExportFailed
from toolkit.export.arrays import Array, write_arrays
from toolkit.export.labelled import write_labelled
from toolkit.export.reference import rows_alone
from toolkit.export.samples import Arguments, input_specs, origin_of, read_samples, samples_for
from toolkit.export.spec import (
    FACTS_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ReferenceFacts,
    WorkerRequest,
)
from toolkit.export.tabular_onnx import tabular_to_onnx
from toolkit.models.source import Source
from toolkit.models.tabular import FEATURES, TabularModel
from toolkit.records import write_bytes, write_json
from toolkit.tensor import BATCH, Signature, TensorSpec, dtype_from_numpy


def export_tabular(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> tuple[TensorSpec, ...]:
    """Write model.onnx, samples.npz and reference.npz into `folder`; return the inputs' specs.

    Raises ModelRefused, ExportFailed and MissingDependency.
    """
    source, spec = request.source, request.spec
    say("loading the model")
    model = load_tabular(source)
    samples = _samples(request, model)
    say(f"asking the original for {len(next(iter(samples.values())))} samples")
    write_arrays(folder / SAMPLES_FILE, samples)
    reference = _reference(model, source.path, samples)
    write_arrays(folder / REFERENCE_FILE, reference)
    read = partial(read_samples, declared=model.columns, arguments=_arguments(model), feature_names=model.feature_names)
    write_labelled(folder, spec.samples, samples, partial(_reference, model, source.path), read)
    say("converting to ONNX")
    widths = {name: array.shape[1:] for name, array in reference.items()}
    made = tabular_to_onnx(model, source.framework, spec.opset, widths)
    write_bytes(folder / MODEL_FILE, made.SerializeToString(deterministic=True))
    facts = ReferenceFacts(comparing="trees" if model.has_trees else "elements", origin=origin_of(spec, False))
    write_json(folder / FACTS_FILE, facts)
    return input_specs(samples, model.columns)


def inspect_tabular(request: WorkerRequest, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The figures of a model without converting it. Writes nothing."""
    say("loading the model")
    model = load_tabular(request.source)
    samples = _samples(request, model)
    reference = _reference(model, request.source.path, {name: array[:1] for name, array in samples.items()})
    outputs = (
        TensorSpec(name=name, dtype=dtype_from_numpy(array.dtype).name, shape=(BATCH, *array.shape[1:]))
        for name, array in reference.items()
    )
    names = ", ".join(model.feature_names)
    return {
        "signature": Signature(inputs=model.columns, outputs=tuple(outputs)),
        "parameters": model.parameters,
        "size_bytes": request.source.path.stat().st_size,
        "operators": model.parts,
        "notes": [f"the columns of '{FEATURES}' are: {names}"] if names and len(model.columns) == 1 else [],
    }


def load_tabular(source: Source) -> TabularModel:
    """Load a source whose framework is one of the tabular ones."""
    if source.framework == "xgboost":
        from toolkit.models.xgboost import load_xgboost

        return load_xgboost(source)
    if source.framework == "lightgbm":
        from toolkit.models.lightgbm import load_lightgbm

        return load_lightgbm(source)
    if source.framework == "catboost":
        from toolkit.models.catboost import load_catboost

        return load_catboost(source)
    from toolkit.models.sklearn import load_sklearn

    return load_sklearn(source)


def _samples(request: WorkerRequest, model: TabularModel) -> dict[str, Array]:
    spec = request.spec
    if spec.inputs:
        raise ExportFailed(
            f"--input says what the model itself tells: its inputs are {', '.join(t.text() for t in model.columns)}",
            mend="leave --input out; give --samples data.csv for rows of your own",
        )
    drawn = lambda: model.draw(np.random.default_rng(spec.seed), spec.sample_count)  # noqa: E731
    return samples_for(spec, model.columns, _arguments(model), drawn, model.feature_names)


def _arguments(model: TabularModel) -> Arguments:
    names = tuple(tensor.name for tensor in model.columns)
    return Arguments(accepted=names, required=names)


def _reference(model: TabularModel, path: Path, samples: dict[str, Array]) -> dict[str, Array]:
    """The original's answers. Each row is asked alone: what does not depend on the others must not."""
    mend = "give samples that make sense to it: --samples FILE"
    return rows_alone(model.answers, path, samples, called="the original", mend=mend)
