"""Warnings of an index as values: each says its figure, the threshold, the cause and the remedy. Pure.

A function returns the IndexWarning, or None when all is well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toolkit.index.spec import GRAPHS, IndexSpec
from toolkit.index.vectors import Floats

#: The 99th percentile of the vectors' lengths over the first, from which a graph over inner products is doubtful.
MAX_LENGTH_RATIO = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWarning:
    """`text` names cause and remedy; `figure` has passed `threshold`."""

    kind: str
    text: str
    figure: float
    threshold: float


def unequal_lengths(vectors: Floats, spec: IndexSpec) -> IndexWarning | None:
    """A graph index for inner products over vectors of unequal length: the longest ones attract every search.

    Its links assume that a neighbour's neighbour is near, which holds for distances and for unit vectors only. Source:
    Morozov, Babenko, "Non-metric Similarity Graphs for Maximum Inner Product Search", 2018.
    """
    if spec.metric != "inner_product" or spec.kind not in GRAPHS:
        return None
    low, high = np.quantile(np.linalg.norm(vectors, axis=1), (0.01, 0.99))
    ratio = float(high / low) if low > 0 else float("inf")
    if ratio <= MAX_LENGTH_RATIO:
        return None
    text = (
        f"the longest vectors are {ratio:.1f} times as long as the shortest (limit {MAX_LENGTH_RATIO:g}), and a graph "
        "over inner products of unequal lengths may miss most neighbours; give the vectors unit length (the order is "
        "the cosine's then), or use --kind ivf or flat, and see the recall"
    )
    return IndexWarning(kind="UnequalLengths", text=text, figure=ratio, threshold=MAX_LENGTH_RATIO)
