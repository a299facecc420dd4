"""The customer's user tower: who asks, when, and what they took before, to a vector that is near what they may take."""

from __future__ import annotations

import numpy as np
import torch
from networks import ITEM_WIDTH, VECTOR
from train import trained
from world import COUNTRIES, HISTORY, HOURS

OUTPUT_NAMES = ("user_vector",)


def load_model(users: int, items: int, count: int, seed: int, epochs: int, interactions: str = "") -> torch.nn.Module:
    """The trained tower (trained on first use)."""
    return trained(users, items, count, seed, epochs, interactions).user_tower


def sample_inputs(seed: int, n: int, users: int) -> dict[str, np.ndarray]:
    """`n` askers drawn by `seed`; some are unknown, some have no history."""
    random = np.random.default_rng(seed)
    row = [random.integers(0, users, n), random.integers(0, 6, n), random.integers(0, COUNTRIES, n)]
    history = random.standard_normal((n, HISTORY, ITEM_WIDTH)).astype(np.float32)
    history[:, :, -VECTOR:] *= 0.3
    return {
        "user_row": np.stack(row, axis=-1)[:, None].astype(np.float32),
        "user_known": (random.random((n, 1)) < 0.9).astype(np.float32),
        "hour": random.integers(0, HOURS, (n, 1)),
        "history_rows": history,
        "history_known": (random.random((n, HISTORY)) < random.random((n, 1))).astype(np.float32),
    }
