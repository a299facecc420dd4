"""What a configuration is worth: requests per second, money, a short tail, or energy; and what it must keep besides.

In: an objective's name and what it needs (a price, a rate). Out: an Objective, whose scores grow with merit. Pure. Two
kinds differ in how they are searched: throughput and cost ask for the highest rate that holds the SLO, latency and
energy for the best figure at a load that is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit.environment import Environment
from toolkit.errors import UsageError
from toolkit.tune.search import Tried
from toolkit.tune.words import rate_text, time_text

Name = Literal["throughput", "latency", "cost", "energy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`price_per_hour` is of the machine that was measured, in `currency`; only cost needs it.

    `rate_per_s` is the load of latency and energy; None: a closed loop of one client, or of eight for energy.
    """

    name: Name = "throughput"
    price_per_hour: float | None = None
    currency: str = ""
    rate_per_s: float | None = None

    @property
    def seeks_rate(self) -> bool:
        """Whether it is about the highest rate that holds the SLO."""
        return self.name in ("throughput", "cost")

    @property
    def clients(self) -> int:
        """Of the closed loop where no rate is given: one asks for the lowest latency, eight keep a server at work."""
        return 1 if self.name == "latency" else 8

    def of_rate(self, rate_per_s: float) -> str:
        """A sustained rate in the words of this objective."""
        text = f"{rate_text(rate_per_s)} requests/s"
        if self.name != "cost" or not rate_per_s:
            return text
        return f"{rate_text(self.cost_per_million(rate_per_s))} {self.currency} per million requests at {text}".strip()

    def cost_per_million(self, rate_per_s: float) -> float:
        """Price of the machine for the time that a million requests take at the sustained rate."""
        return (self.price_per_hour or 0.0) / 3600 / rate_per_s * 1e6

    def score(self, tried: Sequence[Tried]) -> float | None:
        """The merit of windows at the given load, the larger the better; None when they do not tell."""
        values = [v for t in tried if (v := self._value(t)) is not None]
        return -sum(values) / len(values) if values else None

    def _value(self, tried: Tried) -> float | None:
        if self.name == "latency":
            return tried.tail_s
        if tried.power_w is None or not tried.throughput_per_s:
            return None
        return tried.power_w / tried.throughput_per_s

    def of_score(self, score: float) -> str:
        """A score of the given load in words."""
        return f"a tail of {time_text(-score)}" if self.name == "latency" else f"{-score:.3g} J per request"


def objective_of(
    name: Name,
    *,
    price: str | None,
    rate_per_s: float | None,
    environment: Environment,
    has_power_meter: bool,
) -> Objective:
    """The objective as it was asked for. `price` is `1.20` or `1.20EUR`, per hour of this machine.

    Raises UsageError where it cannot be measured here: a cost without a price, energy without a meter.
    """
    if rate_per_s is not None and rate_per_s <= 0:
        raise UsageError(f"--rate is {rate_per_s:g}; expected more than 0")
    if name == "cost" and price is None:
        raise UsageError(
            "the objective is cost, and no price is given; none is assumed",
            mend="--price 1.20EUR, what an hour of this machine costs you",
        )
    if name == "energy" and not has_power_meter:
        found = f"{len(environment.gpus)} GPUs by NVML" if environment.gpus else "no GPU"
        raise UsageError(
            f"the objective is energy, and nothing measures power here: {found}, no readable RAPL counter "
            "(/sys/class/powercap/intel-rapl:*/energy_uj)",
            mend="run where NVML or RAPL can be read (RAPL often needs root), or choose another --objective",
        )
    amount, currency = _price(price) if price is not None else (None, "")
    return Objective(name=name, price_per_hour=amount, currency=currency, rate_per_s=rate_per_s)


def _price(text: str) -> tuple[float, str]:
    number = text.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz€$ ")
    try:
        amount = float(number)
    except ValueError as err:
        raise UsageError(f"--price '{text}' is not an amount", mend="--price 1.20EUR") from err
    if not amount > 0:
        raise UsageError(f"--price is {amount:g}; expected more than 0", mend="--price 1.20EUR")
    return amount, text[len(number) :].strip()
