"""Data with a known truth: users, items and a year of interactions, all from one seed.

What a user likes follows from latent factors, which depend on age and country on one side and on category on the
other, and from the hour. Items have a skewed popularity: people pick from what they are shown. The generator's own
score is the best that any recommender could do here, and stands beside the trained one's.
Another interactions table (`interactions`: parquet or csv with user, item, timestamp) takes the generated one's place.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

FACTORS, SHOWN, CATEGORIES, AGES, COUNTRIES, HOURS = 12, 48, 24, 6, 8, 24
FIRST_ID = 100_000  # item ids are not row numbers, as in a real catalogue
HISTORY = 20


@dataclass(frozen=True)
class World:
    """Users and items by row; interactions in the order of time: rows of users and items, and the hour of each."""

    user_ids: np.ndarray
    item_ids: np.ndarray
    age: np.ndarray
    country: np.ndarray
    category: np.ndarray
    price: np.ndarray
    popularity: np.ndarray
    user: np.ndarray
    item: np.ndarray
    hour: np.ndarray
    truth: tuple[np.ndarray, np.ndarray, np.ndarray] | None

    def is_last(self) -> np.ndarray:
        """Which interactions are the last of their user: held out, never trained on."""
        return last_of_each(self.user)

    def log_popularity(self) -> np.ndarray:
        """[items]: 0 for an item as popular as the mean."""
        return np.log(self.popularity * len(self.popularity)).astype(np.float32)

    def log_chances(self, rows: np.ndarray) -> np.ndarray | None:
        """The best scores there are, [rows, items]: the logarithm of the generator's own probability of each item.

        An item is taken when it is shown, which its popularity decides, and fits better than the SHOWN - 1 others;
        these are drawn here, and the probability averaged over draws. None where the truth is not known.
        """
        if self.truth is None:
            return None
        people, things, by_hour = self.truth
        liking = people[self.user[rows]] @ things.T + by_hour[self.hour[rows]][:, self.category]
        others = np.random.default_rng(3).choice(len(self.popularity), (64, SHOWN - 1), p=self.popularity)
        chances = np.empty_like(liking)
        for row, own in enumerate(liking):
            grid = np.linspace(own.min(), own.max(), 200)
            rivals = np.log(np.exp(own[others]).sum(axis=1))
            taken = (1.0 / (1.0 + np.exp(rivals[:, None] - grid))).mean(axis=0)
            chances[row] = np.interp(own, grid, np.log(taken)) + self.log_popularity()
        return chances

    def histories(self, rows: np.ndarray, length: int = HISTORY) -> np.ndarray:
        """[rows, length]: the items, by row, that the user took before each interaction, newest first; -1 is none."""
        order = np.argsort(self.user, kind="stable")
        user, item = self.user[order], self.item[order]
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        before = place[rows, None] - 1 - np.arange(length)
        is_own = before >= np.searchsorted(user, self.user[rows])[:, None]
        return np.where(is_own, item[before.clip(min=0)], -1)


def last_of_each(user: np.ndarray) -> np.ndarray:
    """[interactions]: whether no later one is of the same user."""
    last = np.zeros(len(user), dtype=bool)
    _, from_end = np.unique(user[::-1], return_index=True)
    last[len(user) - 1 - from_end] = True
    return last


def world(users: int, items: int, count: int, seed: int, interactions: str = "") -> World:
    """The generated world, from the cache or now, or the one that a table of interactions tells."""
    if interactions:
        return from_table(Path(interactions))
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    place = cache_folder() / f"recsys-world-{users}-{items}-{count}-{seed}-{digest}.npz"
    names = [f.name for f in fields(World) if f.name != "truth"]
    if not place.exists():
        made = generated(users, items, count, seed)
        arrays = {name: getattr(made, name) for name in names}
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(f".{os.getpid()}.npz")
        np.savez(temporary, **arrays, truth_users=made.truth[0], truth_items=made.truth[1], truth_hours=made.truth[2])
        temporary.replace(place)
    with np.load(place) as kept:
        truth = (kept["truth_users"], kept["truth_items"], kept["truth_hours"])
        return World(**{name: kept[name] for name in names}, truth=truth)


def cache_folder() -> Path:
    """Where what was generated and trained is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poc-toolkit" / "weights"


