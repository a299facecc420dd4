"""The load engine on trial: driven against null servers of known behaviour, and judged by their logs.

In: a Plan. Out: a Certification, all rounds kept. The highest honest rate is found first and apart; what is compared
with the logs afterwards is driven at shares of it, behaviours and rates in turn, so that a machine's bad moment meets
them all alike. It does not know where a certificate is stored.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

from toolkit.errors import ServerTrouble
from toolkit.load.certify.accuracy import (
    QUANTILES,
    STREAM_RESPONSES,
    AccuracyPoint,
    Comparison,
    latency_comparisons,
    point_from_log,
    stream_comparisons,
)
from toolkit.load.certify.certification import Certification, StallCheck
from toolkit.load.certify.honest_rate import Ceiling, RateProbe, highest_rate, probe_from_records
from toolkit.load.engine import drive
from toolkit.load.null_server import (
    Behaviour,
    NullServer,
    answers_request,
    null_requests,
    null_server,
    paired,
    read_log,
)
from toolkit.load.pattern import Concurrency, Load, RequestRate
from toolkit.load.process_tree import read_processes
from toolkit.load.request_records import Records

Say = Callable[[str], None]

#: More than an open loop has in flight, so that the requests of one id cannot overtake each other.
PAYLOADS = 4096
#: The servers of a behaviour are as many as make them this busy at the highest rate that is compared.
BUSY = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is tried. Each point is driven for `point_s`, in each of `rounds`, at each of `shares`."""

    resolution: float = 0.1
    probe_s: float = 1.0
    clients: int = 16
    shares: tuple[float, ...] = (0.2, 0.5, 0.8)
    behaviours: tuple[str, ...] = ("constant", "exponential", "bimodal", "batching")
    rounds: int = 5
    point_s: float = 1.0
    warmup_s: float = 0.2
    stall_s: float = 1.0
    around_stall_s: float = 4.0
    stream_s: float = 2.0


FULL = Plan()
QUICK = Plan(
    resolution=0.5,
    probe_s=0.5,
    shares=(0.5,),
    behaviours=("constant", "batching"),
    rounds=1,
    stall_s=0.5,
    around_stall_s=2.0,
    stream_s=1.0,
)


def put_on_trial(plan: Plan = FULL, *, say: Say = lambda _: None) -> Certification:
    """Put the load engine on trial. Raises ServerTrouble when a null server does not start."""
    began, at, load_average = perf_counter(), datetime.now(UTC).isoformat(timespec="seconds"), os.getloadavg()[0]
    with null_server(Behaviour()) as server:
        say("the null server's own ceiling")
        ceiling = _ceiling(server, plan)
        probes: list[RateProbe] = []
        rate_per_s = highest_rate(
            lambda rate: _holds(server, rate, plan, probes, say), first=1000.0, least=50.0, resolution=plan.resolution
        )
    points = (*accuracy_points(rate_per_s, plan, say), *stream_points(rate_per_s, plan, say)) if rate_per_s else ()
    say(f"a planted stall of {plan.stall_s:g} s")
    return Certification(
        at=at,
        certified_rate_per_s=rate_per_s,
        ceiling=ceiling,
        probes=tuple(probes),
        points=points,
        stall=stall_check(rate_per_s, plan),
        took_s=perf_counter() - began,
        load_average=load_average,
    )


def _drive(server: NullServer, load: Load, *, streamed: bool = False) -> Records:
    """The records of a whole load. Raises KeyboardInterrupt after Ctrl-C, ServerTrouble when the server is gone."""
    requests = null_requests(PAYLOADS, streamed=streamed)
    if streamed:
        records = drive(server.endpoint, requests, load, protocol="sse")
    else:
        records = drive(server.endpoint, requests, load, check=answers_request)
    if records.ended == "interrupted":
        raise KeyboardInterrupt
    if records.ended == "server lost":
        raise ServerTrouble(f"the null server at {server.endpoint.http} is gone", mend="toolkit certify")
    return records


# --- the highest honest rate ------------------------------------------------------------------------------------------


def _ceiling(server: NullServer, plan: Plan) -> Ceiling:
    load = Concurrency(clients=plan.clients, duration_s=plan.probe_s, warmup_s=plan.warmup_s)
    records, server_share = _driven(server, load)
    found = probe_from_records(records, server_share, rate_per_s=0.0)
    return Ceiling(
        clients=plan.clients,
        answered_per_s=found.answered_per_s,
        cpu_share=found.cpu_share,
        cpu_per_request_s=found.cpu_per_request_s,
        server_cpu_share=server_share,
        server_cpu_per_request_s=server_share / max(found.answered_per_s, 1.0),
    )


