"""Why a verdict is what it is, in a sentence with its counts. Pure: a Decision and a Criterion in, text out."""

from __future__ import annotations

from toolkit.load.duration import seconds_text
from toolkit.load.early_stopping import CONFIDENCE, Decision, requests_needed
from toolkit.load.slo import Criterion


def too_few(samples: int, effective: float) -> str:
    """Nothing can be decided on so little."""
    return f"{samples} requests count as {effective:.0f} independent ones, too few to decide; measure for longer"


def share_reason(criterion: Criterion, decision: Decision, allowed: float, looks: int) -> str:
    """What missed, what was allowed, how much it was worth, and what would decide where nothing did."""
    share, samples = decision.misses / decision.samples, decision.samples
    shares = f"({100 * share:.3g} %, {100 * allowed:.3g} % allowed)"
    counts = f"{decision.misses} of {samples} {_sampled(criterion)} {_missing(criterion)} {shares}"
    worth = f"they count as {decision.counted:.0f} independent ones"
    if decision.by_margin:
        side = "below" if decision.outcome == "PASS" else "above"
        return f"{counts}; {worth}, but in every tenth of the window the percentile was far {side} the limit"
    if decision.outcome != "UNDECIDED":
        relation = "fewer" if decision.outcome == "PASS" else "more"
        return f"{counts}; {worth}, enough to be {CONFIDENCE:.0%} sure that {relation} than allowed do"
    needed = requests_needed(allowed, share, decision.tau, looks=looks)
    remedy = f"about {needed / samples:.2g} times as many would decide" if needed else "the share is too near the limit"
    return f"{counts}; {worth}, too few to be {CONFIDENCE:.0%} sure either way; {remedy}"


def _sampled(criterion: Criterion) -> str:
    return "gaps between responses" if criterion.metric == "itl" else "requests"


def _missing(criterion: Criterion) -> str:
    if criterion.metric == "errors":
        return "failed"
    if criterion.metric == "goodput":
        limits = ", ".join(f"{bound.metric} {seconds_text(bound.limit_s)}" for bound in criterion.within)
        return f"failed or missed one of the limits ({limits})"
    took = {"latency": "took", "service": "took", "itl": "took"}.get(criterion.metric, f"had a {criterion.metric} of")
    return f"{took} more than {seconds_text(criterion.limit)} or failed"
