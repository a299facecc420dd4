"""How far the answers of one output are from their reference: the tolerances, and the arithmetic element by element.

In: two arrays with one row per sample. Out: an OutputParity. Dividing by zero, NaN and infinity cannot happen here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit.tensor import dtype_from_numpy

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Arrays = Mapping[str, Array]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """An element agrees when |answer - reference| <= absolute + relative * |reference|; integers and text exactly."""

    absolute: float
    relative: float


#: By KServe v2 dtype; all others must be equal. Two correct runtimes sum in a different order and fuse differently,
#: so they part by a few units of roundoff for each of some hundred accumulated layers.
TOLERANCES = {
    # Unit roundoff 1.1e-16, but ONNX Runtime and PyTorch approximate exp, erf and tanh to about 1e-9.
    "FP64": Tolerance(absolute=1e-8, relative=1e-7),
    # Unit roundoff 6e-8. Worst of ten architectures (ResNet-50 to DETR) was 2.5e-5 absolute: four times that.
    "FP32": Tolerance(absolute=1e-4, relative=1e-3),
    # Unit roundoff 4.9e-4: ten of them, and twenty where the value is large.
    "FP16": Tolerance(absolute=5e-3, relative=1e-2),
}
EXACT = Tolerance(absolute=0.0, relative=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputParity:
    """One output. `max_relative` is over elements whose reference exceeds the absolute tolerance (zero-safe).

    The maxima and the cosine are over elements that are finite in both; the others count as mismatches unless both
    are the same infinity or both NaN. `worst_sample` is -1, and the figures are 0, where `problem` prevents them.
    `batch_size` is the one at which the worst was found, where several were tried.
    """

    output: str
    tolerance: Tolerance
    elements: int
    mismatches: int
    max_absolute: float
    max_relative: float
    cosine: float
    worst_sample: int
    problem: str = ""
    batch_size: int | None = None

    @property
    def passed(self) -> bool:
        """Whether every element agrees."""
        return not self.problem and self.mismatches == 0


def compare_output(
    name: str, reference: Array, answers: Array | None, tolerance: Tolerance | None, problem: str = ""
) -> OutputParity:
    """Compare one output. `tolerance` None means the table; `problem` is one that was found before."""
    problem = problem or _problem(reference, answers)
    if answers is None or problem:
        return _uncomparable(name, reference, problem)
    if dtype_from_numpy(reference.dtype).name not in TOLERANCES:
        return _compare_exactly(name, reference, answers)
    return _compare_floats(name, reference, answers, tolerance or default_tolerance(reference, answers))


def default_tolerance(reference: Array, answers: Array) -> Tolerance:
    """The table's tolerance for the coarser dtype of the two; absolute shrinks with a reference that is all below 1.

    Without that, an output of probabilities near 1e-5 would agree with anything.
    """
    import numpy as np

    coarser = max((TOLERANCES[dtype_from_numpy(a.dtype).name] for a in (reference, answers)), key=lambda t: t.absolute)
    finite = np.abs(reference[np.isfinite(reference)])
    scale = min(1.0, float(finite.max(initial=0.0))) or 1.0
    return Tolerance(absolute=coarser.absolute * scale, relative=coarser.relative)


def _problem(reference: Array, answers: Array | None) -> str:
    import numpy as np

    if answers is None:
        return "missing from the answers"
    if reference.shape != answers.shape:
        return f"answered with shape {answers.shape}, expected {reference.shape}"
    wanted, got = dtype_from_numpy(reference.dtype).name, dtype_from_numpy(answers.dtype).name
    if wanted != got and not {wanted, got} <= set(TOLERANCES):
        return f"answered with dtype {got}, expected {wanted}"
    if wanted in TOLERANCES and reference.size and not np.isfinite(reference).any():
        return "no element of the reference is finite, so nothing is proven"
    return ""


def _uncomparable(name: str, reference: Array, problem: str) -> OutputParity:
    return OutputParity(
        output=name,
        tolerance=EXACT,
        elements=reference.size,
        mismatches=reference.size,
        max_absolute=0.0,
        max_relative=0.0,
        cosine=0.0,
        worst_sample=-1,
        problem=problem,
    )


def _compare_floats(name: str, reference: Array, answers: Array, tolerance: Tolerance) -> OutputParity:
    import numpy as np

    wanted, got = reference.astype(np.float64), answers.astype(np.float64)
    finite = np.isfinite(wanted) & np.isfinite(got)
    wanted_finite, got_finite = np.where(finite, wanted, 0.0), np.where(finite, got, 0.0)
    difference = np.abs(got_finite - wanted_finite)
    allowed = tolerance.absolute + tolerance.relative * np.abs(wanted_finite)
    same = (wanted == got) | (np.isnan(wanted) & np.isnan(got))
    excess = np.where(same, -np.inf, np.where(finite, difference - allowed, np.inf))
    large = np.abs(wanted_finite) > tolerance.absolute
    relative = difference[large] / np.abs(wanted_finite[large])
    return OutputParity(
        output=name,
        tolerance=tolerance,
        elements=reference.size,
        mismatches=int((excess > 0).sum()),
        max_absolute=float(difference.max(initial=0.0)),
        max_relative=float(relative.max(initial=0.0)),
        cosine=_cosine(wanted_finite, got_finite),
        worst_sample=_row_of_largest(excess),
    )


def _compare_exactly(name: str, reference: Array, answers: Array) -> OutputParity:
    """Integers, booleans and text. Text has no distance: its maxima are 0 and its cosine is 1 or 0."""
    import numpy as np

    if reference.dtype.kind in "OSU":
        differs = (_as_bytes(reference) != _as_bytes(answers)).reshape(reference.shape)
        distance = np.zeros(reference.shape)
        cosine = 0.0 if differs.any() else 1.0
    else:
        differs = reference != answers
        wanted, got = reference.astype(np.float64), answers.astype(np.float64)
        distance, cosine = np.abs(got - wanted), _cosine(wanted, got)
    return OutputParity(
        output=name,
        tolerance=EXACT,
        elements=reference.size,
        mismatches=int(differs.sum()),
        max_absolute=float(distance.max(initial=0.0)),
        max_relative=0.0,
        cosine=cosine,
        worst_sample=_row_of_largest(distance + differs),
    )


def _as_bytes(texts: Array) -> Array:
    import numpy as np

    return np.array([v if isinstance(v, bytes) else str(v).encode() for v in texts.ravel()], dtype=object)


def _row_of_largest(distances: Array) -> int:
    import numpy as np

    if not distances.size:
        return -1
    return int(np.unravel_index(distances.argmax(), distances.shape)[0]) if distances.ndim else 0


def _cosine(wanted: Array, got: Array) -> float:
    """1 when both are all zeros, 0 when only one of them is."""
    import numpy as np

    norms = float(np.linalg.norm(wanted)), float(np.linalg.norm(got))
    if not all(norms):
        return 1.0 if norms == (0.0, 0.0) else 0.0
    return min(1.0, float(np.vdot(wanted / norms[0], got / norms[1])))


def join_rows(parts: Sequence[Arrays], rows: Sequence[int]) -> tuple[dict[str, Array], dict[str, str]]:
    """Put answers that came in groups of `rows` back together: arrays by output, and problems by output.

    A group whose leading axis is not its number of rows, or whose other axes differ from the first group's, is a
    problem of that output.
    """
    import numpy as np

    joined: dict[str, Array] = {}
    problems: dict[str, str] = {}
    for name in parts[0] if parts else ():
        arrays = [part[name] for part in parts if name in part]
        wanted = [(n, *arrays[0].shape[1:]) for n in rows]
        wrong = [f"{a.shape} for {w[0]} rows" for a, w in zip(arrays, wanted, strict=False) if a.shape != w]
        if wrong or len(arrays) < len(rows):
            problems[name] = f"answered with shape {wrong[0]}" if wrong else "missing from some answers"
        else:
            joined[name] = np.concatenate(arrays)
    return joined, problems
