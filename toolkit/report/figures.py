"""The pictures of a report, each drawn for a wide and for a narrow page. A Report in, Figures out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from toolkit.load.pattern import Concurrency, load_text
from toolkit.report.charts import batch_size_chart, svg, time_split_chart
from toolkit.report.curve_chart import latency_throughput_chart
from toolkit.report.descriptions import charted_percentile, charted_rate
from toolkit.report.front import pareto_front
from toolkit.report.front_chart import pareto_chart
from toolkit.report.report import Report
from toolkit.report.roofline_chart import roofline_chart
from toolkit.report.search_chart import search_chart
from toolkit.report.stream_chart import streams_chart
from toolkit.size.roofline import ModelRoofline
from toolkit.tune.decision import Trial

#: Pictures are drawn for two widths, in CSS pixels: a page or a desktop, and a telephone.
WIDE, NARROW = 840, 350
LOOPS = {
    "closed loops": "Each client waits for its answer before it asks again, so the load follows the server.",
    "open loads": "Requests keep to their schedule, whatever the server does, and latency counts from it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One chart drawn for wide and for narrow pages, with its caption."""

    wide: str
    narrow: str
    caption: str


def curves(report: Report) -> tuple[tuple[str, Figure], ...]:
    """Latency over the load, closed loops and open loads apart: what each curve is of, and the curve."""
    kinds = ((True, "closed loops"), (False, "open loads"))
    found = [(name, trials_of_kind(report.trials, closed)) for closed, name in kinds]
    return tuple((name, _curve(report, trials, name)) for name, trials in found if trials)


def trials_of_kind(trials: tuple[Trial, ...], closed: bool) -> tuple[Trial, ...]:
    """The trials with their closed or their open points only; those that have any."""
    kept = (replace(t, points=tuple(p for p in t.points if isinstance(p.load, Concurrency) is closed)) for t in trials)
    return tuple(trial for trial in kept if trial.points)


def _curve(report: Report, trials: tuple[Trial, ...], name: str) -> Figure:
    mark = "Measured on a CPU" if report.device_mark else ""
    caption = (
        f"{LOOPS[name]} Filled points meet the SLO, hollow ones do not or are not settled. Bars are 95 % "
        "intervals, without an end that the samples cannot bound."
    )
    if any(point.load == report.decision.load for trial in trials for point in trial.points):
        caption += " The ring marks the recommended point."

    def draw(width: int) -> Any:
        return latency_throughput_chart(trials, report.slo, decision=report.decision, mark=mark, width=width)

    return _figure(draw, caption, key=name.split()[0])


def front(report: Report) -> Figure | None:
    """What no configuration beats; None for fewer than two points, which are no front."""
    closed = trials_of_kind(report.trials, True)
    trials = closed or trials_of_kind(report.trials, False)
    if len(pareto_front(trials, charted_percentile(report.slo, trials)[0], charted_rate(trials))) < 2:
        return None
    caption = (
        "Points that meet the SLO and that no other one beats in rate and latency, as steps: between two of them "
        "nothing was measured. Faint points are beaten, or do not meet it."
    )
    return _figure(lambda width: pareto_chart(trials, report.slo, width=width), caption)


def search(report: Report) -> Figure | None:
    """How a search went; None where nothing was searched."""
    if len(report.search) < 2:
        return None
    caption = (
        "Each mark is a trial at the rate that was offered; the line is the best rate found to hold the SLO by then."
    )
    return _figure(lambda width: search_chart(report.search, width=width), caption)


def streams(report: Report) -> Figure | None:
    """First token and every other over the load; None where nothing was streamed."""
    if not any(measurement.streams for measurement in report.measurements):
        return None
    caption = (
        "Points are medians, bars reach to the p99. The time to the first token (TTFT) counts from the intended send; "
        "the time per output token (TPOT) is the mean gap of a request. Dashed: what the SLO asks of a request."
    )
    return _figure(lambda width: streams_chart(report.trials, report.slo, width=width), caption)


def split(report: Report) -> Figure | None:
    """The mean request taken apart; None without the server's statistics."""
    if report.leader is None:
        return None
    trial = report.leader[0]
    splits = tuple((load_text(p.load), p.measurement.split) for p in trial.points if p.measurement.split is not None)
    if not splits:
        return None
    caption = f"Configuration '{trial.candidate.name}'. Queue to output are spent in the server."
    return _figure(lambda width: time_split_chart(splits, width=width), caption)


def roofline(line: ModelRoofline, key: str) -> Figure:
    """A model under the roofs of the machine that it was measured on and of catalogued ones."""
    caption = f"'{line.model}' at its mean batch size of {line.batch}. Lines are what a machine allows."
    if any(roof.share is not None for roof in line.roofs):
        caption += " The filled point was measured on this machine."
    return _figure(lambda width: roofline_chart(line, width=width), caption, key=f"roof-{key}")


def no_split(report: Report) -> str:
    """Why the mean request cannot be taken apart."""
    if any(measurement.streams for measurement in report.measurements):
        return (
            "Triton counts a streamed request as executed when the model has taken it, so its statistics do not take "
            "the mean request apart; the first token and the gaps between the others show where a reader waits."
        )
    return "The server's statistics were not taken, so the mean request cannot be taken apart."


def batches(report: Report) -> tuple[str, ...]:
    """Executions by batch size at the judged load, a picture for each batching model."""
    models = report.leader[1].measurement.models if report.leader else ()
    ensembles = {step.name for step in report.steps if step.backend == "ensemble"}
    batching = [model for model in models if model.batches and model.model not in ensembles]
    return tuple(svg(batch_size_chart(model, width=NARROW), key=str(i)) for i, model in enumerate(batching))


def _figure(draw: Callable[[int], Any], caption: str, *, key: str = "") -> Figure:
    wide, narrow = (f"{key}{'-' if key else ''}{name}" for name in ("wide", "narrow"))
    return Figure(wide=svg(draw(WIDE), key=wide), narrow=svg(draw(NARROW), key=narrow), caption=caption)
