"""Views for notebooks: a table, the live latency-throughput curve, and a slider that asks "what if the limit were".

They draw with the report's charts, as SVG inside an ipywidgets.HTML, so that nothing is fetched and no script is kept.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import ipywidgets as widgets

from toolkit.errors import ToolkitError
from toolkit.load.slo import Criterion, Slo
from toolkit.report.charts import latency_throughput_chart, svg
from toolkit.report.report import CPU_MARK
from toolkit.report.stream_chart import streams_chart
from toolkit.tune.decision import Decision, Trial, decide
from toolkit.workflow.measure import read_trials
from toolkit.workflow.report import trials_of
from toolkit.workflow.runs import read_manifest

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A small table: HTML in a notebook, aligned text elsewhere."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{html.escape(c)}</th>" for c in self.columns)
        lines = ("".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in row) for row in self.rows)
        return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"

    def __repr__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in (self.columns, *self.rows))
        return "\n".join(line.rstrip() for line in lines)


class WorkshopStop(Exception):
    """Ends a cell with a plain message instead of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the toolkit's errors into a plain message with the mend, without a traceback."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ToolkitError as err:
            raise WorkshopStop(str(err)) from None

    return wrapped


class LiveCurve:
    """The latency-throughput curve of a run, redrawn after each finished point."""

    def __init__(self, slo: Slo) -> None:
        self.slo = slo
        self._status = widgets.HTML("starting")
        self._chart = widgets.HTML()
        self.widget = widgets.VBox([self._status, self._chart])

    def say(self, text: str) -> None:
        """Show what is going on."""
        self._status.value = html.escape(text)

    def watch(self, run: Path) -> None:
        """Draw what the run folder holds by now."""
        trials = trials_of(run, read_manifest(run))
        if trials:
            self._chart.value = curve(run, trials, self.slo, None)

    def finish(self, run: Path) -> None:
        """Draw the whole curve once more, and say where the report lies."""
        self.watch(run)
        self._status.value = "done; the report is report.html in the run folder"


def curve(run: Path, trials: tuple[Trial, ...], slo: Slo, decision: Decision | None) -> str:
    """The chart of a run as an SVG text, and below it that of its tokens where answers were streamed."""
    mark = CPU_MARK if read_manifest(run).device == "CPU" else ""
    drawn = svg(latency_throughput_chart(trials, slo, decision=decision, mark=mark), key=run.name)
    is_streamed = any(point.measurement.streams for trial in trials for point in trial.points)
    return drawn + (svg(streams_chart(trials, slo), key=run.name) if is_streamed else "")


@plainly
def explore(run: Path) -> widgets.VBox:
    """What if the limit were another? A percentile and a limit to choose; the measured points are judged again."""
    subject = read_manifest(run).subject
    percentile = widgets.Dropdown(options=["p50", "p90", "p95", "p99"], value="p99", description="percentile")
    limit = widgets.IntSlider(value=40, min=1, max=500, description="limit (ms)", continuous_update=False)
    chart, sentence = widgets.HTML(), widgets.HTML()

    def draw(_: Any = None) -> None:
        slo = Slo(criteria=(Criterion(metric="latency", statistic=percentile.value, limit=limit.value / 1e3),))
        trials = read_trials(run, slo, subject.candidates, subject.loads)
        decided = decide(slo, trials)
        chart.value = curve(run, trials, slo, decided)
        sentence.value = html.escape(decided.sentence)

    for control in (percentile, limit):
        control.observe(draw, names="value")
    draw()
    return widgets.VBox([widgets.HBox([percentile, limit]), sentence, chart])
