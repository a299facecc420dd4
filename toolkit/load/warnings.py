"""Warnings as values: each says its figure, the threshold, the cause and the remedy. Pure functions of a measurement.

A function returns the Warning, or None when all is well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.load.duration import seconds_text
from toolkit.load.early_stopping import discounted, requests_needed
from toolkit.load.measurement import ClientHealth, Distribution, ErrorCount, GpuUse, ModelSplit, Warning
from toolkit.load.outcome import WRONG_ANSWER, kind_of
from toolkit.load.request_records import Ended, Records
from toolkit.load.stationarity import start, step, trend
from toolkit.load.statistics import Series

MAX_CPU_SHARE = 0.7
MAX_DRIFT = 0.1
#: Time for which a CPU quota held threads back, summed over cores, as a share of the window.
MAX_THROTTLED_SHARE = 0.01
#: A late send is part of the latency, since that counts from the intended one: what it must not be is much of it.
MAX_LAG_OF_LATENCY = 0.1
#: Below the first no lag matters: it is what certify allows the load engine. Up to the second it is the scheduler of a
#: machine that client and server share, and makes figures worse, never better: told, but not invalid.
HARMLESS_LAG_S, INVALID_LAG_S = 200e-6, 1e-3
#: Answers that every connection should have had before the window: the first pays for the connection's set-up.
ANSWERS_BEFORE_WINDOW = 2
MIN_ACHIEVED = 0.95
#: Standard deviations of a Poisson count that explain a difference between the offered and the achieved rate.
NOISE = 3.0
#: Effective samples from which the p99 has an upper end of its 95 % interval.
SAMPLES_FOR_P99 = 368


def client_limited(client: ClientHealth) -> Warning | None:
    """The load generator was short of CPU: the figures may be its own. Invalid."""
    if client.cpu_share <= MAX_CPU_SHARE:
        return None
    text = (
        f"the load generator used {client.cpu_share:.0%} of one core (limit {MAX_CPU_SHARE:.0%}), so it may have "
        "measured itself; use fewer clients or more processes, or drive the load from another machine"
    )
    return Warning(kind="ClientLimited", text=text, figure=client.cpu_share, threshold=MAX_CPU_SHARE, invalid=True)


def late_sends(client: ClientHealth, latency: Distribution, connection_waits: int = 0) -> Warning | None:
    """An open loop's sends lagged their schedule so far that the client is a part of what it measured.

    Not where requests waited for a connection: that lag is the server's, and ConnectionLimit tells of it.
    """
    lag_s = client.send_lag_p99_s
    if lag_s is None or not latency.quantiles or connection_waits:
        return None
    limit_s = max(HARMLESS_LAG_S, MAX_LAG_OF_LATENCY * latency.at(0.5).value_s)
    if lag_s <= limit_s:
        return None
    text = (
        f"one request in a hundred was sent {seconds_text(lag_s)} or more behind its schedule (limit "
        f"{seconds_text(limit_s)}, a tenth of the median latency or more), so the latencies hold the load generator's "
        "own delay; offer a lower rate, use more processes, or drive the load from another machine"
    )
    if not client.is_ahead:
        text += ", or run it as root or with CAP_SYS_NICE, so that it can go before what else the machine does"
    invalid = lag_s > max(limit_s, INVALID_LAG_S)
    return Warning(kind="ClientLimited", text=text, figure=lag_s, threshold=limit_s, invalid=invalid)


def connection_limit(waits: int, connections: int, requests: int) -> Warning | None:
    """Requests of an open loop had to wait for a connection, since no more may be opened."""
    if not waits:
        return None
    text = (
        f"{waits} requests waited for one of {connections} connections, the most that the load allows, and the wait "
        "counts as latency; offer a lower rate, or raise max_connections if the server is to take more at a time"
    )
    return Warning(kind="ConnectionLimit", text=text, figure=waits / max(1, requests), threshold=0.0)


def offered_not_achieved(records: Records, offered_per_s: float | None, throughput_per_s: float) -> Warning | None:
    """An open loop offered more than was answered, and its requests in flight grew in number: it has no steady state.

    Answers are successes, so errors lower the achieved rate as well.
    """
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    if offered_per_s is None or not window_s:
        return None
    missing, noise = (offered_per_s - throughput_per_s) * window_s, NOISE * math.sqrt(offered_per_s * window_s)
    if throughput_per_s >= MIN_ACHIEVED * offered_per_s or missing <= noise or grown_by(records) <= 0:
        return None
    text = (
        f"{throughput_per_s:.4g} of {offered_per_s:.4g} requests/s were answered (limit {MIN_ACHIEVED:.0%}) while the "
        f"number in flight grew by {grown_by(records)}: the latencies are those of a queue that grows for as long as "
        "it is measured; offer a lower rate, toolkit max-rate finds the highest"
    )
    share = throughput_per_s / offered_per_s
    return Warning(kind="OfferedNotAchieved", text=text, figure=share, threshold=MIN_ACHIEVED)


def grown_by(records: Records) -> int:
    """By how many the requests in flight grew from the beginning of the window to its end."""

    def in_flight(at_ns: int) -> int:
        return int(((records.intended_ns < at_ns) & (records.done_ns >= at_ns)).sum())

    return in_flight(records.window_end_ns) - in_flight(records.window_start_ns)


def warming_up(latencies: Series, records: Records) -> Warning | None:
    """The window began before the server and the connections had come to their pace.

    It is told, not cut: a cut that is chosen by what was seen would judge other requests than were agreed on, and
    candidates by different windows.
    """
    answers = int((records.done_ns < records.window_start_ns).sum())
    needed = ANSWERS_BEFORE_WINDOW * records.connections
    remedy = "lengthen the warm-up"
    if 0 < answers < needed:
        found = f"{answers} answers on {records.connections} connections"
        text = f"{found} came before the window, {needed} should; {remedy}"
        return Warning(kind="WarmingUp", text=text, figure=float(answers), threshold=float(needed))
    change = start(latencies)
    if not change.is_significant or abs(change.share) <= MAX_DRIFT:
        return None
    text = (
        f"the first tenth of the window was {_by(change.share, 'slower', 'faster')} than the rest "
        f"(limit {MAX_DRIFT:.0%}); {remedy}"
    )
    return Warning(kind="WarmingUp", text=text, figure=change.share, threshold=MAX_DRIFT)


def _by(share: float, more: str, less: str) -> str:
    return f"{abs(share):.0%} {more if share > 0 else less}"


def too_few_samples(samples: int, tau: float, window_s: float) -> Warning | None:
    """The p99 has no upper end of its interval; the time named is what decides it where no request misses."""
    effective = discounted(samples / tau)
    needed = requests_needed(0.01, 0.0, tau)
    if samples == 0 or math.floor(effective) >= SAMPLES_FOR_P99 or needed is None:
        return None
    needed_s = float(f"{1.1 * window_s * needed / samples:.2g}")
    text = (
        f"{samples} requests count as {effective:.0f} independent ones; the interval of the p99 has an upper end from "
        f"{SAMPLES_FOR_P99} on; measure for about {seconds_text(needed_s)}, or judge a lower percentile"
    )
    return Warning(kind="TooFewSamples", text=text, figure=effective, threshold=SAMPLES_FOR_P99)


def drifting(latencies: Series) -> Warning | None:
    """The latency had a trend over the window, or a step within it: the machine changed its pace."""
    for change, how in ((trend(latencies), "over"), (step(latencies), "in one step within")):
        if change.is_significant and abs(change.share) > MAX_DRIFT:
            direction = "rose" if change.share > 0 else "fell"
            text = (
                f"the latency {direction} by {abs(change.share):.0%} of its mean {how} the window (limit "
                f"{MAX_DRIFT:.0%}); lengthen the warm-up, and look for other work on the machine"
            )
            return Warning(kind="Drifting", text=text, figure=change.share, threshold=MAX_DRIFT)
    return None


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


def throttled(cpu_throttled_s: float, window_s: float, gpus: Sequence[GpuUse]) -> Warning | None:
    """The container's CPU quota, or a GPU's limits, held the work back during the window."""
    share = cpu_throttled_s / window_s if window_s > 0 else 0.0
    causes = [f"GPU {gpu.index}: {', '.join(gpu.throttled)}" for gpu in gpus if gpu.throttled]
    if share > MAX_THROTTLED_SHARE:
        causes.append(f"the container's CPU quota held threads back for {seconds_text(cpu_throttled_s)}")
    if not causes:
        return None
    text = (
        f"the machine was throttled during the window ({'; '.join(causes)}), so the figures are of the limit rather "
        "than of the model; raise the limit, or say with the figures that it is part of what was measured"
    )
    return Warning(kind="Throttled", text=text, figure=share, threshold=MAX_THROTTLED_SHARE)
