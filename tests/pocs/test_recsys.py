"""The recommender's own code: interactions tables, good and bad, what is best possible, and a catalogue of one item."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "pocs" / "recsys"
GOOD = "user,item,timestamp,price\n7,50,3600,2.5\n9,51,7200,1\n7,51,0,1\n7,52,10800,8\n"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], ModuleType]:
    """Import a module of the PoC's folder as the export worker does, its cache in `tmp_path`."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for path in FOLDER.glob("*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "table.csv").write_text(text)
    return tmp_path / "table.csv"


def test_rows_in_any_order_become_a_world_in_the_order_of_time(
    load: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    made = load("world").from_table(written(tmp_path, GOOD))
    assert made.user_ids.tolist() == [7, 9] and made.item_ids.tolist() == [50, 51, 52]
    assert made.user.tolist() == [0, 0, 1, 0] and made.item.tolist() == [1, 0, 1, 2]
    assert made.hour.tolist() == [0, 1, 2, 3] and made.price.tolist() == [2.5, 1, 8]
    assert made.is_last().tolist() == [False, False, True, True]
    assert made.histories(np.arange(4), 2).tolist() == [[-1, -1], [1, -1], [-1, -1], [0, 1]]
    assert (made.popularity * 5).tolist() == [2, 2, 1], "what is held out counts for nothing, and nothing is impossible"


def test_movielens_names_and_parquet_say_the_same(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    from pyarrow import parquet

    columns = {"userId": [7, 9], "movieId": [50, 51], "rating": [4.5, 3], "timestamp": [3600, 0]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "ratings.parquet")
    made = load("world").from_table(tmp_path / "ratings.parquet")
    assert made.user_ids.tolist() == [7, 9] and made.item.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("timestamp", "when"), "has no column timestamp; it has user, item, when, price"),
        ("user,item,timestamp\n", "there is no row"),
        (GOOD.replace("9,51,7200", "anna,51,7200"), "user: row 2 is nan; expected a whole number"),
        (GOOD.replace("9,51,7200", "9,-1,7200"), "item: row 2 is -1; expected a whole number from 0 on"),
        (GOOD.replace("9,51,7200", "9,5.5,7200"), r"item: row 2 is 5\.5"),
        (GOOD.replace("7200", ""), "timestamp: row 2 is nan; expected a number"),
        (GOOD.replace("10800,8", "10800,inf"), "price: row 4 is inf"),
        (GOOD + "7,50\n", "columns"),
    ],
)
@pytest.mark.filterwarnings("ignore:Empty input file", "ignore:genfromtxt. Empty input")
def test_damaged_tables_are_refused(load: Callable[[str], ModuleType], tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load("world").from_table(written(tmp_path, text))


def likelihood(scores: np.ndarray, taken: np.ndarray) -> float:
    """The mean logarithm of the probability of what was taken, when scores are logarithms of shares of it."""
    top = scores.max(axis=1, keepdims=True)
    shares = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    return float(np.take_along_axis(shares, taken[:, None], 1).mean())


def test_the_best_possible_is_the_probability_of_each_item(load: Callable[[str], ModuleType]) -> None:
    world = load("world")
    made = world.world(users=1000, items=300, count=20_000, seed=0)
    rows = np.flatnonzero(made.is_last())
    chances, taken = made.log_chances(rows), made.item[rows]
    total = np.exp(chances).sum(axis=1) * world.SHOWN / 300
    assert abs(total.mean() - 1) < 0.1 and total.std() < 0.2, "one of those that are shown is taken"
    people, things, by_hour = made.truth
    liking = people[made.user[rows]] @ things.T + by_hour[made.hour[rows]][:, made.category]
    popular = np.broadcast_to(made.log_popularity(), chances.shape)
    others = [likelihood(scores, taken) for scores in (popular, liking, liking + popular)]
    assert likelihood(chances, taken) > max(others) + 0.1


def test_a_catalogue_of_one_item_is_answered(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs the `pytorch` extra")
    pytest.importorskip("faiss", reason="indexes need the `recsys` extra")
    from toolkit.index.build import build_index
    from toolkit.index.spec import Hnsw

    sizes = {"users": 60, "items": 1, "count": 600, "seed": 0, "epochs": 1}
    catalogue = load("catalogue").catalogue(**sizes)
    build_index(catalogue["vectors"], Hnsw(metric="inner_product"), tmp_path / "i", name="i", ids=catalogue["ids"])
    served = {"candidates": 5, "best": 3, "ef_search": 16, "test_users": 30}
    asked = load("offline").offline(str(tmp_path / "i"), **sizes, **served)
    item = catalogue["ids"][0]
    expected = [[-1 if item in row else item, -1, -1] for row in asked["input.EXCLUDE"]]
    assert asked["answer.ITEMS"].tolist() == expected
    assert {tuple(row) for row in expected} == {(item, -1, -1), (-1, -1, -1)}
