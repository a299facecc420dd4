"""How far a run has come: points measured, points ahead, and the time that these take. Reads the run folder only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from toolkit.load.pattern import Load
from toolkit.tune.decision import Candidate
from toolkit.workflow.measure import MEASUREMENT, trial_key
from toolkit.workflow.runs import read_manifest
from toolkit.workflow.variants import rejections_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """`points` of a run in the order in which they are measured, those that are measured already among them."""

    measured: int
    points: int
    next: tuple[Candidate, Load] | None
    left_s: float


def ahead_of(run: Path) -> Ahead:
    """What is measured and what is ahead. `left_s` is the time of the loads, without starts and reloads."""
    subject = read_manifest(run).subject
    out = {r.candidate for r in rejections_of(run, subject.candidates)}
    points = [(c, load) for c in subject.candidates if c.name not in out for load in subject.loads]
    left = [(c, load) for c, load in points if not (run / trial_key(c, load) / MEASUREMENT).is_file()]
    seconds = sum(load.warmup_s + load.duration_s for _, load in left)
    return Ahead(measured=len(points) - len(left), points=len(points), next=left[0] if left else None, left_s=seconds)
