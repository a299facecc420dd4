"""The figures that a bundle rests on, from the run folder that holds them.

In: a run folder: that of the PoC, or one that was measured on the target (`toolkit sweep RUN --url`). Out: Figures and
a Sizing; both say nothing where the run does not.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from toolkit.deploy.sizing import Sizing
from toolkit.deploy.spec import Figures, StreamFigures
from toolkit.environment import package_version
from toolkit.errors import UsageError
from toolkit.load.measurement import Measurement, Streams
from toolkit.load.pattern import load_text
from toolkit.records import read_json
from toolkit.size.footprint import load_times_s
from toolkit.size.plan import CapacityPlan
from toolkit.tune.decision import Decision, Point
from toolkit.workflow.report import DECISION, PLAN, trials_of
from toolkit.workflow.runs import read_manifest


def figures_of(run: Path) -> tuple[Figures | None, Sizing]:
    """What a run measured at the point that it chose; no figures where it chose none."""
    point = _chosen(run)
    if point is None:
        return None, Sizing()
    manifest = read_manifest(run)
    measurement = point.measurement
    figures = Figures(
        throughput_per_s=measurement.throughput_per_s,
        latency_p99_s=measurement.latency.at(0.99).value_s,
        load=load_text(point.load),
        outcome=point.outcome,
        environment=manifest.environment.summary(),
        device=manifest.environment.device,
        server=f"embedded Triton of nvidia-pytriton {package_version('nvidia-pytriton')}",
        streams=None if measurement.streams is None else _stream_figures(measurement.streams),
    )
    return figures, _sizing(run, measurement)


def figures_of_target(run: Path, model: str, *, image: str, device: str) -> tuple[Figures, Sizing]:
    """What was measured on a deployment of this model, by `toolkit sweep` with its address.

    That it ran on `image` and `device` is what naming it says. Raises UsageError for a run that measured another model,
    or a server of its own machine, or chose nothing.
    """
    subject = read_manifest(run).subject
    if subject.measured != model or not subject.remote:
        what = subject.measured if subject.measured != model else "a server of its own machine"
        raise UsageError(
            f"--measured {run}: it measured {what}",
            mend=f"toolkit sweep RUN --url http://HOST:PORT measures {model} there",
        )
    figures, sizing = figures_of(run)
    if figures is None:
        raise UsageError(f"--measured {run}: no load passed there", mend="measure at a lower load")
    return replace(figures, server=image, device=device, environment=f"at {subject.remote}, run {run.name}"), sizing


def _chosen(run: Path) -> Point | None:
    decision = read_json(run / DECISION, Decision)
    points = [p for t in trials_of(run, read_manifest(run)) if t.candidate.name == decision.candidate for p in t.points]
    return next((p for p in points if p.load == decision.load), None)


def _sizing(run: Path, measurement: Measurement) -> Sizing:
    log, plan = run / "triton.log", run / PLAN
    loads = load_times_s(log.read_text(encoding="utf-8", errors="replace")) if log.is_file() else ()
    planned = read_json(plan, CapacityPlan) if plan.is_file() else None
    return Sizing(
        run_id=run.name,
        queue_us=None if measurement.split is None else 1e6 * measurement.split.queue_s,
        load_s=max(loads, default=None),
        resident_bytes=None if measurement.server is None else measurement.server.resident_bytes,
        replicas=None if planned is None else planned.replicas.recommended,
        planned_rate_per_s=None if planned is None else planned.asked.demand.peak_per_s,
    )


def _stream_figures(streams: Streams) -> StreamFigures:
    ttft, tpot = (None if d.is_empty else d.at(0.99).value_s for d in (streams.ttft, streams.tpot))
    return StreamFigures(ttft_p99_s=ttft, tpot_p99_s=tpot, tokens_per_s=streams.tokens_per_s)
