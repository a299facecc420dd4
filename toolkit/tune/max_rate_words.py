"""What the search for the highest rate says, in sentences. Pure: values in, text out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolkit.load.duration import seconds_text
from toolkit.load.slo import Slo
from toolkit.tune.words import criterion_name, rate_text, target_text, time_text

if TYPE_CHECKING:
    from toolkit.tune.max_rate_fit import Estimate
    from toolkit.tune.max_rate_search import Probe

__all__ = ["criterion_name"]


def _targets(slo: Slo) -> str:
    return " and ".join(target_text(criterion) for criterion in slo.criteria)


def _long_text(seconds: float) -> str:
    """A budget, rounded up to two digits: `90s`, `12m`."""
    if seconds < 120:
        return seconds_text(float(f"{seconds:.2g}"))
    return f"{float(f'{seconds / 60:.2g}'):g}m"


def forecast(slo: Slo, rate_per_s: float, budget_s: float, needed_s: float) -> str:
    """Before anything is probed: whether the budget can decide."""
    text = (
        f"about {rate_text(rate_per_s)}/s is expected to hold; a budget of {_long_text(budget_s)} is then "
        f"{rate_text(rate_per_s * budget_s)} requests"
    )
    if needed_s > budget_s:
        return f"{text}, too few to decide {_targets(slo)}: that takes {_long_text(needed_s)} at the very least"
    return f"{text}; {_targets(slo)} takes {rate_text(rate_per_s * needed_s)} at the very least"


def too_short(slo: Slo, rate_per_s: float, budget_s: float, needed_s: float) -> str:
    """The budget cannot decide, so nothing was probed."""
    return (
        f"UNDECIDED: {_long_text(budget_s)} at about {rate_text(rate_per_s)} requests/s cannot decide {_targets(slo)}, "
        f"however the requests turn out; give it a budget of {_long_text(needed_s)} at the very least."
    )


def share_text(share: float) -> str:
    """A share of one as `0.42 %`."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def probe_text(number: int, probe: Probe, found: Estimate | None) -> str:
    """`probe 7: 812/s for 6 s: p99: 0.4 % over, 1 % allowed: PASS; between 790/s and 850/s`."""
    if probe.is_share:
        seen = f"{share_text(probe.measured)} of {probe.samples:,} missed, {share_text(probe.allowed)} allowed"
    else:
        seen = f"{time_text(probe.measured)}, {time_text(probe.allowed)} allowed"
    text = f"probe {number}: {rate_text(probe.rate_per_s)}/s for {seconds_text(probe.duration_s)}"
    text = f"{text}: {probe.criterion}: {seen}: {probe.outcome}"
    return text if found is None else f"{text}; now {rate_text(found.low)} to {rate_text(found.high)}/s"


def found_text(slo: Slo, found: Estimate) -> str:
    """The rate was found."""
    return (
        f"{_targets(slo)} holds up to {rate_text(found.rate_per_s)} requests/s "
        f"(95 % interval {rate_text(found.low)} to {rate_text(found.high)})."
    )


def undecided(slo: Slo, found: Estimate, aim: float, needed_s: float) -> str:
    """The interval is too wide."""
    return (
        f"UNDECIDED: {_targets(slo)} holds up to somewhere between {rate_text(found.low)} and {rate_text(found.high)} "
        f"requests/s; to know it within {100 * aim:.0f} %, give it a budget of about {_long_text(needed_s)}."
    )


def holds_at_top(slo: Slo, rate_per_s: float) -> str:
    """The highest rate that was asked for holds."""
    return f"{_targets(slo)} holds at {rate_text(rate_per_s)} requests/s, the highest rate that was to be tried."


def nothing_holds(slo: Slo, probe: Probe) -> str:
    """Even the lowest rate misses the SLO."""
    seen = f"{share_text(probe.measured)} of the requests miss it" if probe.is_share else time_text(probe.measured)
    return (
        f"No rate holds {_targets(slo)}: at {rate_text(probe.rate_per_s)} requests/s, the lowest one tried, "
        f"{seen} ({probe.criterion}), so it is not the load that makes it slow."
    )


def again(rate_per_s: float, cause: str) -> str:
    """A probe cannot be used, and the search goes on."""
    return f"a probe at {rate_text(rate_per_s)}/s is not used: {cause}"


def spoiled(rate_per_s: float, cause: str) -> str:
    """A probe cannot be used."""
    return f"UNDECIDED: the search ended at {rate_text(rate_per_s)} requests/s: {cause}."


def nothing_measured() -> str:
    """No probe had a request in its window."""
    return "UNDECIDED: no probe had a request in its window, so nothing is known; give it a larger budget."
