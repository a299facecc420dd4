"""From logits to a token. Pure: numpy arrays, a Sampling and a generator of random numbers in, a token out."""

from __future__ import annotations

import numpy as np


def generator(seed):
    """The random numbers of one request: with a seed the same in every batch and on every machine."""
    return np.random.Generator(np.random.PCG64(None if seed is None else seed % 2**64))


def choose(logits, sampling, random, banned=()):
    """A token for one row of logits, never a `banned` one. Temperature 0 takes the largest, the first of equals."""
    if banned:
        logits = logits.copy()
        logits[list(banned)] = -np.inf
    if sampling.temperature == 0:
        return int(logits.argmax())
    tokens, weights = likeliest(logits.astype(np.float64) / sampling.temperature, sampling.top_k, sampling.top_p)
    edges = np.cumsum(weights)
    # The draw is below the last edge, whatever the rounding of the sum.
    return int(tokens[min(np.searchsorted(edges, random.random() * edges[-1], side="right"), len(tokens) - 1)])


def likeliest(logits, top_k, top_p):
    """The tokens to draw from and their weights: the `top_k` largest, of those the fewest that sum to `top_p`."""
    if top_k in (0, -1) and top_p >= 1:
        weights = np.exp(logits - logits.max())
        return np.arange(len(logits)), weights
    count = len(logits) if top_k in (0, -1) else min(top_k, len(logits))
    kept = np.arange(len(logits)) if count == len(logits) else np.argpartition(-logits, count - 1)[:count]
    order = kept[np.argsort(-logits[kept], kind="stable")]
    weights = np.exp(logits[order] - logits[order[0]])
    if top_p < 1:
        # The token that crosses top_p belongs to the nucleus.
        within = int(np.searchsorted(np.cumsum(weights), top_p * weights.sum())) + 1
        order, weights = order[:within], weights[:within]
    return order, weights
