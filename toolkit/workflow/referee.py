"""`toolkit sweep --engine perf_analyzer`: after each of our closed loops the same one by perf_analyzer, kept beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement
from toolkit.load.pattern import Concurrency, Load, load_text
from toolkit.load.perf_analyzer import PerfAnalyzer, find_perf_analyzer, referee_point
from toolkit.records import read_json, write_json
from toolkit.serve.server import Endpoint
from toolkit.workflow.jobs import Job
from toolkit.workflow.measure import MEASUREMENT
from toolkit.workflow.requests import read_requests

Engine = Literal["toolkit", "perf_analyzer"]


def referee_for(engine: Engine, loads: Sequence[Load], protocol: str) -> PerfAnalyzer | None:
    """The referee that was asked for. Raises UsageError for a load that it does not drive alike, MissingDependency."""
    if engine == "toolkit":
        return None
    if not loads or protocol != "http" or not all(isinstance(load, Concurrency) for load in loads):
        raise UsageError(
            "perf_analyzer is compared at closed loops over HTTP only: its latency of an open loop leaves out how late "
            "a request was sent",
            mend="--engine perf_analyzer --concurrency 1,2,4",
        )
    return find_perf_analyzer()


def with_referee(jobs: Sequence[Job], run: Path, model: str, loads: Sequence[Load], tool: PerfAnalyzer) -> list[Job]:
    """Each of `jobs`, which measure `loads` in their order, and after it the referee's, so that both see one hour."""
    found: list[Job] = []
    for number, job in enumerate(jobs):
        found.append(job)
        load = loads[number] if number < len(loads) else None
        if isinstance(load, Concurrency):
            found.append(_job(run, model, load, tool, job.inputs))
    return found


def _job(run: Path, model: str, load: Concurrency, tool: PerfAnalyzer, inputs: object) -> Job:
    def do(endpoint: Endpoint, folder: Path) -> None:
        measured = referee_point(endpoint, model, read_requests(run / "requests"), load, tool=tool)
        write_json(folder / MEASUREMENT, measured)

    text = f"{tool.engine} at {load_text(load)}"
    return Job(key=referee_key(load), inputs={"ours": inputs, "referee": tool.engine}, text=text, do=do)


def referee_key(load: Load) -> str:
    """Where the referee's point lies in a run folder."""
    return f"referee/{load.name}"


def referee_points(run: Path, loads: Sequence[Load]) -> tuple[Measurement, ...]:
    """What the referee measured, in the order of the loads; none where none was asked."""
    places = (run / referee_key(load) / MEASUREMENT for load in loads)
    return tuple(read_json(place, Measurement) for place in places if place.is_file())
