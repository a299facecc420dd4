"""The customer's ranker: a user's vector, the hour and K candidates with their features to K scores."""

from __future__ import annotations

import numpy as np
import torch
from networks import VECTOR
from train import trained
from world import CATEGORIES, HOURS

OUTPUT_NAMES = ("scores",)


def load_model(users: int, items: int, count: int, seed: int, epochs: int, interactions: str = "") -> torch.nn.Module:
    """The trained ranker (trained on first use)."""
    return trained(users, items, count, seed, epochs, interactions).ranker


def sample_inputs(seed: int, n: int, candidates: int) -> dict[str, np.ndarray]:
    """`n` users drawn by `seed`, each with as many candidates as are served; some of these are none."""
    random = np.random.default_rng(seed)
    plain = [random.integers(0, 1000, (n, candidates)), random.integers(0, CATEGORIES, (n, candidates))]
    plain += [random.standard_normal((n, candidates)), random.standard_normal((n, candidates))]
    vectors = 0.3 * random.standard_normal((n, candidates, VECTOR))
    return {
        "user_vector": random.standard_normal((n, VECTOR)).astype(np.float32),
        "hour": random.integers(0, HOURS, (n, 1)),
        "rows": np.concatenate((np.stack(plain, axis=-1), vectors), axis=-1).astype(np.float32),
        "known": (random.random((n, candidates)) < 0.95).astype(np.float32),
    }
