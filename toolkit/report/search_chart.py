"""A search as it went: each trial when it ended, and the best rate known by then. Trace points in, a chart out."""

from __future__ import annotations

from typing import Any

from toolkit.report.charts import PALETTE, SHAPES, altair_module, finished
from toolkit.tune.tuned import TracePoint
from toolkit.tune.words import rate_text

#: What a trial was for, in the report's words.
PURPOSES = {"rate": "finds a rate", "challenge": "challenges the best", "final": "settles the best"}


def search_chart(trace: tuple[TracePoint, ...], *, width: int = 720) -> Any:
    """Requests/s offered over the seconds spent, a mark for each trial, and the best rate as steps."""
    alt = altair_module()
    tried = [
        {"at": p.at_s, "rate": p.rate_per_s, "why": PURPOSES[p.why], "candidate": p.candidate}
        for p in trace
        if p.why in PURPOSES
    ]
    best = [{"at": p.at_s, "best": p.best_per_s} for p in trace if p.best_per_s]
    names = list(PURPOSES.values())
    x = alt.X("at:Q", title="Time spent on trials (s)", scale=alt.Scale(zero=True))
    y = alt.Y("rate:Q", title="Offered, and best known (requests/s)", scale=alt.Scale(zero=True))
    legend = alt.Legend(title=None, columns=3 if width > 500 else 1)
    marks = {
        "color": alt.Color("why:N", scale=alt.Scale(domain=names, range=list(PALETTE[:3])), legend=legend),
        "shape": alt.Shape("why:N", scale=alt.Scale(domain=names, range=list(SHAPES[:3])), legend=legend),
    }
    layers = [
        alt.Chart(alt.Data(values=tried)).mark_point(size=44, filled=True, opacity=0.75).encode(x=x, y=y, **marks),
        alt.Chart(alt.Data(values=best))
        .mark_line(interpolate="step-after", strokeWidth=1.75, color="currentColor")
        .encode(x=x, y=alt.Y("best:Q")),
    ]
    return finished(alt, alt.layer(*layers), "search", describe_search(trace), width, round(width * 0.2 + 150))


def describe_search(trace: tuple[TracePoint, ...]) -> str:
    """The chart in words: how many trials there were, and when the best rate rose."""
    steps, best = [], 0.0
    for point in trace:
        if point.best_per_s > best:
            best = point.best_per_s
            steps.append(f"{rate_text(best)} requests/s after {point.at_s:.0f} s ('{point.candidate}')")
    return f"{len(trace)} trials at a rate; the best rate known was {'; '.join(steps) or 'none'}."
