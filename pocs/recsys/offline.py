"""The same recommendations without a server, by code of its own: PyTorch, the same index, numpy.

It is asked for every test user, for their last visit, which no training saw; and for the cases that go wrong: a user
nobody knows, an empty history, unknown items in it, items that must not come back. `quality` says how good the models
are.
"""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import torch
from train import Trained, trained, user_inputs
from world import HISTORY

EXCLUDED = 8


def offline(
    items_index: str,
    users: int,
    items: int,
    count: int,
    seed: int,
    epochs: int,
    candidates: int,
    best: int,
    ef_search: int,
    test_users: int,
    interactions: str = "",
) -> dict[str, np.ndarray]:
    """What the pipeline is asked, row by row, and what it must answer; and how good that is."""
    torch.set_num_threads(1)  # rows are asked one by one: more threads would only wait for each other
    made = trained(users, items, count, seed, epochs, interactions)
    rows = test_rows(made, test_users)
    return questions(made, rows, Path(items_index), candidates, best, ef_search) | quality(made, rows, candidates, best)


def questions(
    made: Trained, rows: np.ndarray, index: Path, candidates: int, best: int, ef_search: int
) -> dict[str, np.ndarray]:
    """`input.NAME` and `answer.NAME` for some interactions, and the item that was really taken."""
    history = made.world.histories(rows)
    asked = {
        "USER": made.world.user_ids[made.world.user[rows]][:, None],
        "HOUR": made.world.hour[rows][:, None],
        "HISTORY": np.where(history >= 0, made.world.item_ids[history], -1),
        "EXCLUDE": np.full((len(rows), EXCLUDED), -1),
    }
    special = len(rows) // 10
    asked["USER"][:special] = -7  # nobody knows this user
    asked["HISTORY"][special // 2 : 2 * special] = -1  # nor what these took before
    asked["HISTORY"][2 * special : 3 * special, ::2] = made.world.item_ids.max() + 1  # no longer in the catalogue
    asked["EXCLUDE"][3 * special :] = asked["HISTORY"][3 * special :, :EXCLUDED]  # seen already
    ids, scores = recommend(made, index, asked, candidates, best, ef_search)
    label = made.world.item_ids[made.world.item[rows]]
    answers = {"answer.ITEMS": ids, "answer.SCORES": scores}
    return {f"input.{name}": array.astype(np.int64) for name, array in asked.items()} | answers | {"label": label}


def test_rows(made: Trained, test_users: int) -> np.ndarray:
    """The last interactions of as many users, drawn by seed."""
    last = np.flatnonzero(made.world.is_last())
    return np.sort(np.random.default_rng(1).choice(last, min(test_users, len(last)), replace=False))


def recommend(
    made: Trained, index: Path, asked: dict[str, np.ndarray], candidates: int, best: int, ef_search: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best items of each row with their scores; -1 and minus infinity where there are no more."""
    row_of_item = {int(name): row for row, name in enumerate(made.world.item_ids)}
    row_of_user = {int(name): row for row, name in enumerate(made.world.user_ids)}
    table, library = torch.from_numpy(made.item_table()), faiss.read_index(str(index / "index.faiss"))
    names = np.load(index / "ids.npy")
    found_ids = np.full((len(asked["USER"]), best), -1)
    found_scores = np.full(found_ids.shape, -np.inf, dtype=np.float32)
    for n in range(len(found_ids)):
        vector = user_vector(made, table, row_of_user, row_of_item, {key: array[n] for key, array in asked.items()})
        unwanted = {int(i) for i in asked["EXCLUDE"][n]}
        wanted = min(candidates + EXCLUDED, len(names))
        _, places = library.search(vector.numpy(), wanted, params=faiss.SearchParametersHNSW(efSearch=ef_search))
        kept = [int(names[p]) for p in places[0] if p >= 0 and int(names[p]) not in unwanted][:candidates]
        if not kept:
            continue
        rows = table[[row_of_item[i] for i in kept]].unsqueeze(0)
        with torch.no_grad():
            hour = torch.from_numpy(asked["HOUR"][n]).unsqueeze(0)
            scores = made.ranker(vector, hour, rows, torch.ones(1, len(kept)))[0].numpy()
        order = np.argsort(-scores, kind="stable")[:best]
        found_ids[n, : len(order)] = np.array(kept)[order]
        found_scores[n, : len(order)] = scores[order]
    return found_ids, found_scores


def user_vector(
    made: Trained,
    table: torch.Tensor,
    row_of_user: dict[int, int],
    row_of_item: dict[int, int],
    asked: dict[str, np.ndarray],
) -> torch.Tensor:
    """[1, VECTOR] for one row of questions."""
    user = row_of_user.get(int(asked["USER"][0]))
    history = [row_of_item.get(int(i)) for i in asked["HISTORY"]]
    rows = torch.zeros(1, HISTORY, table.shape[1])
    for place, row in enumerate(history):
        if row is not None:
            rows[0, place] = table[row]
    plain = torch.zeros(1, 1, 3) if user is None else torch.from_numpy(made.user_table()[user]).view(1, 1, 3)
    with torch.no_grad():
        return made.user_tower(
            plain,
            torch.tensor([[float(user is not None)]]),
            torch.from_numpy(asked["HOUR"]).unsqueeze(0),
            rows,
            torch.tensor([[float(row is not None) for row in history]]),
        )


def quality(made: Trained, rows: np.ndarray, candidates: int, best: int) -> dict[str, np.ndarray]:
    """Retrieval and ranking of the held-out items: trained, by popularity alone, and the best that is possible here."""
    data = made.world
    inputs = user_inputs(data, rows, data.histories(rows), torch.from_numpy(made.vectors))
    with torch.no_grad():
        vectors = made.user_tower(**inputs)
        retrieval = (vectors @ torch.from_numpy(made.vectors).T).numpy()
    table, popular = torch.from_numpy(made.item_table()), data.log_popularity()
    taken = data.item[rows]
    chosen = np.argpartition(-retrieval, min(candidates, retrieval.shape[1] - 1), axis=1)[:, :candidates]
    with torch.no_grad():
        ranked = made.ranker(vectors, inputs["hour"], table[torch.from_numpy(chosen)], torch.ones(chosen.shape)).numpy()
        negatives = np.random.default_rng(2).integers(0, len(popular), (len(rows), 20))
        pairs = torch.from_numpy(np.column_stack((taken, negatives)))
        paired = made.ranker(vectors, inputs["hour"], table[pairs], torch.ones(pairs.shape)).numpy()
    systems = {
        "trained": (
            retrieval,
            ndcg(np.where(chosen == taken[:, None], ranked, -np.inf).max(axis=1), ranked, best),
            paired,
        ),
    }
    everywhere = np.broadcast_to(popular, retrieval.shape)
    known = {"by popularity": everywhere}
    best_scores = data.log_chances(rows)
    if best_scores is not None:
        known["best possible"] = best_scores
    for name, scores in known.items():
        own = np.take_along_axis(scores, taken[:, None], 1)[:, 0]
        systems[name] = (scores, ndcg(own, scores, best), np.take_along_axis(scores, pairs.numpy(), 1))
    values = [[recall(s, taken, candidates), n, auc(p)] for s, n, p in systems.values()]
    metrics = [f"recall@{candidates} of retrieval", f"NDCG@{best}", "AUC of the ranker"]
    return {"system": np.array(list(systems)), "metric": np.array(metrics), "value": np.array(values).T}


def recall(scores: np.ndarray, taken: np.ndarray, k: int) -> float:
    """The share of rows whose own item is among the k highest scores."""
    own = np.take_along_axis(scores, taken[:, None], 1)
    return float(((scores > own).sum(axis=1) < k).mean())


def ndcg(own: np.ndarray, scores: np.ndarray, best: int) -> float:
    """1 / log2(1 + rank) of each row's own score, 0 beyond `best` or when it was not retrieved; the mean."""
    rank = 1 + (scores > own[:, None]).sum(axis=1)
    return float(np.where(np.isfinite(own) & (rank <= best), 1.0 / np.log2(1.0 + rank), 0.0).mean())


def auc(paired: np.ndarray) -> float:
    """How often a row's own item (first column) scores above another of the catalogue; ties count half."""
    own, others = paired[:, :1], paired[:, 1:]
    return float(((own > others) + 0.5 * (own == others)).mean())
