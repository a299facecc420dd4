"""Trains the towers, then the ranker on the towers' vectors; once, cached by the digest of all that it depends on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from networks import VECTOR, ItemTower, Ranker, UserTower, in_batch_softmax
from torch.nn import functional
from world import World, cache_folder, world

BATCH, RANKER_STEPS, NEGATIVES, UNKNOWN = 512, 800, 9, 0.05


@dataclass(frozen=True)
class Trained:
    """The world, the networks trained on it, and the items' table and vectors."""

    world: World
    user_tower: UserTower
    ranker: Ranker
    vectors: np.ndarray

    def item_table(self) -> np.ndarray:
        """[items, ITEM_WIDTH]: row, category, logarithms of price and popularity, vector."""
        w = self.world
        plain = (np.arange(len(w.item_ids)), w.category, np.log1p(w.price), w.log_popularity())
        return np.column_stack((*plain, self.vectors)).astype(np.float32)

    def user_table(self) -> np.ndarray:
        """[users, USER_WIDTH]: row, age, country."""
        w = self.world
        return np.column_stack((np.arange(len(w.user_ids)), w.age, w.country)).astype(np.float32)


@cache
def trained(users: int, items: int, count: int, seed: int, epochs: int, interactions: str = "") -> Trained:
    """Everything trained, from the cache or now."""
    data = world(users, items, count, seed, interactions)
    tower, ranker, item_tower = UserTower(len(data.user_ids)), Ranker(), ItemTower(len(data.item_ids))
    place = cached(users, items, count, seed, epochs, interactions)
    if not place.exists():
        torch.manual_seed(seed)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the same weights everywhere
        for network in (tower, ranker, item_tower):
            network.apply(_start)
        _train_towers(data, tower, item_tower, epochs)
        _train_ranker(data, tower, ranker, _vectors(data, item_tower))
        torch.set_num_threads(threads)
        place.parent.mkdir(parents=True, exist_ok=True)
        states = {"tower": tower.state_dict(), "ranker": ranker.state_dict(), "items": item_tower.state_dict()}
        torch.save(states, place.with_suffix(f".{os.getpid()}"))
        place.with_suffix(f".{os.getpid()}").replace(place)
    states = torch.load(place, weights_only=True)
    for network, name in ((tower, "tower"), (ranker, "ranker"), (item_tower, "items")):
        network.load_state_dict(states[name])
        network.eval().requires_grad_(False)
    return Trained(world=data, user_tower=tower, ranker=ranker, vectors=_vectors(data, item_tower))


def cached(*sizes: object) -> Path:
    """Where the weights for these sizes lie."""
    names = ("world.py", "networks.py", "train.py")
    text = b"".join((Path(__file__).parent / name).read_bytes() for name in names)
    text += repr((sizes, torch.__version__)).encode() + (Path(str(sizes[-1])).read_bytes() if sizes[-1] else b"")
    return cache_folder() / f"recsys-{hashlib.sha256(text).hexdigest()[:16]}.pt"


def _start(module: torch.nn.Module) -> None:
    if isinstance(module, torch.nn.Embedding):
        torch.nn.init.normal_(module.weight, std=0.02)


def item_inputs(data: World) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The item tower's inputs for the whole catalogue."""
    plain = np.column_stack((np.log1p(data.price), data.log_popularity())).astype(np.float32)
    return torch.arange(len(data.item_ids)), torch.from_numpy(data.category), torch.from_numpy(plain)


def _vectors(data: World, tower: ItemTower) -> np.ndarray:
    with torch.no_grad():
        return tower(*item_inputs(data)).numpy()


def user_inputs(data: World, rows: np.ndarray, history: np.ndarray, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """The user tower's inputs for some interactions and their histories; `vectors` [items, VECTOR] are all items'."""
    user, items = data.user[rows], torch.from_numpy(history)
    plain = torch.from_numpy(np.column_stack((user, data.age[user], data.country[user])).astype(np.float32))
    return {
        "user_row": plain.unsqueeze(1),
        "user_known": torch.ones(len(rows), 1),
        "hour": torch.from_numpy(data.hour[rows]).unsqueeze(1),
        "history_rows": vectors[items.clamp(min=0)],
        "history_known": (items >= 0).float(),
    }


def _train_towers(data: World, tower: UserTower, items: ItemTower, epochs: int) -> None:
    training = np.flatnonzero(~data.is_last())
    histories = data.histories(training)
    catalogue, log_q = item_inputs(data), torch.from_numpy(data.log_popularity())
    steps = epochs * -(-len(training) // BATCH)
    descend = _descent([*tower.parameters(), *items.parameters()], rate=1e-2, steps=steps)
    for _ in range(epochs):
        vectors = torch.from_numpy(_vectors(data, items))
        for chosen in torch.randperm(len(training)).split(BATCH):
            rows = training[chosen.numpy()]
            inputs = user_inputs(data, rows, histories[chosen.numpy()], vectors)
            inputs["user_known"] *= (torch.rand(len(rows), 1) > UNKNOWN).float()
            item = torch.from_numpy(data.item[rows])
            descend(in_batch_softmax(tower(**inputs), items(*(part[item] for part in catalogue)), item, log_q))


def _train_ranker(data: World, tower: UserTower, ranker: Ranker, vectors: np.ndarray) -> None:
    """One positive against NEGATIVES shown by popularity, which the loss corrects for: a score is a probability's."""
    training = np.flatnonzero(~data.is_last())
    histories = data.histories(training)
    table = torch.from_numpy(Trained(world=data, user_tower=tower, ranker=ranker, vectors=vectors).item_table())
    batches = torch.randperm(len(training))[: RANKER_STEPS * BATCH].split(BATCH)
    descend = _descent(list(ranker.parameters()), rate=1e-2, steps=len(batches))
    random, cumulative = np.random.default_rng(0), np.cumsum(data.popularity)
    log_q, known = torch.from_numpy(data.log_popularity()), torch.ones(BATCH, NEGATIVES + 1)
    for chosen in batches:
        rows = training[chosen.numpy()]
        with torch.no_grad():
            inputs = user_inputs(data, rows, histories[chosen.numpy()], table[:, -VECTOR:])
            user = tower(**inputs)
        negatives = np.searchsorted(cumulative, random.random((len(rows), NEGATIVES))).clip(max=len(table) - 1)
        candidates = torch.from_numpy(np.column_stack((data.item[rows], negatives)))
        scores = ranker(user, inputs["hour"], table[candidates], known[: len(rows)]) - log_q[candidates]
        descend(functional.cross_entropy(scores, torch.zeros(len(rows), dtype=torch.long)))


def _descent(parameters: list[torch.nn.Parameter], rate: float, steps: int) -> Callable[[torch.Tensor], None]:
    """One step of Adam on a loss; the learning rate rises to `rate` and falls to nothing over all `steps`."""
    optimiser = torch.optim.Adam(parameters, lr=rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.2)

    def descend(loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    return descend
