"""Candidates, what came of them, and the decision: which configuration, at which load, and why not the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Load
from toolkit.load.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A server configuration to measure: per repository entry, a partial ModelConfig in Triton's own field names."""

    name: str
    config: dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One load point of a trial with its verdicts."""

    measurement: Measurement
    verdicts: tuple[Verdict, ...]
    outcome: Outcome

    @property
    def load(self) -> Load:
        """The load that was driven."""
        return self.measurement.load


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of a candidate."""

    candidate: Candidate
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A candidate that was not chosen, and why."""

    candidate: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to the customer's question. `candidate` and `load` are None when nothing was chosen."""

    outcome: Outcome
    sentence: str
    candidate: str | None
    load: Load | None
    throughput_per_s: float | None
    rejected: tuple[Rejection, ...]
