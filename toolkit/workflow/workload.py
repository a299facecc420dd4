"""From what a command line says about a workload to requests, for an entry of a family that has workloads.

In: words, a trace, and where the tokenizer is. Out: whole requests. What the words mean is the family's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.families.family import Family
from toolkit.load.connection import WireProtocol
from toolkit.load.token_trace import has_lengths


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What is sent to an entry that generates text: `workload` in words, else by a `trace` that has lengths.

    `tokenizer` is the folder that counts its tokens; None: the entry's own where it lies on this machine.
    """

    workload: str | None = None
    trace: Path | None = None
    tokenizer: Path | None = None


def workload_requests(
    family: Family, config: Mapping[str, Any], sent: Sent, *, own: Path | None, protocol: WireProtocol
) -> tuple[bytes, ...]:
    """The requests to an entry with this config; `own` is the folder of its files, None where it is elsewhere."""
    assert family.asking is not None
    workload: Mapping[str, Any] = family.asking.workload(sent.workload) if sent.workload else {}
    if not workload and sent.trace is not None and has_lengths(sent.trace):
        workload = {"trace": str(sent.trace)}
    folder = sent.tokenizer or (own if own is not None and own.is_dir() else None)
    return family.asking.requests(family.asking.entry(config, folder), workload, protocol)
