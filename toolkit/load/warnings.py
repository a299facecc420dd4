"""Warnings as values: each says its figure, the threshold, the cause and the remedy. Pure functions of a measurement.

A function returns the Warning, or None when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.load.duration import seconds_text
from toolkit.load.measurement import ClientHealth, ErrorCount, ModelSplit, Warning
from toolkit.load.outcome import WRONG_ANSWER, kind_of
from toolkit.load.request_records import Ended
from toolkit.load.statistics import Series, slope_of_blocks

MAX_CPU_SHARE = 0.7
MAX_DRIFT = 0.1
#: Student's t of a slope through 20 blocks, two-sided 99 %.
SLOPE_T = 2.878
#: Effective samples from which the p99 has an upper end of its 95 % interval.
SAMPLES_FOR_P99 = 368


def client_limited(client: ClientHealth) -> Warning | None:
    """The load generator was short of CPU: the figures may be its own. Invalid."""
    if client.cpu_share <= MAX_CPU_SHARE:
        return None
    text = (
        f"the load generator used {client.cpu_share:.0%} of one core (limit {MAX_CPU_SHARE:.0%}), so it may have "
        "measured itself; use fewer clients, or drive the load from another machine"
    )
    return Warning(kind="ClientLimited", text=text, figure=client.cpu_share, threshold=MAX_CPU_SHARE, invalid=True)


def too_few_samples(samples: int, tau: float, window_s: float) -> Warning | None:
    """The p99 has no upper end of its interval."""
    effective = samples / tau
    if samples == 0 or math.floor(effective) >= SAMPLES_FOR_P99:
        return None
    needed_s = float(f"{1.1 * window_s * SAMPLES_FOR_P99 / effective:.2g}")
    text = (
        f"{samples} requests count as {effective:.0f} independent ones; the interval of the p99 has an upper end from "
        f"{SAMPLES_FOR_P99} on; measure for about {seconds_text(needed_s)}, or judge a lower percentile"
    )
    return Warning(kind="TooFewSamples", text=text, figure=effective, threshold=SAMPLES_FOR_P99)


def drifting(latencies: Series) -> Warning | None:
    """The latency had a trend over the window: warm-up was too short, or the machine changed its pace."""
    change, t_value = slope_of_blocks(latencies)
    mean = float(latencies.mean()) if len(latencies) else 0.0
    if not mean or abs(t_value) < SLOPE_T or abs(change) / mean <= MAX_DRIFT:
        return None
    direction = "rose" if change > 0 else "fell"
    text = (
        f"the latency {direction} by {abs(change) / mean:.0%} of its mean during the window (limit {MAX_DRIFT:.0%}); "
        "lengthen the warm-up, and look for other work on the machine"
    )
    return Warning(kind="Drifting", text=text, figure=change / mean, threshold=MAX_DRIFT)


def server_errors(errors: Sequence[ErrorCount], requests: int) -> Warning | None:
    """Requests failed; they count as misses in every verdict."""
    failed = sum(error.count for error in errors)
    if not failed:
        return None
    classes = ", ".join(f"{error.count} {error.kind}" for error in errors)
    text = f"{failed} of {requests} requests failed ({classes}) and count as misses; see the server's log"
    return Warning(kind="ServerErrors", text=text, figure=failed / requests, threshold=0.0)


def wrong_answers(errors: Sequence[ErrorCount], checked: int) -> Warning | None:
    """A checked answer was not the expected one. Invalid: only a sample is checked, so the true count is not known."""
    wrong = sum(error.count for error in errors if error.kind == kind_of(WRONG_ANSWER))
    if not wrong:
        return None
    text = (
        f"{wrong} of {checked} sampled answers were wrong; a server is not measured by wrong answers: check its parity "
        "under concurrency first"
    )
    return Warning(kind="WrongAnswers", text=text, figure=float(wrong), threshold=0.0, invalid=True)


def cache_on(models: Sequence[ModelSplit]) -> Warning | None:
    """Some answers came from the response cache: the model was not run for them."""
    hits, requests = sum(m.cache_hits for m in models), sum(m.requests for m in models)
    if not hits:
        return None
    text = (
        f"{hits} of {requests} executions were answered from the response cache; set response_cache.enable to false, "
        "or say with the figures that the cache was on"
    )
    return Warning(kind="CacheOn", text=text, figure=hits / max(1, requests), threshold=0.0)


def server_lost(ended: Ended) -> Warning | None:
    """The server was gone before the window was over. Invalid."""
    if ended != "server lost":
        return None
    text = (
        "the server took no more connections for a second, so the point ended early; see the server's log, start it "
        "again and measure the point again"
    )
    return Warning(kind="ServerLost", text=text, figure=1.0, threshold=0.0, invalid=True)


def no_answers(succeeded: int, requests: int) -> Warning | None:
    """Not one request of the window succeeded: there is nothing to compute percentiles from. Invalid."""
    if succeeded:
        return None
    text = f"none of {requests} requests in the window succeeded; send one with toolkit infer and read its error"
    return Warning(kind="NoAnswers", text=text, figure=0.0, threshold=1.0, invalid=True)
