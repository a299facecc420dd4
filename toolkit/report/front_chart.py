"""The Pareto front as steps: what no configuration beats, over all that was measured. Values in, a chart out."""

from __future__ import annotations

from typing import Any

from toolkit.load.pattern import load_text
from toolkit.load.slo import Slo
from toolkit.report.charts import altair_module, finished, series, slo_line
from toolkit.report.descriptions import charted_percentile, charted_rate, percentile, percentile_name, rate_on
from toolkit.report.front import pareto_front
from toolkit.tune.decision import Trial
from toolkit.tune.words import rate_text, time_text


def pareto_chart(trials: tuple[Trial, ...], slo: Slo, *, width: int = 720) -> Any:
    """Steps through the points that none beats in rate and tail latency; every other point faint behind them."""
    alt = altair_module()
    q, limit_s = charted_percentile(slo, trials)
    axis = charted_rate(trials)
    front = pareto_front(trials, q, axis)
    best = {id(point) for _, point in front}
    rows: list[dict[str, Any]] = [
        {"rate": rate_on(axis, p.measurement), "latency": v.value_s * 1e3, "candidate": t.candidate.name}
        | {"front": id(p) in best}
        for t in trials
        for p in t.points
        if (v := percentile(p.measurement, q)) is not None
    ]
    slowest = max((r["latency"] for r in rows), default=0.0)
    is_near = limit_s is not None and slowest > 0.3e3 * limit_s
    top = max(slowest, 1e3 * limit_s) if limit_s and is_near else slowest
    # Room above the topmost line, for its words.
    x = alt.X("rate:Q", title=f"{axis} (requests/s)", scale=_from_zero(alt, max((r["rate"] for r in rows), default=0)))
    y = alt.Y("latency:Q", title=f"{percentile_name(q)} latency (ms)", scale=_from_zero(alt, 1.12 * top))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y)
    marks = series(alt, [trial.candidate.name for trial in trials], width)
    steps = base.transform_filter("datum.front").mark_line(interpolate="step-before", strokeWidth=1.5, opacity=0.8)
    layers = [
        steps.encode(color=alt.value("currentColor")),
        base.transform_filter("!datum.front").mark_point(size=36, opacity=0.7).encode(**marks),
        base.transform_filter("datum.front").mark_point(size=72, filled=True, opacity=1).encode(**marks),
        *(slo_line(alt, q, limit_s) if is_near else ()),
    ]
    said = "; ".join(_said(t, p, q) for t, p in front) or "no point passes"
    text = f"The points that no other one beats in {axis.lower()} and {percentile_name(q)}: {said}."
    return finished(alt, alt.layer(*layers), "pareto-front", text, width, round(width * 0.2 + 150))


def _from_zero(alt: Any, top: float) -> Any:
    return alt.Scale(domain=[0, 1.04 * top] if top else alt.Undefined, nice=True)


def _said(trial: Trial, point: Any, q: float) -> str:
    found = percentile(point.measurement, q)
    latency = time_text(found.value_s) if found else "no latency"
    rate = rate_text(point.measurement.throughput_per_s)
    return f"'{trial.candidate.name}' with {load_text(point.load)}, {rate} requests/s at {latency}"
