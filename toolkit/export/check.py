"""Parity of an exported folder: its model.onnx under ONNX Runtime against reference.npz, at several batch sizes.

In: a folder with model.onnx, samples.npz and reference.npz, as the worker leaves it. Out: a ParityResult.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.export.arrays import Array, read_arrays
from toolkit.export.onnxruntime import answers_of, chunks, open_onnx, runtime_errors
from toolkit.export.parity import ParityResult, TaskMetric, compare, join_rows, worst_of
from toolkit.export.spec import (
    HELD_OUT_FILE,
    HELD_OUT_REFERENCE_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ExportSpec,
)


def check_parity(folder: Path, spec: ExportSpec, *, task: TaskMetric | None = None) -> ParityResult:
    """Regroup the samples at every batch size of `spec`, compare values and shapes with the reference at batch 1.

    Where the folder has held-out samples they are compared too, at the largest batch size, and `task` is judged on
    them. Raises ConfigurationError for damaged files and ModelRefused for a model that does not load.
    """
    session = open_onnx(folder / MODEL_FILE)
    samples, reference = read_arrays(folder / SAMPLES_FILE), read_arrays(folder / REFERENCE_FILE)
    result = worst_of({size: _compared(session, samples, reference, spec, size) for size in spec.batch_sizes})
    if not (folder / HELD_OUT_FILE).is_file():
        return result
    held_out = read_arrays(folder / HELD_OUT_FILE)
    labels = held_out.pop("label")
    inputs = {name.removeprefix("input."): array for name, array in held_out.items()}
    known = read_arrays(folder / HELD_OUT_REFERENCE_FILE)
    judged = _compared(session, inputs, known, spec, max(spec.batch_sizes), task, labels)
    if judged.passed:
        return replace(result, task=judged.task)
    reason = f"held-out samples: {judged.reason}"
    reasons = reason if result.passed else f"{result.reason}; {reason}"
    return replace(result, task=judged.task, passed=False, reason=reasons)


def _compared(
    session: Any,
    inputs: Mapping[str, Array],
    reference: Mapping[str, Array],
    spec: ExportSpec,
    batch_size: int,
    task: TaskMetric | None = None,
    labels: Array | None = None,
) -> ParityResult:
    groups = list(chunks(inputs, batch_size))
    rows = [len(next(iter(group.values()))) for group in groups]
    try:
        answers, problems = join_rows([answers_of(session, group) for group in groups], rows)
    except runtime_errors() as err:
        reason = f"ONNX Runtime fails at batch {batch_size}: {str(err).strip().splitlines()[0]}"
        answers, problems = {}, dict.fromkeys(reference, reason)
    return compare(reference, answers, spec.tolerance, task=task, labels=labels, problems=problems)
