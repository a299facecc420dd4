"""Which index, searched how hard: the Pareto front of recall against throughput, and the choice on it. Pure.

In: measured points, the recall asked for. Out: the points that no other beats, the one to take, and a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.load.duration import seconds_text
from toolkit.load.measurement import Measurement
from toolkit.load.verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexPoint:
    """One index at one effort, measured through the server.

    `recall` is the mean over queries at `k`, with its 95 % interval. `in_process_per_s` and `in_process_p99_s` are of
    the library alone: one thread, one query at a time. `build_s` and `index_bytes` are the index's.
    """

    index: str
    effort_name: str
    effort: int
    k: int
    recall: float
    recall_low: float
    recall_high: float
    measurement: Measurement
    verdicts: tuple[Verdict, ...]
    outcome: Outcome
    in_process_per_s: float
    in_process_p99_s: float
    build_s: float
    index_bytes: int

    @property
    def name(self) -> str:
        """`hnsw, ef_search 64`."""
        return f"{self.index}, {self.effort_name} {self.effort}" if self.effort_name else self.index


def pareto_front(points: Sequence[IndexPoint]) -> tuple[IndexPoint, ...]:
    """The valid points to which no other is at least equal in recall and throughput and better in one; by recall."""
    valid = [p for p in points if p.outcome != "INVALID"]
    kept = [p for p in valid if not any(_dominates(other, p) for other in valid)]
    return tuple(sorted(kept, key=lambda p: (p.recall, p.measurement.throughput_per_s)))


def _dominates(one: IndexPoint, other: IndexPoint) -> bool:
    ours = (one.recall, one.measurement.throughput_per_s)
    theirs = (other.recall, other.measurement.throughput_per_s)
    return ours != theirs and ours[0] >= theirs[0] and ours[1] >= theirs[1]


def choose_index(points: Sequence[IndexPoint], recall: float, *, has_slo: bool) -> tuple[IndexPoint | None, str]:
    """The fastest point whose recall is surely at least `recall` (the low end of its interval) and that meets the SLO.

    Returns None with the reason when there is none.
    """
    found = [p for p in points if p.recall_low >= recall and p.outcome != "INVALID"]
    if not found:
        best = max(points, key=lambda p: p.recall_low, default=None)
        nearest = f"; the nearest, {best.name}, finds {best.recall:.4f}" if best else ""
        return (
            None,
            f"no index is sure to find {recall:g} of the true neighbours{nearest}. Try harder, or ask for less.",
        )
    passing = [p for p in found if p.outcome == "PASS" or not has_slo]
    if not passing:
        outcomes = ", ".join(sorted({p.outcome for p in found}))
        return (
            None,
            f"{len(found)} of {len(points)} points find {recall:g}, but none is shown to meet the SLO ({outcomes}).",
        )
    chosen = max(passing, key=lambda p: p.measurement.throughput_per_s)
    tail = chosen.measurement.latency.at(0.99)
    return chosen, (
        f"{chosen.name} finds {chosen.recall:.4f} of the true {chosen.k} neighbours (asked: {recall:g}) at "
        f"{chosen.measurement.throughput_per_s:,.0f} queries/s, p99 {seconds_text(tail.value_s)}, through the server."
    )
