"""`toolkit max-rate`: the highest rate at which a served model, or the repository of a run, holds an SLO.

In: what to send where, the budget, and the shape of the arrivals. Out: a run folder with every probe and what they say
together. The search itself is tune/max_rate.py; here it gets a server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from toolkit.errors import ServerTrouble, UsageError
from toolkit.families import FAMILIES
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Arrival, Concurrency, Load, RequestRate
from toolkit.load.request_records import read_records
from toolkit.load.slo import Slo, slo_from_text
from toolkit.records import digest_of_value, read_json, write_json
from toolkit.serve.client import endpoint_from_url
from toolkit.serve.server import Endpoint
from toolkit.tune.decision import Decision
from toolkit.tune.max_rate import MaxRate, max_rate
from toolkit.tune.max_rate_probe import Observation, observation_of
from toolkit.workflow.evidence import seal_evidence
from toolkit.workflow.measure import MEASUREMENT, RECORDS, Driving, driving_of, measure_into, trial_key
from toolkit.workflow.report import DECISION, write_report
from toolkit.workflow.requests import write_requests
from toolkit.workflow.runs import MANIFEST, Progress, finish_run, locked, new_run, read_manifest, run_from_text
from toolkit.workflow.served import write_served
from toolkit.workflow.sweep import (
    AS_SERVED,
    Sweep,
    Target,
    remote_address,
    served_config,
    serving,
    target_from_model,
    target_from_run,
)

FILE = "max_rate.json"
#: The closed loop that shows about how much the server can do: clients, and its window as a share of the budget.
CLIENTS, CAPACITY_SHARE = 16, 1 / 40
#: Where the search begins, as a share of that throughput.
FIRST_SHARE = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `toolkit max-rate` was asked. `target` says what is sent where; its SLO may be that of the run it names.

    `variation` is of gamma arrivals. Rates below `from_per_s` and above `to_per_s` are not driven.
    """

    target: Sweep
    budget_s: float
    arrival: Arrival = "poisson"
    variation: float = 1.0
    from_per_s: float | None = None
    to_per_s: float | None = None


def run_max_rate(asked: Asked, *, command: str, root: Path, progress: Progress) -> tuple[Path, MaxRate]:
    """Search the highest rate that holds the SLO. Returns the run folder and the answer.

    The run folder gets every probe with its records, `max_rate.json` and a report; after Ctrl-C or the death of the
    server it keeps the probes so far. Raises UsageError for a target or an SLO that makes no sense, ServerTrouble for a
    server that does not answer.
    """
    _check(asked)
    spec = asked.target
    slo = slo_from_text(spec.slo) if spec.slo else None
    endpoint = endpoint_from_url(spec.url) if spec.url else None
    is_run = spec.target.startswith("latest:") or Path(spec.target, MANIFEST).is_file()
    of_run = target_from_run(run_from_text(spec.target, root), slo) if is_run else None
    with serving(of_run[1] if of_run else spec.repository, endpoint, progress) as server:
        target = of_run[0] if of_run else target_from_model(server, spec, slo)
        if not target.subject.slo.criteria:
            raise UsageError("there is no SLO to hold", mend="--slo p99=20ms, or --slo ttft=200ms,tpot=50ms")
        driving = driving_of(FAMILIES.get(target.subject.family), spec.driving)
        asked = replace(asked, target=replace(spec, driving=driving))
        return _searched(server, target, asked, command=command, root=root, progress=progress)


def _check(asked: Asked) -> None:
    low, high = asked.from_per_s, asked.to_per_s
    for name, rate in (("--from", low), ("--to", high)):
        if rate is not None and rate <= 0:
            raise UsageError(f"{name} is {rate:g}; expected a rate above 0")
    if low is not None and high is not None and low >= high:
        raise UsageError(f"--from {low:g} is not below --to {high:g}")
    if not asked.budget_s > 0:
        raise UsageError(f"--budget is {asked.budget_s:g} seconds; expected more than 0", mend="--budget 2m")


