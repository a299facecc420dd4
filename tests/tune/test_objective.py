"""What is best, and what it takes to say so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from toolkit.environment import UNKNOWN, Gpu
from toolkit.errors import UsageError
from toolkit.load.pattern import RequestRate
from toolkit.tune.decision import Candidate
from toolkit.tune.max_rate_probe import Observation
from toolkit.tune.objective import Name, Objective, objective_of
from toolkit.tune.search import Ask, Tried

GPU = replace(UNKNOWN, gpus=(Gpu(name="a GPU", memory_bytes=1, driver="1"),))
ASK = Ask(candidate=Candidate(name="c", config={}), load=RequestRate(rate_per_s=10.0), why="load")


def tried(**figures: float) -> Tried:
    return Tried(ask=ASK, observation=Observation(seen=(), outcome="PASS", spent_s=1.0), **figures)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("price", "amount", "currency"), [("1.20EUR", 1.2, "EUR"), ("3", 3.0, ""), ("0.5 USD", 0.5, "USD")]
)
def test_a_price_is_an_amount_and_a_currency(price: str, amount: float, currency: str) -> None:
    found = objective_of("cost", price=price, rate_per_s=None, environment=UNKNOWN, has_power_meter=False)
    assert (found.price_per_hour, found.currency) == (amount, currency)


def test_cost_per_million_is_the_price_of_the_time_they_take() -> None:
    objective = Objective(name="cost", price_per_hour=3.6, currency="EUR")
    assert objective.cost_per_million(100.0) == pytest.approx(10.0)
    assert objective.of_rate(100.0) == "10 EUR per million requests at 100 requests/s"


@pytest.mark.parametrize(
    ("name", "price", "rate", "message"),
    [
        ("cost", None, None, "no price is given"),
        ("cost", "cheap", None, "is not an amount"),
        ("cost", "-1EUR", None, "expected more than 0"),
        ("energy", None, None, "nothing measures power here: no GPU, no readable RAPL counter"),
        ("latency", None, -5.0, "--rate is -5"),
    ],
)
def test_what_cannot_be_measured_is_refused_with_the_reason(
    name: Name, price: str | None, rate: float | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        objective_of(name, price=price, rate_per_s=rate, environment=UNKNOWN, has_power_meter=False)


def test_scores_grow_with_merit() -> None:
    latency, energy = Objective(name="latency"), Objective(name="energy")
    assert (latency.score([tried(tail_s=0.01)]) or 0) > (latency.score([tried(tail_s=0.02)]) or 0)
    frugal, hungry = tried(power_w=50.0, throughput_per_s=100.0), tried(power_w=60.0, throughput_per_s=100.0)
    assert (energy.score([frugal]) or 0) > (energy.score([hungry]) or 0)
    assert energy.of_score(energy.score([frugal]) or 0) == "0.5 J per request"
    assert energy.score([tried(throughput_per_s=5.0)]) is None
    assert objective_of("energy", price=None, rate_per_s=None, environment=GPU, has_power_meter=True).clients == 8
