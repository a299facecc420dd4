"""Records to figures: the warm-up cut, percentiles with their intervals, throughput, errors, and where the time went.

In: Records, and what the server said about the same time. Out: a Measurement. Pure; it does not know an SLO.

What counts: a request belongs to the window when it was *meant to be sent* within it, however long it took; throughput
counts the successes that were *done* within it. Latencies are of successful requests; the others are counted by class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.load import warnings
from toolkit.load.early_stopping import discounted, tau_of_share
from toolkit.load.measurement import (
    ClientHealth,
    Distribution,
    ErrorCount,
    Measurement,
    ModelSplit,
    Quantile,
    Streams,
    TimeSplit,
    Warning,
)
from toolkit.load.outcome import kind_of
from toolkit.load.pattern import Concurrency, Load
from toolkit.load.request_metrics import Seconds, window_times_s
from toolkit.load.request_records import Records
from toolkit.load.statistics import quantile, quantile_interval

QUANTILES = (0.5, 0.9, 0.95, 0.99)
#: Computed from that many requests on, since fewer do not reach it.
RARE_QUANTILES = {0.999: 1000}


def measurement_from_records(
    records: Records,
    load: Load,
    *,
    models: tuple[ModelSplit, ...] = (),
    split: TimeSplit | None = None,
    warned: Sequence[Warning] = (),
) -> Measurement:
    """Every figure of one load point; `warned` are warnings that were found elsewhere."""
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    counted = records.in_window
    succeeded = counted & records.succeeded
    latency, service = latencies_s(records, succeeded), _seconds(records.done_ns - records.sent_ns, succeeded)
    requests, errors = int(counted.sum()), error_counts(records)
    client, offered_per_s = client_health(records, load), offered_rate_per_s(records, load)
    throughput_per_s = len(completions_s(records)) / window_s if window_s > 0 else 0.0
    measured, streams = distribution(latency), streams_of(records)
    if streams is not None:
        models, split = without_executions(models), None
    found = (
        warnings.server_lost(records.ended),
        warnings.no_answers(len(latency), requests),
        warnings.wrong_answers(errors, records.checked),
        warnings.client_limited(client),
        warnings.late_sends(client, measured, records.connection_waits),
        warnings.connection_limit(records.connection_waits, records.connections, requests),
        warnings.offered_not_achieved(records, offered_per_s, throughput_per_s),
        warnings.server_errors(errors, requests),
        warnings.cache_on(models),
        warnings.too_few_samples(len(latency), latency_tau(latency, 0.99), window_s),
        warming := warnings.warming_up(latency, records),
        warnings.drifting(latency[len(latency) // 10 :] if warming else latency),
    )
    return Measurement(
        load=load,
        latency=measured,
        service=distribution(service),
        throughput_per_s=throughput_per_s,
        offered_per_s=offered_per_s,
        requests=requests,
        errors=errors,
        window_s=window_s,
        warmup_discarded=int((records.intended_ns < records.window_start_ns).sum()),
        models=models,
        split=split,
        client=client,
        warnings=(*warned, *(warning for warning in found if warning is not None)),
        interrupted=records.interrupted,
        streams=streams,
    )


def streams_of(records: Records) -> Streams | None:
    """The figures of streamed answers in the window, of successful requests; None where nothing was streamed."""
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    if not len(records.response_ns) or window_s <= 0:
        return None
    counted, came_ns = records.in_window & records.succeeded, records.response_ns
    of_success = np.repeat(records.succeeded, records.responses)
    within = of_success & (came_ns >= records.window_start_ns) & (came_ns < records.window_end_ns)
    return Streams(
        ttft=_finite("ttft", records),
        tpot=_finite("tpot", records),
        itl=_finite("itl", records),
        tokens_per_s=int(within.sum()) / window_s,
        tokens=float(records.responses[counted].mean()) if counted.any() else 0.0,
    )


def without_executions(models: tuple[ModelSplit, ...]) -> tuple[ModelSplit, ...]:
    """What Triton tells of entries that stream, without what it does not mean.

    A decoupled model's execution is over when it has taken the request, so its times and batch sizes are of that.
    """
    return tuple(dataclasses.replace(model, batches=()) for model in models)


def _finite(name: str, records: Records) -> Distribution:
    times_s = window_times_s(name, records)
    return distribution(times_s[np.isfinite(times_s)])


def _seconds(times_ns: NDArray[np.int64], chosen: NDArray[np.bool_]) -> Seconds:
    return times_ns[chosen].astype(np.float64) / 1e9


def latencies_s(records: Records, chosen: NDArray[np.bool_]) -> Seconds:
    """Seconds from the intended send to the last byte of the answer, in the order of the intended sends."""
    return _seconds(records.done_ns - records.intended_ns, chosen)


def completions_s(records: Records) -> Seconds:
    """When each success of the window was done, in seconds since its start, ascending."""
    done_ns = records.done_ns
    within = records.succeeded & (done_ns >= records.window_start_ns) & (done_ns < records.window_end_ns)
    return np.sort(_seconds(done_ns - records.window_start_ns, within))


def error_counts(records: Records) -> tuple[ErrorCount, ...]:
    """The failed requests of the window by class, the most frequent first."""
    statuses, counts = np.unique(records.status[records.in_window & ~records.succeeded], return_counts=True)
    found = zip(statuses.tolist(), counts.tolist(), strict=True)
    return tuple(ErrorCount(kind=kind_of(status), count=n) for status, n in sorted(found, key=lambda pair: -pair[1]))


def client_health(records: Records, load: Load) -> ClientHealth:
    """What the load generator used: the CPU share of its busiest process, and the lag of an open loop's sends.

    A closed loop has no schedule that it could be late for.
    """
    window_ns = records.window_end_ns - records.window_start_ns
    finished = int(((records.done_ns >= records.window_start_ns) & (records.done_ns < records.window_end_ns)).sum())
    lags = np.sort(_seconds(records.sent_ns - records.intended_ns, records.in_window))
    return ClientHealth(
        cpu_share=(records.busiest_cpu_ns or records.client_cpu_ns) / window_ns if window_ns > 0 else 0.0,
        cpu_per_request_s=records.client_cpu_ns / finished / 1e9 if finished else 0.0,
        send_lag_p99_s=None if isinstance(load, Concurrency) or not len(lags) else quantile(lags, 0.99),
        processes=records.processes,
        connections=records.connections,
        is_ahead=records.processes_ahead == records.processes,
    )


def offered_rate_per_s(records: Records, load: Load) -> float | None:
    """The rate at which an open load meant to send within the window; None of a closed loop."""
    window_s = (records.window_end_ns - records.window_start_ns) / 1e9
    return None if isinstance(load, Concurrency) or window_s <= 0 else int(records.in_window.sum()) / window_s


def distribution(times_s: Seconds) -> Distribution:
    """Mean, extremes and quantiles of times in the order in which they happened; of none, zeros and no quantiles.

    Quantiles are exact order statistics. Their 95 % intervals are by order statistics on what the verdict counts with:
    effective samples at that quantile, discounted.
    """
    if not len(times_s):
        return Distribution(count=0, mean_s=0.0, minimum_s=0.0, maximum_s=0.0, quantiles=())
    ordered = np.sort(times_s)
    rare = (q for q, fewest in RARE_QUANTILES.items() if len(times_s) >= fewest)
    return Distribution(
        count=len(times_s),
        mean_s=float(times_s.mean()),
        minimum_s=float(ordered[0]),
        maximum_s=float(ordered[-1]),
        quantiles=tuple(_quantile(q, times_s, ordered) for q in (*QUANTILES, *rare)),
    )


def _quantile(q: float, times_s: Seconds, ordered: Seconds) -> Quantile:
    effective = discounted(len(times_s) / latency_tau(times_s, q))
    low_s, high_s = quantile_interval(ordered, q, len(times_s) / effective)
    return Quantile(q=q, value_s=quantile(ordered, q), low_s=low_s, high_s=high_s)


def latency_tau(times_s: Seconds, q: float) -> float:
    """The autocorrelation time of being beyond quantile `q`; 1 of no times."""
    return tau_of_share(times_s, times_s > quantile(np.sort(times_s), q), 1.0 - q) if len(times_s) else 1.0


def time_split(records: Records, models: Sequence[ModelSplit], since_ns: int, until_ns: int) -> TimeSplit | None:
    """The mean request between two statistics snapshots taken apart; None when nothing succeeded in between.

    The client's side is the mean over successes that were done between the snapshots. The server's side is what the
    first of `models`, the one that was called, added to its statistics meanwhile, and for an ensemble the queues of
    the others, its steps. With means over the requests of the client:

        latency   = done - intended                          the client's clock
        client    = sent - intended                          the client was not ready to send yet
        queue     = its own queue + sum(queue of the steps)  Triton's queue durations
        input, infer, output                                 Triton's compute_* durations of the called model
        network   = max(0, (done - sent) - request)          all outside Triton's request: sockets, HTTP, and the answer
                                                             waiting for the client to read it
        remainder = latency - all of the above               inside Triton's request (its `success` duration), in none
                                                             of its parts

    Triton's statistics of an ensemble hold the sums of compute_* over its steps, but not their queues (2.51, seen in
    a live one). Steps that run side by side are all counted, and then the remainder is negative by what overlapped;
    a step that also serves other callers adds their queueing.
    """
    model, *steps = models
    within = records.succeeded & (records.done_ns >= since_ns) & (records.done_ns < until_ns)
    if not within.any() or not model.requests:
        return None
    latency_s = float(latencies_s(records, within).mean())
    client_s = float(_seconds(records.sent_ns - records.intended_ns, within).mean())
    network_s = max(0.0, latency_s - client_s - model.request_s)
    queue_s = model.queue_s + sum(step.queue_s * step.requests for step in steps) / model.requests
    inside_s = queue_s + model.input_s + model.infer_s + model.output_s
    return TimeSplit(
        latency_s=latency_s,
        queue_s=queue_s,
        input_s=model.input_s,
        infer_s=model.infer_s,
        output_s=model.output_s,
        network_s=network_s,
        client_s=client_s,
        remainder_s=latency_s - client_s - network_s - inside_s,
    )
