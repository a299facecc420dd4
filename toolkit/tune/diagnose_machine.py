"""Rules about what is around the models: the client, the network, the machine, the cache, the first request. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from toolkit.load.measurement import Measurement
from toolkit.tune.findings import WORTH_S, Facts, Finding, Rule, finding, others_share
from toolkit.tune.words import percent_text, time_text

#: How many requests without an answer are told from a Poisson count's noise is the warning's own business.
NOT_ACHIEVED, THROTTLED, CACHE = "OfferedNotAchieved", "Throttled", "CacheOn"


def _windows(facts: Facts) -> list[Measurement]:
    return [m for m in (facts.loaded, facts.quiet, facts.slow) if m is not None]


def client(facts: Facts) -> Iterator[Finding]:
    """The load generator itself is what was measured."""
    shares = [m.client.cpu_share for m in _windows(facts) if m.client]
    # Who is late although hardly anything is asked was woken late: it is not the work that limits.
    busy = [m for m in _windows(facts) if m is not facts.slow]
    late = [w for m in busy for w in m.warnings if w.kind == "ClientLimited" and w.invalid]
    share = max(shares, default=0.0)
    evidence = late[0].text if late else f"the load generator used {percent_text(share)} of a core"
    remedy = "use more --processes, or drive the load from another machine"
    yield from finding("client", "", max(share, 1.0 if late else 0.0), evidence, remedy)


def network(facts: Facts) -> Iterator[Finding]:
    """Most of a request's time passes outside the server, although nobody else is there."""
    split = facts.quiet.split if facts.quiet else None
    if split is None or split.network_s < WORTH_S["network"]:
        return
    share = split.network_s / split.latency_s
    evidence = f"{time_text(split.network_s)} of {time_text(split.latency_s)} pass between client and server"
    remedy = "send from nearer, send several rows in a request, or use shared memory on the same machine"
    yield from finding("network", "", share, evidence, remedy)


def other_work(facts: Facts) -> Iterator[Finding]:
    """Something else uses the machine, and every time that was measured is longer for it."""
    share = max((others_share(m, facts.cores) for m in _windows(facts)), default=0.0)
    evidence = f"{percent_text(share)} of the cores were used by neither the server nor the load generator"
    remedy = "end the other work, or give the server cores of its own; times measured meanwhile are not compared"
    yield from finding("other work", "", share, evidence, remedy)


def overload(facts: Facts) -> Iterator[Finding]:
    """More is asked than the server can answer: the queue grows for as long as it lasts."""
    for measurement in _windows(facts):
        for warning in measurement.warnings:
            if warning.kind == NOT_ACHIEVED:
                remedy = "toolkit max-rate finds the highest rate, toolkit tune a configuration that serves more"
                yield from finding("overload", "", 1 - warning.figure, warning.text, remedy)
                return


def memory(facts: Facts) -> Iterator[Finding]:
    """The server takes nearly all memory that there is."""
    used = max((m.server.resident_bytes for m in _windows(facts) if m.server), default=0)
    if facts.memory_bytes:
        evidence = f"the server holds {used / 2**20:,.0f} of {facts.memory_bytes / 2**20:,.0f} MiB"
        remedy = "fewer instances, or a smaller precision"
        yield from finding("memory", "", used / facts.memory_bytes, evidence, remedy)


def throttled(facts: Facts) -> Iterator[Finding]:
    """A quota, the temperature or the power held the machine back."""
    for measurement in _windows(facts):
        for warning in measurement.warnings:
            if warning.kind == THROTTLED:
                figure = max(warning.figure, 1.0 if any(g.throttled for g in measurement.gpus) else 0.0)
                remedy = "raise the CPU quota, the power cap, or the cooling"
                yield from finding("power or thermal limit", "", figure, warning.text, remedy)
                return


def cache(facts: Facts) -> Iterator[Finding]:
    """Answers came from the response cache: the figures are not of the model."""
    for measurement in _windows(facts):
        for warning in measurement.warnings:
            if warning.kind == CACHE:
                hit = [s.model for s in measurement.models if s.cache_hits]
                change = {name: {"response_cache": {"enable": False}} for name in hit}
                remedy = "response_cache.enable: false while measuring"
                yield from finding(
                    "response cache", hit[0] if hit else "", warning.figure, warning.text, remedy, change
                )
                return


def cold_start(facts: Facts) -> Iterator[Finding]:
    """The first request after a load waits for what the load should have done."""
    if not facts.first_s or facts.quiet is None or not facts.quiet.latency.quantiles:
        return
    usual_s, first_s = facts.quiet.latency.at(0.5).value_s, facts.first_s[0]
    if first_s - usual_s < WORTH_S["cold start"]:
        return
    evidence = f"the first request after a load took {time_text(first_s)}, the median {time_text(usual_s)}"
    remedy = "model_warmup with the batch sizes that are served (toolkit export writes one), before the model is ready"
    yield from finding("cold start", "", first_s / usual_s, evidence, remedy)


def data_conversion(facts: Facts) -> Iterator[Finding]:
    """Tensors are sent as JSON text, which both sides must write and read number by number."""
    evidence = f"{percent_text(facts.json_share)} of the requests carry their tensors as JSON"
    remedy = "send tensors as binary data (Inference-Header-Content-Length), or over gRPC"
    yield from finding("data conversion", "", facts.json_share, evidence, remedy)


RULES: tuple[Rule, ...] = (client, other_work, throttled, cache, overload, memory, cold_start, network, data_conversion)
