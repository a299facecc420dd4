"""What was measured, as pictures: the latency-throughput curve, live and whole, where the time goes, the Pareto front.

In: run folders. Out: views. The charts are the report's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipywidgets as widgets

from toolkit.load.pattern import load_text
from toolkit.load.slo import Slo, slo_from_text
from toolkit.records import read_json
from toolkit.report.answers import limit_to_explore
from toolkit.report.charts import time_split_chart
from toolkit.report.curve_chart import latency_throughput_chart
from toolkit.report.front_chart import pareto_chart
from toolkit.report.report import CPU_MARK
from toolkit.report.stream_chart import streams_chart
from toolkit.tune.decision import Decision, Trial, decide, ranked
from toolkit.tune.words import rate_text, verdict_text
from toolkit.workflow.ahead import ahead_of
from toolkit.workflow.measure import read_trials
from toolkit.workflow.report import DECISION, trials_of
from toolkit.workflow.runs import Manifest, read_manifest
from toolkit.workshop.live import Live
from toolkit.workshop.plain import plainly
from toolkit.workshop.show import View, drawn, note, picture

#: Warnings of the newest points that are shown while work goes on.
MOST_WARNINGS = 3


class LiveCurve:
    """The latency-throughput curve of a run, redrawn after each finished point."""

    def __init__(self, slo: Slo, run: Path) -> None:
        self._slo, self._run, self._live = slo, run, Live("Measuring")

    def show(self) -> None:
        """Put it into the cell, with what is there already."""
        self._live.show()
        self.watch(self._run)

    def say(self, text: str) -> None:
        """Show what begins, and how far it is. Raises Stopped."""
        self._live.say(text)
        self._ahead()

    def watch(self, run: Path) -> None:
        """Draw what the run folder holds by now."""
        manifest = read_manifest(run)
        trials = trials_of(run, manifest)
        if trials:
            self._live.draw((_chart(manifest, trials, None),), key=run.name)
            self._live.best(best_text(trials))
            self._live.warn(newest_warnings(trials))
        self._ahead()

    def finish(self) -> None:
        """Say how much was measured; the pictures follow as the cell's output."""
        found = ahead_of(self._run)
        self._live.end(f"{found.measured} of {found.points} points; the report is {self._run.name}/report.html")

    def _ahead(self) -> None:
        found = ahead_of(self._run)
        seconds = found.next[1].warmup_s + found.next[1].duration_s if found.next else 0.0
        self._live.ahead(found.measured, found.points, left_s=found.left_s, point_s=seconds)


def best_text(trials: tuple[Trial, ...]) -> str:
    """The best point so far, in words; empty without a valid one."""
    leaders = ranked(trials)
    if not leaders:
        return ""
    trial, point = leaders[0]
    figures = " and ".join(verdict_text(v) for v in point.verdicts)
    rate = rate_text(point.measurement.throughput_per_s)
    return f"Best so far: {trial.candidate.name} with {load_text(point.load)}, {rate} requests/s, {figures}"


def newest_warnings(trials: tuple[Trial, ...]) -> tuple[str, ...]:
    """The warnings of all points, each kind once, the newest last; of too few samples only what is undecided for it."""
    found = {
        w.kind: w.text
        for t in trials
        for p in t.points
        for w in p.measurement.warnings
        if w.kind != "TooFewSamples" or p.outcome == "UNDECIDED"
    }
    return tuple(found.values())[-MOST_WARNINGS:]


def _chart(manifest: Manifest, trials: tuple[Trial, ...], decision: Decision | None, slo: Slo | None = None) -> Any:
    mark = CPU_MARK if manifest.device == "CPU" else ""
    return latency_throughput_chart(trials, slo or manifest.subject.slo, decision=decision, mark=mark)


@plainly
def curve(run: Path) -> View:
    """The latency-throughput curve of a run with its SLO line; the chosen point is ringed."""
    manifest = read_manifest(run)
    decision = read_json(run / DECISION, Decision) if (run / DECISION).is_file() else None
    return picture(_chart(manifest, trials_of(run, manifest), decision), key=run.name)


def tokens(run: Path) -> tuple[View, ...]:
    """Token times over the load, where answers were streamed."""
    manifest = read_manifest(run)
    trials = trials_of(run, manifest)
    is_streamed = any(point.measurement.streams for trial in trials for point in trial.points)
    return (picture(streams_chart(trials, manifest.subject.slo), key=run.name),) if is_streamed else ()


@plainly
def where_time_goes(run: Path) -> View:
    """The mean request of the leading configuration taken apart, a bar for each load."""
    trials = trials_of(run, read_manifest(run))
    leaders = ranked(trials)
    splits = [
        (f"{trial.candidate.name}, {load_text(p.load)}", p.measurement.split)
        for trial, _ in leaders[:1]
        for p in trial.points
        if p.measurement.split is not None
    ]
    if not splits:
        return View(widget=widgets.HTML(note(NO_SPLIT)), text=NO_SPLIT)
    return picture(time_split_chart((name, split) for name, split in splits if split), key=run.name)


NO_SPLIT = "The server tells no parts of its time for these requests, so there is nothing to split."


@plainly
def pareto(run: Path) -> View:
    """The points that no other one beats in rate and latency, as steps."""
    manifest = read_manifest(run)
    return picture(pareto_chart(trials_of(run, manifest), manifest.subject.slo), key=run.name)


@plainly
def explore(run: Path) -> View:
    """What if the limit were another? A percentile and a limit to choose; the measured points are judged again."""
    manifest = read_manifest(run)
    subject = manifest.subject
    first_percentile, first_limit_ms = limit_to_explore(trials_of(run, manifest), subject.slo)
    names = dict.fromkeys(("p50", "p90", "p95", "p99", first_percentile))
    percentile = widgets.Dropdown(options=list(names), value=first_percentile, description="percentile")
    limit = widgets.BoundedIntText(value=first_limit_ms, min=1, max=600_000, description="limit (ms)")
    chart, sentence = widgets.HTML(), widgets.HTML()
    kept: dict[str, Any] = {}

    def draw(_: Any = None) -> None:
        slo = slo_from_text(f"{percentile.value}={limit.value}ms")
        trials = read_trials(run, slo, subject.candidates, subject.loads)
        decided = decide(slo, trials, device=manifest.device)
        kept["chart"], kept["sentence"] = _chart(manifest, trials, decided, slo), decided.sentence
        chart.value, sentence.value = drawn((kept["chart"],), key=f"{run.name}-what-if"), note(decided.sentence)

    for control in (percentile, limit):
        control.observe(draw, names="value")
    draw()
    view = widgets.VBox([widgets.HBox([percentile, limit]), sentence, chart])
    return View(
        widget=view, text=kept["sentence"], chart=kept["chart"], names={"percentile": percentile, "limit": limit}
    )
