"""The commands that measure a served model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from toolkit.cli import show, show_certificate, show_compare, show_max_rate, show_sweep
from toolkit.cli.options import (
    MODEL_REPO,
    Inputs,
    Json,
    Processes,
    Protocol,
    Repository,
    Samples,
    TokenizerFolder,
    Url,
    Workload,
    command_line,
)

Scenario = Literal["single-stream", "multi-stream", "server", "offline"]
TimeUnit = Literal["s", "ms"]
Arrival = Literal["constant", "poisson", "gamma"]
DriftCheck = Annotated[
    bool, typer.Option("--drift-check/--no-drift-check", help="Of several loads, measure the first again at the end.")
]


def load_option(name: str, metavar: str, text: str, default: str | None = None) -> Any:
    """An option that shapes a load. Which defaults hold depends on the others, so that here one is only shown."""
    return typer.Option(name, metavar=metavar or None, help=text, show_default=default or False)


def sweep(
    target: Annotated[str, typer.Argument(help="A served model's name, a run folder, or latest:<poc>.")],
    url: Url = None,
    repository: Repository = MODEL_REPO,
    samples: Samples = None,
    inputs: Inputs = [],
    concurrency: Annotated[
        str | None, load_option("--concurrency", "N,N,...", "Closed loops: so many clients.", "1,2,4,8")
    ] = None,
    rate: Annotated[str | None, load_option("--rate", "R,R,...", "Open loops: so many requests/s.")] = None,
    ramp: Annotated[str | None, load_option("--ramp", "FROM..TO", "One open loop from a rate to another.")] = None,
    trace: Annotated[Path | None, load_option("--trace", "FILE", "One open loop by the times in a file.")] = None,
    trace_unit: Annotated[TimeUnit | None, load_option("--trace-unit", "", "Of the times in that file.", "s")] = None,
    scenario: Annotated[Scenario | None, load_option("--scenario", "", "An MLPerf scenario, by LoadGen.")] = None,
    duration: Annotated[str | None, load_option("--duration", "TIME", "For each load, with its unit.", "10s")] = None,
    arrival: Annotated[Arrival | None, load_option("--arrival", "", "Gaps between requests.", "poisson")] = None,
    variation: Annotated[
        float | None, load_option("--variation", "V", "Of gamma gaps; above 1 in bursts.", "1")
    ] = None,
    max_connections: Annotated[
        int | None, load_option("--max-connections", "N", "An open loop opens at most.", "512")
    ] = None,
    protocol: Protocol = "http",
    processes: Processes = 1,
    workload: Workload = None,
    tokenizer: TokenizerFolder = None,
    slo: Annotated[str | None, typer.Option("--slo", help="METRIC.STATISTIC=LIMIT,...; p99=20ms is latency.")] = None,
    drift_check: DriftCheck = True,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest sweep of the same.")] = False,
    engine: Annotated[
        Literal["toolkit", "perf_analyzer"],
        typer.Option("--engine", help="perf_analyzer, where it is found, drives each closed loop once more after us."),
    ] = "toolkit",
    json: Json = False,
) -> None:
    """Latency and throughput at several loads; exit code 1 when the SLO is not met or not decided.

    Of --concurrency, --rate, --ramp, --trace and --scenario give one, or none; --scenario server takes a --rate too,
    multi-stream and offline a --concurrency.
    """
    from toolkit.workflow.loads import LoadOptions, loads_from_options, scenario_from_options
    from toolkit.workflow.measure import Driving
    from toolkit.workflow.runs import RUNS
    from toolkit.workflow.sweep import Sweep, run_sweep
    from toolkit.workflow.workload import Sent

    form = LoadOptions(concurrency=concurrency, rate=rate, ramp=ramp, trace=trace, scenario=scenario, duration=duration)
    form = replace(form, trace_unit=trace_unit, arrival=arrival, variation=variation, max_connections=max_connections)
    spec = Sweep(target=target, url=url, repository=repository, samples=samples, inputs=tuple(inputs), slo=slo)
    driving = Driving(protocol=protocol, processes=processes)
    spec = replace(spec, driving=driving, drift_check=drift_check, resume=resume)
    spec = replace(spec, scenario=scenario_from_options(form, slo), engine=engine)
    spec = replace(spec, sent=Sent(workload=workload, tokenizer=tokenizer, trace=trace))
    with show.progress(json) as progress:
        swept = run_sweep(spec, loads_from_options(form), command=command_line(), root=RUNS, progress=progress)
    show_sweep.sweep(swept, as_json=json)
    raise typer.Exit(0 if swept.outcome == "PASS" else 1)


def certify(
    quick: Annotated[bool, typer.Option("--quick", help="A look in a quarter of the time, which is not kept.")] = False,
    json: Json = False,
) -> None:
    """Try the load engine on a server of known behaviour; exit code 1 when its figures are not within the bounds."""
    from toolkit.load.certify.store import store
    from toolkit.load.certify.trial import FULL, QUICK, put_on_trial

    with show.progress(json) as progress:
        found = put_on_trial(QUICK if quick else FULL, say=progress)
    show_certificate.certification(found, None if quick else store(found), as_json=json)
    raise typer.Exit(0 if found.passed else 1)


def max_rate(
    target: Annotated[str, typer.Argument(help="A served model's name, a run folder, or latest:<poc>.")],
    slo: Annotated[str | None, typer.Option("--slo", help="METRIC.STATISTIC=LIMIT,...; default: the run's.")] = None,
    url: Url = None,
    repository: Repository = MODEL_REPO,
    samples: Samples = None,
    inputs: Inputs = [],
    budget: Annotated[str, typer.Option("--budget", help="Time for measuring, with its unit.")] = "2m",
    arrival: Annotated[Arrival, typer.Option("--arrival", help="Gaps between requests.")] = "poisson",
    variation: Annotated[float, typer.Option("--variation", help="Of gamma gaps; above 1 in bursts.")] = 1.0,
    lowest: Annotated[float | None, typer.Option("--from", help="The lowest rate to drive, per second.")] = None,
    highest: Annotated[float | None, typer.Option("--to", help="The highest rate to drive, per second.")] = None,
    protocol: Protocol = "http",
    processes: Processes = 1,
    workload: Workload = None,
    tokenizer: TokenizerFolder = None,
    json: Json = False,
) -> None:
    """The highest rate that holds an SLO, with its interval; exit code 1 when none does or the budget is too short."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.workflow.max_rate import Asked, run_max_rate
    from toolkit.workflow.measure import Driving
    from toolkit.workflow.runs import RUNS
    from toolkit.workflow.sweep import Sweep
    from toolkit.workflow.workload import Sent

    spec = Sweep(target=target, url=url, repository=repository, samples=samples, inputs=tuple(inputs), slo=slo)
    spec = replace(spec, sent=Sent(workload=workload, tokenizer=tokenizer))
    spec = replace(spec, driving=Driving(protocol=protocol, processes=processes))
    form = Asked(target=spec, budget_s=seconds_from_text(budget), arrival=arrival, variation=variation)
    form = replace(form, from_per_s=lowest, to_per_s=highest)
    with show.progress(json) as progress:
        run, answer = run_max_rate(form, command=command_line(), root=RUNS, progress=progress)
    show_max_rate.max_rate(run, answer, as_json=json)
    raise typer.Exit(0 if answer.outcome == "PASS" else 1)