def _searched(
    endpoint: Endpoint, target: Target, asked: Asked, *, command: str, root: Path, progress: Progress
) -> tuple[Path, MaxRate]:
    subject = replace(
        target.subject,
        title=f"Highest rate of {target.subject.measured}",
        loads=(),
        candidates=(AS_SERVED,),
        remote=remote_address(endpoint),
    )
    configs = {m: served_config(endpoint, m) for m in subject.models}
    models = {m: digest_of_value(config) for m, config in configs.items()}
    run = new_run(root, subject.measured, command, subject, config={"max_rate": asked}, models=models)
    progress(f"run folder: {run}")
    with locked(run):
        write_requests(run / "requests", target.requests, asked.target.driving.protocol)
        write_served(run, configs)
        began_s = perf_counter()
        first_per_s = _first_rate(run, endpoint, asked, progress)
        answer = max_rate(
            _measure(run, endpoint, subject.slo, asked),
            subject.slo,
            first_per_s=first_per_s,
            budget_s=max(asked.budget_s - (perf_counter() - began_s), 0.1 * asked.budget_s),
            from_per_s=asked.from_per_s,
            to_per_s=asked.to_per_s,
            progress=progress,
        )
        _finish(run, answer)
    return run, answer


def _first_rate(run: Path, endpoint: Endpoint, asked: Asked, progress: Progress) -> float:
    """Some of what a short closed loop achieves, within the rates that may be driven."""
    progress(f"a closed loop of {CLIENTS} clients shows about how much the server can do")
    window_s = min(5.0, max(0.5, CAPACITY_SHARE * asked.budget_s))
    load = Concurrency(clients=CLIENTS, duration_s=window_s, warmup_s=window_s / 2)
    folder = run / "capacity" / load.name
    _drive(run, folder, endpoint, load, asked.target.driving)
    throughput = read_json(folder / MEASUREMENT, Measurement).throughput_per_s
    if not throughput:
        raise ServerTrouble(
            f"not one request succeeded in {window_s:g} s with {CLIENTS} clients; the records are in {folder}",
            mend="send one with toolkit infer and read its error",
        )
    lowest, highest = asked.from_per_s or 0.0, asked.to_per_s or throughput
    return min(max(FIRST_SHARE * throughput, lowest), highest)


def _measure(run: Path, endpoint: Endpoint, slo: Slo, asked: Asked) -> Callable[[float, float, float], Observation]:
    """The `measure` of the search: an open loop whose point is kept among the trials of the run."""
    seeds = iter(range(1 << 30))

    def measure(rate_per_s: float, warmup_s: float, duration_s: float) -> Observation:
        load = RequestRate(
            rate_per_s=rate_per_s,
            arrival=asked.arrival,
            variation=asked.variation,
            duration_s=duration_s,
            warmup_s=warmup_s,
            seed=next(seeds),
        )
        while (folder := run / trial_key(AS_SERVED, load)).exists():
            # The same rate again is another point, and points are told apart by their rates.
            load = replace(load, rate_per_s=0.9999 * load.rate_per_s)
        began_s = perf_counter()
        _drive(run, folder, endpoint, load, asked.target.driving)
        spent_s = perf_counter() - began_s
        manifest = read_manifest(run)
        subject = replace(manifest.subject, loads=(*manifest.subject.loads, load))
        write_json(run / MANIFEST, replace(manifest, subject=subject))
        measurement = read_json(folder / MEASUREMENT, Measurement)
        return observation_of(slo, measurement, read_records(folder / RECORDS), spent_s)

    return measure


def _drive(run: Path, folder: Path, endpoint: Endpoint, load: Load, driving: Driving) -> None:
    models = read_manifest(run).subject.models
    measure_into(folder, endpoint, models, run / "requests", load, driving=driving, interrupted=run / "interrupted")


def rate_decision(answer: MaxRate, loads: Sequence[Load]) -> Decision:
    """The answer in the words of every other decision; `loads` are those that were driven, all of one arrival."""
    is_found = answer.outcome == "PASS" and answer.rate_per_s is not None
    driven = next((load for load in loads if isinstance(load, RequestRate)), RequestRate(rate_per_s=1.0))
    load = (
        RequestRate(rate_per_s=answer.rate_per_s or 0.0, arrival=driven.arrival, variation=driven.variation)
        if is_found
        else None
    )
    return Decision(
        outcome=answer.outcome,
        sentence=answer.sentence,
        candidate=AS_SERVED.name if is_found else None,
        load=load,
        throughput_per_s=answer.rate_per_s if is_found else None,
        rejected=(),
    )


def _finish(run: Path, answer: MaxRate) -> None:
    """Write the answer, as a decision too, and the report of the probes."""
    write_json(run / FILE, answer)
    loads = read_manifest(run).subject.loads
    write_json(run / DECISION, rate_decision(answer, loads))
    seal_evidence(run)
    if loads:
        write_report(run)
    finish_run(run)
