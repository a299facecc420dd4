"""Which points no other one beats, and where a curve turns: the Pareto front and the knee. Pure arithmetic on points.

In: trials of the tune stage. Out: points. It does not know how they are drawn.
"""

from __future__ import annotations

from toolkit.load.pattern import Concurrency
from toolkit.report.descriptions import Axis, percentile, rate_on
from toolkit.tune.decision import Point, Trial

#: A curve turns where it lies this far below the line from its first point to its last, both axes from 0 to 1.
TURNS = 0.2
FEWEST = 4


def pareto_front(trials: tuple[Trial, ...], q: float, axis: Axis) -> tuple[tuple[Trial, Point], ...]:
    """The points that pass and to which no other is at least equal in rate and latency and better in one; by rate."""
    passing = [
        (trial, point, rate_on(axis, point.measurement), found.value_s)
        for trial in trials
        for point in trial.points
        if point.outcome == "PASS" and (found := percentile(point.measurement, q)) is not None
    ]
    kept = [
        (trial, point, rate)
        for trial, point, rate, latency in passing
        if not any(r >= rate and v <= latency and (r, v) != (rate, latency) for _, _, r, v in passing)
    ]
    return tuple((trial, point) for trial, point, _ in sorted(kept, key=lambda k: k[2]))


def knee(trial: Trial, q: float, axis: Axis) -> Point | None:
    """Where a curve turns from flat to steep: the point farthest below the line between its ends.

    Each kind of load is a curve of its own; the longer one counts. None for fewer than FEWEST points, or where nothing
    turns. Source: Satopää et al. 2011, "Finding a 'kneedle' in a haystack".
    """
    kinds = [[p for p in trial.points if isinstance(p.load, Concurrency) is closed] for closed in (True, False)]
    points = [
        (rate_on(axis, p.measurement), found.value_s, p)
        for p in max(kinds, key=len)
        if p.outcome != "INVALID" and (found := percentile(p.measurement, q)) is not None
    ]
    points.sort(key=lambda item: item[0])
    if len(points) < FEWEST or points[0][0] == points[-1][0]:
        return None
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    width = points[-1][0] - points[0][0]
    below = [((rate - points[0][0]) / width - (value - low) / (high - low or 1.0), p) for rate, value, p in points]
    most, point = max(below, key=lambda item: item[0])
    return point if most >= TURNS else None
