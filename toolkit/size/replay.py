"""Arrivals as they really came, replayed against simulated replicas: how many hold the limit.

In: moments and a curve with its chain of queues. Out: a Figure. Each request goes to one of the replicas by chance, as
a Kubernetes service deals connections out; the latencies of all replicas together are judged.
"""

from __future__ import annotations

import math

import numpy as np

from toolkit.errors import UsageError
from toolkit.load.statistics import quantile
from toolkit.size.curve import Curve
from toolkit.size.figure import Figure
from toolkit.size.simulation import Seconds, open_finishes_s

MOST_REPLICAS = 4096


def replayed_replicas(arrivals_s: tuple[float, ...], curve: Curve, limit_s: float) -> Figure:
    """The fewest replicas whose percentile stays within the limit: by the prediction, and by both ends of its interval.

    The error of the curve, at the mean rate of a replica, is put on the simulated latencies. Raises UsageError without
    a fitted queue, or where no number of replicas is enough.
    """
    if curve.chain is None:
        raise UsageError(
            "arrivals are replayed against a fitted queue, and this run has no server statistics to fit one from",
            mend="measure with a Triton whose statistics can be read, or give --rate",
        )
    moments = np.asarray(arrivals_s, dtype=np.float64)
    value, few, many = (_fewest(moments, curve, limit_s, end) for end in ("value", "low", "high"))
    how = f"{len(moments):,} arrivals replayed against the fitted queue, each sent to one replica by chance"
    how += f"; the middle of the interval needs {value}"
    return Figure(value=float(many), low=float(few), high=float(many), basis="interpolated", how=how)


def _fewest(moments: Seconds, curve: Curve, limit_s: float, end: str) -> int:
    """Bisection: more replicas are never slower."""
    most = 1
    while not _holds(moments, most, curve, limit_s, end):
        most *= 2
        if most > MOST_REPLICAS:
            raise UsageError(
                f"not even {MOST_REPLICAS} replicas hold {1e3 * limit_s:g} ms for these arrivals",
                mend="the limit is below what one request takes alone: tune first, or relax --slo",
            )
    few = most // 2
    while most - few > 1:
        middle = (few + most) // 2
        few, most = (few, middle) if _holds(moments, middle, curve, limit_s, end) else (middle, most)
    return most


def _holds(moments: Seconds, replicas: int, curve: Curve, limit_s: float, end: str) -> bool:
    assert curve.chain is not None
    dealt = np.random.default_rng(0).integers(replicas, size=len(moments))
    latencies = []
    for replica in range(replicas):
        own = moments[dealt == replica]
        latencies.append(open_finishes_s(curve.chain.stages, own) - own)
    simulated_s = quantile(np.sort(np.concatenate(latencies)), curve.q) + curve.chain.overhead_s
    span_s = float(moments[-1] - moments[0]) or 1.0
    rate_per_s = min(len(moments) / span_s / replicas, curve.highest_per_s)
    figure = curve.at(rate_per_s)
    wider = {"value": 1.0, "low": figure.low / figure.value, "high": figure.high / figure.value}[end]
    return simulated_s * math.exp(curve.residual_at(rate_per_s)) * wider <= limit_s
