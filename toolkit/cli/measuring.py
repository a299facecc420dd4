"""The commands that measure a served model."""

from __future__ import annotations

from typing import Annotated

import typer

from toolkit.cli import show
from toolkit.cli.options import MODEL_REPO, Inputs, Json, Repository, Samples, Url, command_line


def sweep(
    target: Annotated[str, typer.Argument(help="A served model's name, a run folder, or latest:<poc>.")],
    url: Url = None,
    repository: Repository = MODEL_REPO,
    samples: Samples = None,
    inputs: Inputs = [],
    concurrency: Annotated[str, typer.Option("--concurrency", help="Numbers of clients.")] = "1,2,4,8",
    duration: Annotated[str, typer.Option("--duration", help="Time for each point, with its unit.")] = "10s",
    slo: Annotated[str | None, typer.Option("--slo", help="METRIC.STATISTIC=LIMIT,...; p99=20ms is latency.")] = None,
    json: Json = False,
) -> None:
    """Latency and throughput at several loads; exit code 1 when an SLO is given and not met."""
    from toolkit.workflow.runs import RUNS
    from toolkit.workflow.sweep import Sweep, closed_loops, run_sweep

    loads = closed_loops(concurrency, duration)
    spec = Sweep(target=target, url=url, repository=repository, samples=samples, inputs=tuple(inputs), slo=slo)
    with show.progress(json) as progress:
        run, points, outcome = run_sweep(spec, loads, command=command_line(), root=RUNS, progress=progress)
    show.sweep(run, points, as_json=json)
    raise typer.Exit(0 if slo is None or outcome == "PASS" else 1)


COMMANDS = (sweep,)
