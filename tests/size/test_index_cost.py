"""The cost of a million queries at a fixed recall."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.measurement import Distribution, Measurement
from toolkit.load.pattern import Concurrency
from toolkit.load.verdict import Outcome
from toolkit.size.index_cost import index_costs
from toolkit.size.prices import PerInference, PriceBook, Rented
from toolkit.tune.index_choice import IndexPoint

NOTHING = Distribution(count=0, mean_s=None, minimum_s=None, maximum_s=None, quantiles=())
BOOK = PriceBook(
    currency="EUR",
    source="s",
    date="d",
    prices={"cloud": Rented(price_per_hour=3.6), "api": PerInference(price_per_million=1)},
)


def point(index: str, recall_low: float, per_s: float, outcome: Outcome = "PASS") -> IndexPoint:
    measurement = Measurement(
        load=Concurrency(clients=4),
        latency=NOTHING,
        service=NOTHING,
        throughput_per_s=per_s,
        offered_per_s=None,
        requests=1,
        errors=(),
        window_s=1.0,
        warmup_discarded=0,
        models=(),
        split=None,
        client=None,
        warnings=(),
    )
    return IndexPoint(
        index=index,
        effort_name="",
        effort=0,
        k=10,
        recall=recall_low + 0.005,
        recall_low=recall_low,
        recall_high=recall_low + 0.01,
        measurement=measurement,
        verdicts=(),
        outcome=outcome,
        in_process_per_s=1.0,
        in_process_p99_s=1.0,
        build_s=1.0,
        index_bytes=1,
    )


POINTS = (
    point("flat", 1.0, 100),
    point("hnsw", 0.96, 1000),
    point("ivf", 0.90, 5000),
    point("lost", 1.0, 9e9, "INVALID"),
)


def test_the_cheapest_that_surely_finds_enough_comes_first() -> None:
    found = index_costs(POINTS, 0.95, BOOK, "A CPU", headroom=0.5)
    assert [(c.index, c.price) for c in found] == [("hnsw", "cloud"), ("flat", "cloud")]
    assert found[0].per_million == pytest.approx(1.0)  # 3.6 an hour, 3.6 million an hour
    assert found[0].with_headroom == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("recall", "book", "message"),
    [
        (1.0001, BOOK, "no point is sure to reach"),
        (0.9, PriceBook(currency="E", source="s", date="d", prices={"api": BOOK.prices["api"]}), "no machine"),
        (
            0.9,
            PriceBook(currency="E", source="s", date="d", prices={"a": Rented(price_per_hour=1, hardware="H100")}),
            "is for 'H100'",
        ),
    ],
)
def test_what_has_no_cost(recall: float, book: PriceBook, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        index_costs(POINTS, recall, book, "A CPU")
