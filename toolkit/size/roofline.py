"""Rooflines: the rate that a machine's arithmetic and memory allow for an inference, and the share that was reached.

In: operations and bytes of one inference, peaks of machines (measured here, or from a data sheet). Out: Roofs.
Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model". A roof is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.size.catalogue import Accelerator

Limit = Literal["compute", "bandwidth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one inference takes: operations, bytes of weights (shared by a batch) and bytes of activations.

    `uncounted` operators are in none of the figures, so that what they take comes on top.
    """

    flops: float
    weight_bytes: float
    activation_bytes: float
    uncounted: int = 0

    def intensity(self, batch: int) -> float:
        """Operations for each byte at a batch size: weights are read once for all of it."""
        moved = self.weight_bytes / batch + self.activation_bytes
        return self.flops / moved if moved else float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """What a machine can do at most, in operations and bytes a second. `source`: a URL, or how it was measured."""

    name: str
    flops_per_s: float
    bytes_per_s: float
    source: str
    measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """The bound of one machine at a batch size, in inferences a second; `share` is what a measured rate reached."""

    machine: str
    batch: int
    intensity: float
    flops_per_s: float
    inferences_per_s: float
    limit: Limit
    share: float | None
    source: str
    measured_peak: bool


def peak_of(name: str, gpu: Accelerator, precision: str) -> Peak | None:
    """The peak of a catalogued accelerator; None where its data sheet has no rate for the precision."""
    flops = gpu.flops(precision)
    if flops is None:
        return None
    return Peak(
        name=name, flops_per_s=flops, bytes_per_s=gpu.bandwidth_gb_per_s * 1e9, source=gpu.source, measured=False
    )


def roof_of(work: Work, peak: Peak, batch: int, *, reached_per_s: float | None = None) -> Roof:
    """min(peak, bandwidth x intensity), and the inferences a second that it allows.

    `reached_per_s` is a rate measured on this very machine, None for any other.
    """
    intensity = work.intensity(batch)
    by_bandwidth = peak.bytes_per_s * intensity
    flops = min(peak.flops_per_s, by_bandwidth)
    limit: Limit = "compute" if peak.flops_per_s <= by_bandwidth else "bandwidth"
    rate = flops / work.flops if work.flops else float("inf")
    return Roof(
        machine=peak.name,
        batch=batch,
        intensity=intensity,
        flops_per_s=flops,
        inferences_per_s=rate,
        limit=limit,
        share=None if reached_per_s is None else reached_per_s / rate,
        source=peak.source,
        measured_peak=peak.measured,
    )
