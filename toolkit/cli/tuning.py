"""The commands that search and explain: tune, diagnose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from toolkit.cli import show, show_diagnose, show_tune
from toolkit.cli.options import (
    MODEL_REPO,
    Inputs,
    Json,
    Processes,
    Protocol,
    Repository,
    Samples,
    Url,
    command_line,
)


def tune(
    target: Annotated[str, typer.Argument(help="A folder with a poc.yaml, or a model of --repository.")],
    slo: Annotated[str | None, typer.Option("--slo", help="METRIC.STATISTIC=LIMIT,...; default: the PoC's.")] = None,
    objective: Annotated[
        Literal["throughput", "latency", "cost", "energy"],
        typer.Option("--objective", help="What is best: rate or cost under the SLO, latency or energy at a load."),
    ] = "throughput",
    method: Annotated[
        Literal["race", "exhaustive", "optuna"], typer.Option("--method", help="How the space is searched.")
    ] = "race",
    budget: Annotated[str, typer.Option("--budget", help="Time for measuring, with its unit.")] = "5m",
    price: Annotated[
        str | None, typer.Option("--price", metavar="1.20EUR", help="An hour of this machine, for --objective cost.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="The load of latency and energy, per second.")] = None,
    memory: Annotated[float | None, typer.Option("--memory", help="MiB that the server may take.")] = None,
    accuracy: Annotated[
        float | None, typer.Option("--accuracy-budget", help="What a variant may lose of the task's metric.")
    ] = None,
    exhaustive_check: Annotated[
        bool, typer.Option("--exhaustive-check", help="Then measure every configuration, and print the gap.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the newest search of the same.")] = False,
    url: Url = None,
    repository: Repository = MODEL_REPO,
    samples: Samples = None,
    inputs: Inputs = [],
    smoke: Annotated[bool, typer.Option("--smoke", help="The PoC's smaller sizes.")] = False,
    set_: Annotated[list[str], typer.Option("--set", help="KEY=VALUE over poc.yaml; may be repeated.")] = [],
    protocol: Protocol = "http",
    processes: Processes = 1,
    json: Json = False,
) -> None:
    """The configuration that serves an SLO best; exit code 1 when none does, or none was found within the budget.

    A server at --url must serve --repository in explicit model control.
    """
    from toolkit.environment import environment_here
    from toolkit.load.duration import seconds_from_text
    from toolkit.load.power import has_power_meter
    from toolkit.tune.objective import objective_of
    from toolkit.workflow.measure import Driving
    from toolkit.workflow.runs import RUNS
    from toolkit.workflow.tune import Asked, run_tune

    here = environment_here()
    aim = objective_of(
        objective, price=price, rate_per_s=rate, environment=here, has_power_meter=has_power_meter(bool(here.gpus))
    )
    asked = Asked(target=target, slo=slo, repository=repository, objective=aim, method=method, url=url)
    asked = replace(asked, budget_s=seconds_from_text(budget), samples=samples, inputs=tuple(inputs), resume=resume)
    asked = replace(asked, memory_bytes=None if memory is None else int(memory * 2**20), accuracy_budget=accuracy)
    asked = replace(asked, smoke=smoke, settings=tuple(set_), exhaustive_check=exhaustive_check)
    asked = replace(asked, driving=Driving(protocol=protocol, processes=processes))
    with show.progress(json) as progress:
        run, answer = run_tune(asked, command=command_line(), root=RUNS, progress=progress)
    show_tune.tuned(run, answer, as_json=json)
    raise typer.Exit(0 if answer.decision.outcome == "PASS" else 1)


def diagnose(
    target: Annotated[str, typer.Argument(help="A served model's name, a run folder, or latest:<poc>.")],
    apply: Annotated[bool, typer.Option("--apply", help="Load the first remedy and measure again.")] = False,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="A torch profiler's JSON, or Nsight Systems' sqlite.")
    ] = None,
    clients: Annotated[int, typer.Option("--clients", min=2, help="How many are many for this server.")] = 16,
    spinning: Annotated[
        bool, typer.Option("--allow-spinning", help="Serve with threads that spin, as native backends do.")
    ] = False,
    window: Annotated[str, typer.Option("--window", help="Time for each load, with its unit.")] = "2s",
    url: Url = None,
    repository: Repository = MODEL_REPO,
    samples: Samples = None,
    inputs: Inputs = [],
    protocol: Protocol = "http",
    processes: Processes = 1,
    json: Json = False,
) -> None:
    """Where the time goes and what limits a served model, each with its figure, its threshold and its remedy."""
    from toolkit.load.duration import seconds_from_text
    from toolkit.workflow.diagnose import Asked, run_diagnose
    from toolkit.workflow.measure import Driving
    from toolkit.workflow.runs import RUNS
    from toolkit.workflow.sweep import Sweep

    spec = Sweep(target=target, url=url, repository=repository, samples=samples, inputs=tuple(inputs), slo=None)
    spec = replace(spec, driving=Driving(protocol=protocol, processes=processes))
    asked = Asked(target=spec, clients=clients, window_s=seconds_from_text(window), apply=apply, trace=trace)
    asked = replace(asked, allow_spinning=spinning)
    with show.progress(json) as progress:
        run, found = run_diagnose(asked, command=command_line(), root=RUNS, progress=progress)
    show_diagnose.diagnosis(run, found, as_json=json)


COMMANDS = (tune, diagnose)