def generated(users: int, items: int, count: int, seed: int) -> World:
    """Interactions drawn one by one: a user is shown items by their popularity and takes the one that fits best."""
    random = np.random.default_rng(seed)
    age, country = random.integers(0, AGES, users), random.integers(0, COUNTRIES, users)
    category = random.integers(0, CATEGORIES, items)
    price = random.lognormal(3.0, 0.8, items).astype(np.float32)
    by_age, by_country, by_category = (random.standard_normal((n, FACTORS)) for n in (AGES, COUNTRIES, CATEGORIES))
    user_factors = 0.5 * by_age[age] + 0.5 * by_country[country] + 0.9 * random.standard_normal((users, FACTORS))
    item_factors = 0.7 * by_category[category] + 0.7 * random.standard_normal((items, FACTORS))
    by_hour = random.standard_normal((HOURS, CATEGORIES))
    weight = 1.0 / (np.arange(items) + 20.0) ** 0.8
    popularity = random.permutation(weight / weight.sum())
    activity = random.lognormal(0.0, 0.7, users)
    user = np.concatenate((np.arange(users), random.choice(users, count - users, p=activity / activity.sum())))
    user = random.permutation(user)
    hour = random.integers(0, HOURS, count)
    cumulative, item = np.cumsum(popularity), np.empty(count, dtype=np.int64)
    for rows in np.array_split(np.arange(count), max(1, count // 20_000)):
        shown = np.searchsorted(cumulative, random.random((len(rows), SHOWN))).clip(max=items - 1)
        liking = np.einsum("nf,nsf->ns", user_factors[user[rows]], item_factors[shown])
        liking += by_hour[hour[rows, None], category[shown]]
        item[rows] = shown[np.arange(len(rows)), (liking + random.gumbel(size=liking.shape)).argmax(axis=1)]
    return World(
        user_ids=np.arange(users) + 1,
        item_ids=np.arange(items) + FIRST_ID,
        age=age,
        country=country,
        category=category,
        price=price,
        popularity=popularity,
        user=user,
        item=item,
        hour=hour,
        truth=(user_factors, item_factors, by_hour),
    )


def from_table(path: Path) -> World:
    """A world from columns user, item, timestamp (seconds); category and price of the items where there are any.

    Rows may stand in any order: they are sorted by time. Popularity is counted without what is held out.
    Raises ValueError for a table without these columns or rows, or with a value that is no number or no id.
    """
    columns = read_table(path)
    missing = sorted({"user", "item", "timestamp"} - set(columns))
    if missing:
        raise ValueError(f"{path.name} has no column {', '.join(missing)}; it has {', '.join(columns)}")
    known = ("user", "item", "timestamp", "category", "price")
    numbers = {n: numbers_from(columns[n], f"{path.name}: {n}", n in known[:2]) for n in known if n in columns}
    order = np.argsort(numbers["timestamp"], kind="stable")
    time, users, items = (numbers[name][order] for name in ("timestamp", "user", "item"))
    user_ids, user = np.unique(users, return_inverse=True)
    item_ids, first, item = np.unique(items, return_index=True, return_inverse=True)
    counts = 1.0 + np.bincount(item[~last_of_each(user)], minlength=len(item_ids))
    first = order[first]
    category = numbers["category"][first].astype(np.int64) % CATEGORIES if "category" in numbers else 0 * item_ids
    price = numbers["price"][first].clip(min=0) if "price" in numbers else np.ones(len(item_ids))
    return World(
        user_ids=user_ids,
        item_ids=item_ids,
        age=0 * user_ids,
        country=0 * user_ids,
        category=category,
        price=price.astype(np.float32),
        popularity=counts / counts.sum(),
        user=user,
        item=item,
        hour=(time // 3600 % HOURS).astype(np.int64),
        truth=None,
    )


def numbers_from(column: np.ndarray, where: str, is_id: bool) -> np.ndarray:
    """A column as float64, or as int64 where it holds ids, which are never negative. Raises ValueError with the row."""
    try:
        numbers = np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{where} does not hold numbers: {err}") from err
    good = np.isfinite(numbers) & ((numbers >= 0) & (np.floor(numbers) == numbers) | (not is_id))
    if not len(good) or not good.all():
        row = f"row {int(np.flatnonzero(~good)[0]) + 1} is {numbers[~good][0]:g}" if len(good) else "there is no row"
        raise ValueError(f"{where}: {row}; expected {'a whole number from 0 on' if is_id else 'a number'}")
    return np.asarray(column, dtype=np.int64) if is_id else numbers


def read_table(path: Path) -> dict[str, np.ndarray]:
    """The columns of a parquet or csv file by name; MovieLens' names are taken as well."""
    if path.suffix == ".parquet":
        from pyarrow import parquet

        table = parquet.read_table(path)
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
    else:
        rows = np.genfromtxt(path, delimiter=",", names=True, encoding="utf-8")
        columns = {name: np.atleast_1d(rows[name]) for name in rows.dtype.names or ()}
    names = {"userId": "user", "user_id": "user", "movieId": "item", "item_id": "item"}
    return {names.get(name, name): column for name, column in columns.items()}
