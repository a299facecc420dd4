"""Whether the machine kept its pace over a sweep: its first point, and the same point measured again at the end. Pure.

In: two Measurements of one load. Out: a Drift, with a Warning when they differ by more than their intervals explain.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.load.duration import seconds_text
from toolkit.load.measurement import Measurement, Quantile, Warning
from toolkit.load.pattern import Load, load_text

MAX_CHANGE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The median latency of one load at the beginning and at the end of a sweep, and what is to be said about it."""

    load: Load
    first_s: float
    again_s: float
    warning: Warning | None

    @property
    def change(self) -> float:
        """By which share of the first the second is higher, negative where it is lower."""
        return self.again_s / self.first_s - 1


def drift_between(first: Measurement, again: Measurement) -> Drift | None:
    """The change of the median latency between two measurements of one load; None where one of them has no latency.

    A change counts from MAX_CHANGE on, and only when the 95 % intervals of the two medians lie apart.
    """
    if not (first.latency.count and again.latency.count):
        return None
    before, after = first.latency.at(0.5), again.latency.at(0.5)
    drift = Drift(load=first.load, first_s=before.value_s, again_s=after.value_s, warning=None)
    if abs(drift.change) <= MAX_CHANGE or not (_lies_below(before, after) or _lies_below(after, before)):
        return drift
    text = (
        f"measured again at the end, the p50 with {load_text(first.load)} was {seconds_text(after.value_s)} after "
        f"{seconds_text(before.value_s)} at first ({drift.change:+.0%}, limit {MAX_CHANGE:.0%}): the machine or the "
        "server changed its pace meanwhile, so do not compare the points; look for other work, and sweep again"
    )
    warning = Warning(kind="Drifting", text=text, figure=drift.change, threshold=MAX_CHANGE)
    return Drift(load=first.load, first_s=before.value_s, again_s=after.value_s, warning=warning)


def _lies_below(low: Quantile, high: Quantile) -> bool:
    return low.high_s is not None and high.low_s is not None and low.high_s < high.low_s
