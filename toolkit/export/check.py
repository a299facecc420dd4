"""Parity of an exported folder: its model.onnx under ONNX Runtime against reference.npz, at several batch sizes.

In: a folder with model.onnx, samples.npz and reference.npz, as the worker leaves it. Out: a ParityResult.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.export.arrays import Array, read_arrays
from toolkit.export.lengths import read_lengths
from toolkit.export.noise import Noise, basis_text, tolerance_from_noise
from toolkit.export.onnxruntime import answers_of, chunks, open_onnx, runtime_errors
from toolkit.export.parity import Comparing, ParityResult, TaskMetric, Tolerance, compare, join_rows, worst_of
from toolkit.export.spec import (
    FACTS_FILE,
    HELD_OUT_FILE,
    HELD_OUT_REFERENCE_FILE,
    LENGTHS_FILE,
    MODEL_FILE,
    REFERENCE_FILE,
    SAMPLES_FILE,
    ExportSpec,
    ReferenceFacts,
)
from toolkit.export.trees import TREES_BASIS, compare_trees
from toolkit.records import read_json
from toolkit.tensor import dtype_from_numpy

#: By ReferenceFacts.comparing: what the kind of model needs.
COMPARATORS: dict[str, Comparing] = {"elements": compare, "trees": compare_trees}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """A model under ONNX Runtime, and how its answers are judged: `given` by the user, else by the noise."""

    session: Any
    comparing: Comparing
    given: Tolerance | None
    noise: tuple[Noise, ...]

    def tolerance(self, answers: Mapping[str, Array]) -> Tolerance | dict[str, Tolerance]:
        if self.given is not None:
            return self.given
        dtypes = {name: dtype_from_numpy(array.dtype).name for name, array in answers.items()}
        return {n.output: tolerance_from_noise(n, dtype=dtypes.get(n.output, "")) for n in self.noise}


def check_parity(
    folder: Path,
    spec: ExportSpec,
    *,
    task: TaskMetric | None = None,
    comparing: Comparing | None = None,
    labelled: Comparing | None = None,
) -> ParityResult:
    """Regroup the samples at every batch size of `spec`, compare values and shapes with the reference at batch 1.

    The worker's samples of other lengths are compared too; where the folder has held-out samples those as well, at the
    largest batch size, and `task` is judged on them. `comparing`, and `labelled` for held-out samples, replace the
    comparator that the kind of model asks for. Raises ConfigurationError for damaged files and ModelRefused for
    a model that does not load.
    """
    facts = read_facts(folder)
    check = _Check(
        session=open_onnx(folder / MODEL_FILE),
        comparing=comparing or COMPARATORS[facts.comparing],
        given=spec.tolerance,
        noise=facts.noise,
    )
    samples, reference = read_arrays(folder / SAMPLES_FILE), read_arrays(folder / REFERENCE_FILE)
    deciding = task if comparing is not None else None  # the usual comparators ask for labels with a task
    result = worst_of({size: _compared(check, samples, reference, size, deciding) for size in spec.batch_sizes})
    result = replace(result, basis=_basis(spec, facts), noise=facts.noise, notes=facts.notes)
    for length, (inputs, known) in read_lengths(folder / LENGTHS_FILE).items():
        result = _joined(result, _compared(check, inputs, known, len(next(iter(inputs.values())))), f"at {length}")
    if not (folder / HELD_OUT_FILE).is_file():
        return result
    held_out = read_arrays(folder / HELD_OUT_FILE)
    labels = held_out.pop("label")
    inputs = {name.removeprefix("input."): array for name, array in held_out.items()}
    known = read_arrays(folder / HELD_OUT_REFERENCE_FILE)
    check = replace(check, comparing=labelled or check.comparing)
    judged = _compared(check, inputs, known, max(spec.batch_sizes), task, labels)
    return replace(_joined(result, judged, "held-out samples"), task=judged.task, loss=judged.loss or result.loss)


def read_facts(folder: Path) -> ReferenceFacts:
    """What the worker found out of the reference; nothing where it left no such file."""
    file = folder / FACTS_FILE
    return read_json(file, ReferenceFacts) if file.is_file() else ReferenceFacts()


def _basis(spec: ExportSpec, facts: ReferenceFacts) -> str:
    if spec.tolerance is not None:
        return "tolerance: as given"
    return TREES_BASIS if facts.comparing == "trees" and not facts.noise else basis_text(facts.noise)


def _joined(result: ParityResult, other: ParityResult, where: str) -> ParityResult:
    """The result, turned to failed where the comparison of other samples did."""
    if other.passed:
        return replace(result, notes=(*result.notes, f"{where}: {other.reason}"))
    reason = f"{where}: {other.reason}"
    return replace(result, passed=False, reason=reason if result.passed else f"{result.reason}; {reason}")


def _compared(
    check: _Check,
    inputs: Mapping[str, Array],
    reference: Mapping[str, Array],
    batch_size: int,
    task: TaskMetric | None = None,
    labels: Array | None = None,
) -> ParityResult:
    groups = list(chunks(inputs, batch_size))
    rows = [len(next(iter(group.values()))) for group in groups]
    try:
        answers, problems = join_rows([answers_of(check.session, group) for group in groups], rows)
    except runtime_errors() as err:
        reason = f"ONNX Runtime fails at batch {batch_size}: {str(err).strip().splitlines()[0]}"
        answers, problems = {}, dict.fromkeys(reference, reason)
    allowed = check.tolerance(answers)
    return check.comparing(reference, answers, allowed, task=task, labels=labels, problems=problems)
