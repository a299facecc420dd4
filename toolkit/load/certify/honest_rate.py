"""Up to which rate the load engine keeps its schedule with CPU to spare. Pure; nothing is driven here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from toolkit.load.request_records import Records
from toolkit.load.statistics import quantile

#: A rate is honest while p99 of the send lag and the client's share of a core stay under these.
MOST_SEND_LAG_S, MOST_CPU_SHARE = 200e-6, 0.70


@dataclass(frozen=True, slots=True, kw_only=True)
class RateProbe:
    """One open loop at a rate, Poisson arrivals, against a null server without service time. Shares are of one core."""

    rate_per_s: float
    answered_per_s: float
    send_lag_p99_s: float
    cpu_share: float
    cpu_per_request_s: float
    server_cpu_share: float
    failed: int

    @property
    def limits(self) -> tuple[str, ...]:
        """What kept the rate from being an honest one; nothing when it is."""
        found = {
            "send lag": self.send_lag_p99_s > MOST_SEND_LAG_S,
            "client CPU": self.cpu_share > MOST_CPU_SHARE,
            "failed requests": self.failed > 0,
        }
        return tuple(name for name, exceeded in found.items() if exceeded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What client and null server do together in a closed loop without service time: the yardstick's own limit."""

    clients: int
    answered_per_s: float
    cpu_share: float
    cpu_per_request_s: float
    server_cpu_share: float
    server_cpu_per_request_s: float


def probe_from_records(records: Records, server_cpu_share: float, *, rate_per_s: float) -> RateProbe:
    """What a window at a rate says of the client."""
    inside = records.in_window & records.succeeded
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    lag_s = np.sort(records.sent_ns[inside] - records.intended_ns[inside]) / 1e9
    count = int(inside.sum())
    return RateProbe(
        rate_per_s=rate_per_s,
        answered_per_s=count / window_s,
        send_lag_p99_s=quantile(lag_s, 0.99) if count else window_s,
        cpu_share=records.client_cpu_ns / 1e9 / window_s,
        cpu_per_request_s=records.client_cpu_ns / 1e9 / max(count, 1),
        server_cpu_share=server_cpu_share,
        failed=int((records.in_window & ~records.succeeded).sum()),
    )


def highest_rate(holds: Callable[[float], bool], *, first: float, least: float, resolution: float) -> float:
    """The highest rate that holds, within `resolution` of itself: doubled until it fails, then bisected by ratio.

    Where `first` does not hold it is halved, down to `least`; 0 when none holds.
    """
    low = first
    while not holds(low):
        low /= 2
        if low < least:
            return 0.0
    high = 2 * low
    if low >= first:
        while holds(high):
            low, high = high, 2 * high
    while high / low > 1 + resolution:
        middle = float((low * high) ** 0.5)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