def _holds(server: NullServer, rate_per_s: float, plan: Plan, probes: list[RateProbe], say: Say) -> bool:
    """Whether a rate is an honest one: two good probes of at most three, since every machine has a bad moment."""

    def once() -> bool:
        load = RequestRate(rate_per_s=rate_per_s, duration_s=plan.probe_s, warmup_s=plan.warmup_s, seed=len(probes))
        probe = probe_from_records(*_driven(server, load), rate_per_s=rate_per_s)
        probes.append(probe)
        say(f"{rate_per_s:,.0f} requests/s: {' and '.join(probe.limits) or 'holds'}")
        return not probe.limits

    first, second = once(), once()
    return (first and second) or ((first or second) and once())


def _driven(server: NullServer, load: Load) -> tuple[Records, float]:
    """The records of a load, and the server's share of a core while requests were on their way."""
    before = read_processes((server.pid,)).processes
    records = _drive(server, load)
    after = read_processes((server.pid,)).processes
    if server.pid not in before or server.pid not in after or not len(records.done_ns):
        return records, 0.0
    span_s = (records.done_ns.max() - records.intended_ns.min()) / 1e9
    return records, float((after[server.pid].cpu_s - before[server.pid].cpu_s) / span_s)


# --- against the log --------------------------------------------------------------------------------------------------


def behaviours_for(rate_per_s: float) -> dict[str, Behaviour]:
    """The behaviours that are tried, with enough servers to be BUSY at `rate_per_s`."""

    def servers(service_s: float) -> int:
        return max(1, math.ceil(rate_per_s * service_s / BUSY))

    behaviours = {
        law: Behaviour(service_s=0.002, law=law, capacity=servers(0.002))
        for law in ("constant", "exponential", "bimodal")
    }
    rows, service_s, row_s = 16, 0.002, 0.0001
    behaviours["batching"] = Behaviour(
        service_s=service_s,
        row_s=row_s,
        max_batch_size=rows,
        batch_delay_s=0.001,
        capacity=servers(service_s / rows + row_s),
    )
    return behaviours


def accuracy_points(rate_per_s: float, plan: Plan, say: Say) -> Iterator[AccuracyPoint]:
    """Each behaviour at each share of the rate, round by round."""
    behaviours = behaviours_for(max(plan.shares) * rate_per_s)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(null_server(behaviours[name])) for name in plan.behaviours}
        for number in range(plan.rounds):
            for share in plan.shares:
                say(f"against the log, round {number + 1} of {plan.rounds}, at {share:.0%} of {rate_per_s:,.0f}/s")
                for name, server in servers.items():
                    load = RequestRate(
                        rate_per_s=share * rate_per_s, duration_s=plan.point_s, warmup_s=plan.warmup_s, seed=number
                    )
                    records, log = _drive(server, load), read_log(server)
                    yield point_from_log(name, share, load, number, records, log, latency_comparisons)


def stream_points(rate_per_s: float, plan: Plan, say: Say) -> Iterator[AccuracyPoint]:
    """Streams at a fifth of the rate in responses, at most 100 of them a second."""
    behaviour = Behaviour(responses=STREAM_RESPONSES, ttft_s=0.020, itl_s=0.005)
    share = min(0.2, 100 * STREAM_RESPONSES / rate_per_s)
    load = RequestRate(
        rate_per_s=share * rate_per_s / STREAM_RESPONSES, duration_s=plan.stream_s, warmup_s=plan.warmup_s
    )
    with null_server(behaviour) as server:
        for number in range(plan.rounds):
            say(f"streams, round {number + 1} of {plan.rounds}")
            records, log = _drive(server, load, streamed=True), read_log(server)
            yield point_from_log("streaming", share, load, number, records, log, stream_comparisons)


# --- the planted stall ------------------------------------------------------------------------------------------------


def stall_check(rate_per_s: float, plan: Plan) -> StallCheck:
    """The p99 of an open and of a closed loop around a planted stall."""
    behaviour = Behaviour(service_s=0.001, capacity=8, stall_at_s=plan.around_stall_s / 4, stall_s=plan.stall_s)
    rate_per_s = min(400.0, max(rate_per_s / 5, 50.0))  # as many wait after a second, within the connections' limit
    loads: tuple[Load, ...] = (
        RequestRate(rate_per_s=rate_per_s, duration_s=plan.around_stall_s, warmup_s=0.0),
        Concurrency(clients=4, duration_s=plan.around_stall_s, warmup_s=0.0),
    )
    return StallCheck(
        stall_s=plan.stall_s, open=_stall_p99(behaviour, loads[0]), closed=_stall_p99(behaviour, loads[1])
    )


def _stall_p99(behaviour: Behaviour, load: Load) -> Comparison:
    with null_server(behaviour) as server:
        records, log = _drive(server, load), read_log(server)
    found = paired(log, records)
    return latency_comparisons(records, log, found.records, found.rows)[QUANTILES.index(0.99)]
