"""What one process is to drive: a value that can be sent to it, and how a load is shared out among several.

In: a Load. Out: as many Jobs as there are processes, which together are that load. No sockets, no clock.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toolkit.errors import UsageError
from toolkit.load.connection import WireProtocol, prepared
from toolkit.load.pattern import Concurrency, Load, OpenLoad, arrivals_s
from toolkit.serve.server import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """A closed loop: so many clients."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An open loop: the intended sends, in ns from the common beginning, over at most `max_connections`."""

    offsets_ns: array[int]
    max_connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that a process needs to know. Payloads go in rotation, from `first_payload` on."""

    endpoint: Endpoint
    requests: tuple[bytes, ...]
    protocol: WireProtocol
    part: Clients | Schedule
    warmup_ns: int
    duration_ns: int
    timeout_ns: int
    first_payload: int

    @property
    def connections(self) -> int:
        """How many connections will be open at most."""
        return self.part.count if isinstance(self.part, Clients) else self.part.max_connections


def jobs_from_load(
    endpoint: Endpoint,
    requests: Sequence[bytes],
    load: Load,
    *,
    protocol: WireProtocol,
    processes: int,
    timeout_s: float,
) -> tuple[Job, ...]:
    """One job for each process. Raises UsageError without requests, or for more processes than connections."""
    if not requests:
        raise UsageError("there is no request to send")
    as_sent = prepared(requests, endpoint, protocol)
    return tuple(
        Job(
            endpoint=endpoint,
            requests=as_sent,
            protocol=protocol,
            part=part,
            warmup_ns=int(load.warmup_s * 1e9),
            duration_ns=int(load.duration_s * 1e9),
            timeout_ns=int(timeout_s * 1e9),
            first_payload=index % len(requests),
        )
        for index, part in enumerate(_parts(load, processes))
    )


def _parts(load: Load, processes: int) -> Sequence[Clients | Schedule]:
    if isinstance(load, Concurrency):
        return [Clients(count=count) for count in _shared_out(load.clients, processes, "clients")]
    return _dealt(load, processes)


def _dealt(load: OpenLoad, processes: int) -> list[Schedule]:
    """The arrivals dealt like cards, so that every process sends at the same share of the rate all the time."""
    limits = _shared_out(load.max_connections, processes, "max_connections")
    offsets_ns = np.round(arrivals_s(load) * 1e9).astype(np.int64)
    return [
        Schedule(offsets_ns=array("q", offsets_ns[index::processes].tobytes()), max_connections=limit)
        for index, limit in enumerate(limits)
    ]


def _shared_out(count: int, processes: int, name: str) -> list[int]:
    if not 1 <= processes <= count:
        raise UsageError(f"processes is {processes}; expected 1 to {count}, the load's {name}")
    return [count // processes + (index < count % processes) for index in range(processes)]
