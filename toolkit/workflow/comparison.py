"""What `toolkit compare` is asked, and what comes of it: values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit.load.difference import Difference
from toolkit.load.gate import Gate, GateOutcome
from toolkit.workflow.comparability import Change

How = Literal["auto", "interleaved", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What `toolkit compare` was asked. `duration_s` None: as long as the runs measured."""

    a: Path
    b: Path
    gates: tuple[Gate, ...] = ()
    how: How = "auto"
    rounds: int = 6
    duration_s: float | None = 5.0
    same_machine: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: its run folder, what was served, and what drove the load."""

    run: str
    candidate: str
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AtLoad:
    """The differences at one load. `left_out` says what could not be used, and why."""

    load: str
    text: str
    differences: tuple[Difference, ...]
    sentences: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """One gate at one load."""

    gate: str
    load: str
    outcome: GateOutcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of it. `outcome` is that of the gates together, PASS without any."""

    a: Side
    b: Side
    how: Literal["interleaved", "recorded"]
    changed: tuple[Change, ...]
    only_in_one: tuple[str, ...]
    loads: tuple[AtLoad, ...]
    gates: tuple[GateVerdict, ...]
    outcome: GateOutcome
