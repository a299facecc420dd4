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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoofline:
    """One model under the roofs of machines: the one that it was measured on, and those of the catalogue.

    `batch` is the mean batch size that the server formed; `reached_per_s` the inferences a second that it did there.
    `notes` say what the figures leave out.
    """

    model: str
    precision: str
    work: Work
    batch: int
    reached_per_s: float | None
    peaks: tuple[Peak, ...]
    roofs: tuple[Roof, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooflines:
    """Those of a run's exported models."""

    models: tuple[ModelRoofline, ...]


def roofline_of(
    model: str,
    work: Work,
    *,
    precision: str,
    batch: int,
    reached_per_s: float | None,
    here: Peak | None,
    others: tuple[Peak, ...],
) -> ModelRoofline:
    """A model's roofs. `here` is the peak of the machine that `reached_per_s` was measured on, None if unknown."""
    mine = (roof_of(work, here, batch, reached_per_s=reached_per_s),) if here else ()
    notes = ["Bytes are those of a runtime that fuses nothing, so a fused graph may lie above the slope."]
    if work.uncounted:
        notes.append(f"{work.uncounted} operators are not counted; what they take comes on top.")
    if here is None:
        notes.append("The peak of the measured machine is not known here: run `toolkit bounds roofline` there.")
    return ModelRoofline(
        model=model,
        precision=precision,
        work=work,
        batch=batch,
        reached_per_s=reached_per_s,
        peaks=(*((here,) if here else ()), *others),
        roofs=(*mine, *(roof_of(work, peak, batch) for peak in others)),
        notes=tuple(notes),
    )
