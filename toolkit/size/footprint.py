"""What one replica was seen to use: bytes on the wire and on disk, memory, cores, power, and how long it takes to load.

Values only; the workflow reads them from a run folder. Every tuple holds what was seen at the measured points, and is
empty where nobody looked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from toolkit.environment import Environment
from toolkit.size.figure import Figure, seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """One replica. `response_bytes` follows from the model's outputs; `shared`: the client ran on the same machine.

    `client_cores` and `server_cores` are shares of one core at the busiest point.
    """

    environment: Environment
    request_bytes: tuple[float, ...] = ()
    response_bytes: float | None = None
    repository_bytes: int = 0
    memory_bytes: tuple[float, ...] = ()
    server_cores: tuple[float, ...] = ()
    client_cores: tuple[float, ...] = ()
    power_w: tuple[float, ...] = ()
    load_s: tuple[float, ...] = ()
    shared: bool = True

    def figure(self, name: str, how: str) -> Figure | None:
        """A field's values as a Figure, None where there are none."""
        values: tuple[float, ...] = getattr(self, name)
        return seen(values, how) if values else None


def client_share_text(footprint: Footprint) -> str:
    """Whose cores the figures were measured on; where client and server shared them, how much the client took."""
    cores = footprint.environment.cores
    if not footprint.environment.is_known:
        return "Where client and server ran is not known: the result was imported."
    if not footprint.shared:
        return "The client ran on a machine of its own."
    if not footprint.client_cores or not cores:
        return "Client and server shared this machine; what the client took was not measured."
    took = max(footprint.client_cores)
    return (
        f"Client and server shared {cores:g} cores, of which the client took up to {took:.2f} "
        f"({100 * took / cores:.0f} %): a server with all of them to itself does at least as much."
    )


_LINE = re.compile(r"^I(\d{4} \d\d:\d\d:\d\d\.\d{6}) .*\"(loading: |successfully loaded )'?([\w.-]+)")


def load_times_s(log: str) -> tuple[float, ...]:
    """How long each start-up in a Triton log took, from the first "loading" to the last "successfully loaded".

    A start-up ends where the server announces its HTTP service; reloads after it are not counted.
    """
    found: list[float] = []
    first = last = None
    for line in log.splitlines():
        match = _LINE.match(line)
        if match:
            moment = datetime.strptime(f"2000{match[1]}", "%Y%m%d %H:%M:%S.%f")
            first = first or (moment if match[2].startswith("loading") else None)
            last = last if match[2].startswith("loading") else moment
        elif "Started HTTPService" in line:
            if first and last:
                found.append((last - first).total_seconds())
            first = last = None
    return tuple(found)