def compare(
    run_a: Annotated[str, typer.Argument(help="A run folder, or latest:<poc>: the one to compare with.")],
    run_b: Annotated[str, typer.Argument(help="A run folder, or latest:<poc>: the one that changed.")],
    gates: Annotated[list[str], typer.Option("--gate", help="METRIC:LIMIT%, as p99:+3%; may be repeated.")] = [],
    interleave: Annotated[
        bool | None, typer.Option("--interleave/--recorded", help="Measure both in turn, or use what is recorded.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Pairs at each load.")] = 6,
    duration: Annotated[str, typer.Option("--duration", help="Time for each window, with its unit.")] = "5s",
    same_machine: Annotated[bool, typer.Option("--same-machine", help="Both were measured alike: you say so.")] = False,
    page: Annotated[Path | None, typer.Option("--report", help="Write the comparison as an HTML page.")] = None,
    json: Json = False,
) -> None:
    """How much B differs from A, with intervals; exit code 1 when a gate is not passed."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.load.gate import gate_from_text
    from toolkit.workflow.compare import compare_runs
    from toolkit.workflow.compare_page import write_comparison_page
    from toolkit.workflow.comparison import How, Question
    from toolkit.workflow.runs import RUNS, run_from_text

    how: How = "auto" if interleave is None else "interleaved" if interleave else "recorded"
    asked = Question(a=run_from_text(run_a), b=run_from_text(run_b), how=how, gates=tuple(map(gate_from_text, gates)))
    asked = replace(asked, rounds=rounds, duration_s=seconds_from_text(duration), same_machine=same_machine)
    with show.progress(json) as progress:
        found, run = compare_runs(asked, command=command_line(), root=RUNS, progress=progress)
    if page is not None:
        write_comparison_page(found, asked.a, asked.b, page)
    show_compare.comparison(found, run, as_json=json)
    raise typer.Exit(0 if found.outcome == "PASS" else 1)


def import_(
    file: Annotated[Path, typer.Argument(help="A result file, or a folder of AIPerf or LoadGen.")],
    format: Annotated[str | None, typer.Option("--format", help="If its content does not tell.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name, where the file has none.")] = None,
    json: Json = False,
) -> None:
    """The result of perf_analyzer, AIPerf, GuideLLM, LoadGen or Model Analyzer as a run folder."""
    from toolkit.workflow.import_results import import_results
    from toolkit.workflow.runs import RUNS

    run, results = import_results(file, format=format, model=model, command=command_line(), root=RUNS)
    show_compare.imported(run, results, as_json=json)


import_.__name__ = "import"
COMMANDS = (sweep, certify, max_rate, compare, import_)
