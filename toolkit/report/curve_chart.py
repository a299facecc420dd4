"""Latency over the load, a line for each candidate. Trials in, an Altair chart out."""

from __future__ import annotations

from typing import Any

from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.slo import Slo
from toolkit.report.charts import altair_module, finished, logarithmic, series, slo_line
from toolkit.report.descriptions import (
    Axis,
    charted_percentile,
    charted_rate,
    describe_latency_throughput,
    percentile,
    percentile_name,
    rate_on,
)
from toolkit.report.front import knee
from toolkit.tune.decision import Decision, Point, Trial

#: Latencies that span more than this ratio are drawn on a logarithmic axis, where the SLO line stays apart from zero.
LOG_RATIO = 20


def latency_throughput_chart(
    trials: tuple[Trial, ...], slo: Slo, *, decision: Decision | None = None, mark: str = "", width: int = 720
) -> Any:
    """Tail latency (ms) over throughput, or offered rate where every load was open (requests/s), with the SLO line.

    A line per candidate with 95 % intervals. Filled points pass, hollow ones do not; the chosen one is ringed; `mark`
    is drawn across the plot.
    Returns an altair.Chart.
    """
    alt = altair_module()
    q, limit_s = charted_percentile(slo, trials)
    axis = charted_rate(trials)
    rows = _latency_rows(trials, q, axis)
    x = alt.X("rate:Q", title=f"{axis} (requests/s)", scale=_rate_scale(alt, rows))
    y = alt.Y("latency:Q", title=f"{percentile_name(q)} latency (ms)", **_latency_axis(alt, rows, limit_s))
    of_candidate = series(alt, [trial.candidate.name for trial in trials], width)
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=of_candidate["color"])
    layers = [
        *_watermark(alt, mark, width),
        base.mark_line(strokeWidth=1.75).encode(order="order:O", detail="kind:N"),
        base.mark_rule(strokeWidth=1.25, opacity=0.7).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(size=64, filled=True, opacity=1).encode(**of_candidate).transform_filter("datum.passed"),
        base.mark_point(size=56, strokeWidth=1.75, opacity=1).encode(**of_candidate).transform_filter("!datum.passed"),
        *slo_line(alt, q, limit_s),
        *_ring(alt, rows, decision, x, y),
        *_knees(alt, rows, decision, x, y),
    ]
    text = describe_latency_throughput(trials, slo, decision)
    return finished(alt, alt.layer(*layers), "latency-throughput", text, width, round(width * 0.3 + 150))


def _latency_rows(trials: tuple[Trial, ...], q: float, axis: Axis) -> list[dict[str, Any]]:
    rows = []
    for trial in trials:
        turn = knee(trial, q, axis)
        for order, point in enumerate(sorted(trial.points, key=_size)):
            quantile = percentile(point.measurement, q)
            if quantile is None:
                continue
            ends = (quantile.low_s, quantile.value_s), (quantile.high_s, quantile.value_s)
            low, high = (value if end is None else end for end, value in ends)
            rows.append(
                {"candidate": trial.candidate.name, "load": point.load.name, "order": order}
                | {"kind": type(point.load).__name__}  # a line leads through loads of one kind
                | {"rate": rate_on(axis, point.measurement), "passed": point.outcome == "PASS"}
                | {"latency": quantile.value_s * 1e3, "low": low * 1e3, "high": high * 1e3, "knee": point is turn}
            )
    return rows


def _size(point: Point) -> float:
    """What orders the points of a curve: a search measures them in another order."""
    load = point.load
    if isinstance(load, Concurrency):
        return load.clients
    return load.rate_per_s if isinstance(load, RequestRate) else 0.0


def _knees(alt: Any, rows: list[dict[str, Any]], decision: Decision | None, x: Any, y: Any) -> list[Any]:
    """Of the chosen curve, where one is chosen: the words would lie upon the others' lines."""
    chosen = decision.candidate if decision else None
    turning = [row for row in rows if row["knee"] and chosen in (None, row["candidate"])]
    turns = alt.Chart(alt.Data(values=turning)).encode(x=x, y=y)
    return [turns.mark_text(text="knee", dy=16, color="currentColor")]


def _rate_scale(alt: Any, rows: list[dict[str, Any]]) -> Any:
    fastest = max((row["rate"] for row in rows), default=0)
    return alt.Scale(domain=[0, 1.04 * fastest] if fastest else alt.Undefined, nice=True)


def _latency_axis(alt: Any, rows: list[dict[str, Any]], limit_s: float | None) -> dict[str, Any]:
    values = [v for row in rows for v in (row["low"], row["high"])] + ([limit_s * 1e3] if limit_s else [])
    if values and min(values) > 0 and max(values) / min(values) > LOG_RATIO:
        return logarithmic(alt, values)
    return {"scale": alt.Scale(zero=True, domain=[0, max(values) * 1.12] if values else alt.Undefined)}


def _ring(alt: Any, rows: list[dict[str, Any]], decision: Decision | None, x: Any, y: Any) -> list[Any]:
    if decision is None or decision.load is None:
        return []
    chosen = [r for r in rows if r["candidate"] == decision.candidate and r["load"] == decision.load.name]
    ring = alt.Chart(alt.Data(values=chosen)).mark_point(size=330, strokeWidth=1.75, color="currentColor", opacity=1)
    return [ring.encode(x=x, y=y)]


def _watermark(alt: Any, mark: str, width: int) -> list[Any]:
    if not mark:
        return []
    text = alt.Chart(alt.Data(values=[{"text": mark}])).mark_text(
        fontSize=24 if width > 500 else 12, fontWeight=700, color="currentColor", opacity=0.09
    )
    middle = {axis: alt.value({"expr": f"{size} / 2"}) for axis, size in (("x", "width"), ("y", "height"))}
    return [text.encode(text="text:N", **middle)]
