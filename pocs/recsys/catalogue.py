"""What is served besides the models: the items with their vectors, and what is known of the users."""

from __future__ import annotations

import numpy as np
import torch
from train import Trained, trained, user_inputs


def catalogue(
    users: int, items: int, count: int, seed: int, epochs: int, interactions: str = ""
) -> dict[str, np.ndarray]:
    """Items and users by id with their features; the vectors of the index, and those that are looked for in it."""
    made = trained(users, items, count, seed, epochs, interactions)
    return {
        "ids": made.world.item_ids,
        "features": made.item_table(),
        "user_ids": made.world.user_ids,
        "user_features": made.user_table(),
        "vectors": made.vectors,
        "queries": queries(made),
    }


def queries(made: Trained, count: int = 1000) -> np.ndarray:
    """The vectors of users at their last visit."""
    data = made.world
    rows = np.flatnonzero(data.is_last())[-count:]
    inputs = user_inputs(data, rows, data.histories(rows), torch.from_numpy(made.vectors))
    with torch.no_grad():
        return made.user_tower(**inputs).numpy()
