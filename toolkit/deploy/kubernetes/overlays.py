"""The overlays of a Kubernetes bundle: what each is for, what it needs, and with which it cannot be combined.

One table, and arithmetic on it. This module does not know what the files of an overlay say.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from toolkit.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A component that changes the base. `needs`: one of these has to be there too, the first where none is named.

    `cluster` says what the cluster must have, in words for the README; empty when any cluster will do.
    """

    name: str
    purpose: str
    cluster: str = ""
    needs: tuple[str, ...] = ()


_GPU = ("gpu", "mig", "time-slicing")

OVERLAYS = (
    Overlay(name="gpu", purpose="one whole GPU for each replica", cluster="NVIDIA's device plugin"),
    Overlay(name="cpu", purpose="no GPU, and away from the nodes that have one"),
)

#: Overlays of which at most one can be there, and why.
_ONE_OF = (((*_GPU, "cpu"), "a replica gets its device in one way"),)

_BY_NAME = {overlay.name: overlay for overlay in OVERLAYS}


def overlays_from(names: tuple[str, ...], *, gpu: bool) -> tuple[Overlay, ...]:
    """The overlays of these names with those that they need, in the order of the table.

    gpu: a deployment on a GPU, which asks for one where no name says how. Raises UsageError for an unknown name and for
    names that exclude each other.
    """
    for name in names:
        if name not in _BY_NAME:
            raise UsageError(f"--overlay {name} is not known", mend=f"use one of: {', '.join(_BY_NAME)}")
    chosen = set(names)
    if gpu and not chosen & {*_GPU, "cpu"}:
        chosen.add("gpu")
    for name in names:
        needs = _BY_NAME[name].needs
        if needs and not chosen & set(needs):
            chosen.add(needs[0])
    _refuse_exclusive(chosen)
    return tuple(overlay for overlay in OVERLAYS if overlay.name in chosen)


def exclusions(name: str) -> dict[str, str]:
    """The overlays that cannot be combined with this one, each with the reason."""
    return {other: reason for group, reason in _ONE_OF if name in group for other in group if other != name} | {
        other: reason for pair, reason in _PAIRS for other in pair if name in pair and other != name
    }


#: Two that cannot be combined, and why.
_PAIRS: tuple[tuple[tuple[str, str], str], ...] = ()


def _refuse_exclusive(chosen: set[str]) -> None:
    for first, second in combinations([o.name for o in OVERLAYS if o.name in chosen], 2):
        if reason := exclusions(first).get(second):
            raise UsageError(
                f"the overlays {first} and {second} exclude each other: {reason}",
                mend=f"leave out one: --overlay {first}",
            )
