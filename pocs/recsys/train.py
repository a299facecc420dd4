"""Trains the towers, then the ranker on the towers' vectors; once, cached by the digest of all that it depends on."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from networks import ITEM_WIDTH, VECTOR, ItemTower, Ranker, UserTower, in_batch_softmax
from torch.nn import functional
from world import World, cache_folder, world

BATCH, RANKER_STEPS, NEGATIVES, UNKNOWN = 1024, 400, 9, 0.05


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
        plain = (np.arange(len(w.item_ids)), w.category, np.log1p(w.price), np.log(w.popularity * len(w.item_ids)))
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
        torch.nn.init.normal_(module.weight, std=0.1)


def _vectors(data: World, tower: ItemTower) -> np.ndarray:
    with torch.no_grad():
        found = tower(torch.arange(len(data.item_ids)), torch.from_numpy(data.category), torch.from_numpy(data.price))
    return found.numpy()


def user_inputs(data: World, rows: np.ndarray, histories: np.ndarray, vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """The user tower's inputs for some interactions; `vectors` [items, VECTOR] are those of the history."""
    user, history = data.user[rows], torch.from_numpy(histories[rows])
    plain = torch.from_numpy(np.column_stack((user, data.age[user], data.country[user])).astype(np.float32))
    return {
        "user_row": plain.unsqueeze(1),
        "user_known": torch.ones(len(rows), 1),
        "hour": torch.from_numpy(data.hour[rows]).unsqueeze(1),
        "history_rows": vectors[history.clamp(min=0)],
        "history_known": (history >= 0).float(),
    }


def _train_towers(data: World, tower: UserTower, items: ItemTower, epochs: int) -> None:
    training, histories = np.flatnonzero(~data.is_last()), data.histories()
    category, price = torch.from_numpy(data.category), torch.from_numpy(data.price)
    log_q = torch.from_numpy(np.log(data.popularity + 1e-9)).float()
    optimiser = torch.optim.Adam([*tower.parameters(), *items.parameters()], lr=5e-3)
    for _ in range(epochs):
        vectors = torch.from_numpy(_vectors(data, items))
        for chosen in torch.randperm(len(training)).split(BATCH):
            rows = training[chosen.numpy()]
            inputs = user_inputs(data, rows, histories, vectors)
            inputs["user_known"] *= (torch.rand(len(rows), 1) > UNKNOWN).float()
            item = torch.from_numpy(data.item[rows])
            loss = in_batch_softmax(tower(**inputs), items(item, category[item], price[item]), item, log_q)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def _train_ranker(data: World, tower: UserTower, ranker: Ranker, vectors: np.ndarray) -> None:
    """One positive against NEGATIVES shown by popularity and by chance."""
    training, histories = np.flatnonzero(~data.is_last()), data.histories()
    table = torch.from_numpy(Trained(world=data, user_tower=tower, ranker=ranker, vectors=vectors).item_table())
    optimiser = torch.optim.Adam(ranker.parameters(), lr=3e-3)
    random, cumulative = np.random.default_rng(0), np.cumsum(data.popularity)
    known = torch.ones(BATCH, NEGATIVES + 1)
    assert table.shape[1] == ITEM_WIDTH
    for chosen in torch.randperm(len(training))[: RANKER_STEPS * BATCH].split(BATCH):
        rows = training[chosen.numpy()]
        with torch.no_grad():
            inputs = user_inputs(data, rows, histories, table[:, -VECTOR:])
            user = tower(**inputs)
        negatives = np.searchsorted(cumulative, random.random((len(rows), NEGATIVES))).clip(max=len(table) - 1)
        candidates = torch.from_numpy(np.column_stack((data.item[rows], negatives)))
        scores = ranker(user, inputs["hour"], table[candidates], known[: len(rows)])
        loss = functional.cross_entropy(scores, torch.zeros(len(rows), dtype=torch.long))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
