"""How much of the truth an approximate search found. Values, and pure arithmetic on arrays of ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRecall:
    """recall@k of a served index, the mean over queries with its 95 % interval.

    PASS when the whole interval is at least `asked`, FAIL when all of it is below.
    """

    entry: str
    index: str
    k: int
    queries: int
    asked: float
    recall: float
    low: float
    high: float
    outcome: Literal["PASS", "FAIL", "UNDECIDED"]


def recall(found: Ids, truth: Ids) -> NDArray[np.float64]:
    """recall@k of each query: the share of its k true neighbours among the k found; both [queries, k].

    An id that was found twice counts once, and -1 (nothing found) never. Where the truth itself holds fewer than k
    neighbours (a small catalogue), the share is of those that there are.
    """
    hits = [
        len(np.intersect1d(f[f >= 0], t[t >= 0])) / max(1, int((t >= 0).sum()))
        for f, t in zip(found, truth, strict=True)
    ]
    return np.asarray(hits)


def mean_interval(shares: NDArray[Any]) -> tuple[float, float, float]:
    """The mean over queries with its 95 % interval (queries are independent draws); the ends are within 0..1."""
    mean = float(shares.mean())
    half = 1.96 * float(shares.std(ddof=1)) / np.sqrt(len(shares)) if len(shares) > 1 else 1.0
    return mean, max(0.0, mean - half), min(1.0, mean + half)
