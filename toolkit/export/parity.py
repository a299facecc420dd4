"""Whether two models give the same answers: pure arithmetic on arrays, no files, no servers.

In: reference and answers, each a mapping of output name to array with one row per sample. Out: a ParityResult.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """An element agrees when |answer - reference| <= absolute + relative * |reference|; integers and text exactly."""

    absolute: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputParity:
    """One output. `max_relative` is over elements whose reference exceeds the absolute tolerance (zero-safe)."""

    output: str
    tolerance: Tolerance
    elements: int
    mismatches: int
    max_absolute: float
    max_relative: float
    cosine: float
    worst_sample: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskResult:
    """A task metric on labelled samples, for the reference and for the answers; `disagreements` counts samples."""

    metric: str
    reference: float
    answers: float
    samples: int
    disagreements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityResult:
    """The comparison as a whole: a value, kept and reported whether it passed or not."""

    passed: bool
    reason: str
    samples: int
    batch_sizes: tuple[int, ...]
    outputs: tuple[OutputParity, ...]
    task: TaskResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEvidence:
    """Executions by batch size that one served model did while live parity ran."""

    model: str
    executions: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveParity:
    """Parity measured through the server under concurrency. INVALID when the server did not really batch."""

    outcome: str
    reason: str
    requests: int
    clients: int
    failures: int
    result: ParityResult | None
    evidence: tuple[BatchEvidence, ...]
