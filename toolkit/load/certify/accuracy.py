"""What the load engine says of requests, beside what the null server's log says of the same ones. Pure.

In: Records and a ServerLog. Out: percentiles of both sides, and how far they are apart.

The honest comparison: of each request the client says done - intended, and the server's log says when the answer was
given away. So the truth is the log's time of the answer less the client's intended send of the same request: it holds
the lateness of the send, which a user would feel too, and only that between giving the answer away and the client's
note of it is the engine's error. Percentiles of both are taken over the same requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.load.null_server.log import ServerLog, paired
from toolkit.load.pattern import RequestRate
from toolkit.load.request_records import Records
from toolkit.load.statistics import quantile

#: Percentiles are right within the larger of these, of the truth and absolute.
WITHIN_SHARE, WITHIN_S = 0.02, 200e-6
QUANTILES, STREAM_QUANTILES = (0.5, 0.99, 0.999), (0.5, 0.99)
#: What a stream has that is compared.
STREAM_RESPONSES = 16

Quantity = Literal["latency", "time to first token", "inter-token latency"]
Integers = NDArray[np.int64]
Compare = Callable[[Records, ServerLog, Integers, Integers], "tuple[Comparison, ...]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One percentile of the same requests, as the engine has it and as the log has it."""

    quantity: Quantity
    q: float
    measured_s: float
    true_s: float

    @property
    def error_s(self) -> float:
        """How much the engine says too much."""
        return self.measured_s - self.true_s

    @property
    def bound_s(self) -> float:
        """How much it may be off."""
        return max(WITHIN_SHARE * self.true_s, WITHIN_S)

    @property
    def excess(self) -> float:
        """The error as a share of its bound; 1 is the most that passes."""
        return abs(self.error_s) / self.bound_s


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyPoint:
    """One open loop against a behaviour, in one round. `share` is of the certified rate.

    `unpaired` ones were not found in the log for certain. `acausal` ones arrived before they were sent, or were seen
    answered before they were: any at all would mean that clocks or pairing cannot be trusted. `server_late_p99_s` is
    how late the null server itself was, against its queue model; the log holds that lateness, so it is no error.
    """

    behaviour: str
    share: float
    rate_per_s: float
    round: int
    requests: int
    unpaired: int
    acausal: int
    failed: int
    server_late_p99_s: float
    comparisons: tuple[Comparison, ...]


def comparisons(
    quantity: Quantity, measured_s: NDArray[np.float64], true_s: NDArray[np.float64], quantiles: Iterable[float]
) -> tuple[Comparison, ...]:
    """Percentiles of both sides; none of no requests."""
    if not len(measured_s):
        return ()
    measured, true = np.sort(measured_s), np.sort(true_s)
    return tuple(
        Comparison(quantity=quantity, q=q, measured_s=quantile(measured, q), true_s=quantile(true, q))
        for q in quantiles
    )


def judged(points: Sequence[AccuracyPoint]) -> dict[tuple[str, float, Quantity, float], Comparison]:
    """Of each behaviour, share, quantity and percentile the round with the median excess (the lower one of two)."""
    rounds: dict[tuple[str, float, Quantity, float], list[Comparison]] = {}
    for point in points:
        for found in point.comparisons:
            rounds.setdefault((point.behaviour, point.share, found.quantity, found.q), []).append(found)
    return {key: sorted(found, key=lambda c: c.excess)[(len(found) - 1) // 2] for key, found in rounds.items()}


def point_from_log(
    name: str, share: float, load: RequestRate, number: int, records: Records, log: ServerLog, compare: Compare
) -> AccuracyPoint:
    """What one load was, by the records and by the log. `compare` gets the rows of both sides to be compared."""
    found = paired(log, records)
    ours, theirs = found.records, found.rows
    early = (log.arrived_ns[theirs] < records.sent_ns[ours]) | (records.done_ns[ours] < log.done_ns[theirs])
    good = (records.in_window & records.succeeded)[ours] & (log.done_ns[theirs] > 0)
    late_s = np.sort(log.done_ns[theirs[good]] - log.due_ns[theirs[good]]) / 1e9
    return AccuracyPoint(
        behaviour=name,
        share=share,
        rate_per_s=load.rate_per_s,
        round=number,
        requests=int(good.sum()),
        unpaired=found.unpaired,
        acausal=int(early.sum()),
        failed=int((~records.succeeded).sum()),
        server_late_p99_s=quantile(late_s, 0.99) if len(late_s) else 0.0,
        comparisons=compare(records, log, ours[good], theirs[good]),
    )


def latency_comparisons(records: Records, log: ServerLog, ours: Integers, theirs: Integers) -> tuple[Comparison, ...]:
    """Latency from the intended send, of record `ours[i]` and the log's row `theirs[i]`."""
    intended_ns = records.intended_ns[ours]
    measured_s, true_s = (records.done_ns[ours] - intended_ns) / 1e9, (log.done_ns[theirs] - intended_ns) / 1e9
    return comparisons("latency", measured_s, true_s, QUANTILES)


def stream_comparisons(records: Records, log: ServerLog, ours: Integers, theirs: Integers) -> tuple[Comparison, ...]:
    """Time to first token from the intended send, and all gaps between tokens, of requests with all their responses."""
    starts = np.cumsum(records.responses, dtype=np.int64) - records.responses
    order = np.argsort(log.response_row, kind="stable")
    counts = np.bincount(log.response_row, minlength=len(log.identity))
    begins = np.cumsum(counts) - counts
    whole = (records.responses[ours] == STREAM_RESPONSES) & (counts[theirs] == STREAM_RESPONSES)
    ours, theirs, steps = ours[whole], theirs[whole], np.arange(STREAM_RESPONSES)
    measured_ns = records.response_ns[starts[ours][:, None] + steps]
    true_ns = log.response_ns[order][begins[theirs][:, None] + steps]
    intended_ns = records.intended_ns[ours]
    first = comparisons(
        "time to first token",
        (measured_ns[:, 0] - intended_ns) / 1e9,
        (true_ns[:, 0] - intended_ns) / 1e9,
        STREAM_QUANTILES,
    )
    measured_gaps, true_gaps = (np.diff(times, axis=1).ravel() / 1e9 for times in (measured_ns, true_ns))
    return (*first, *comparisons("inter-token latency", measured_gaps, true_gaps, STREAM_QUANTILES))
