"""The chart of streamed answers: how soon the first token came, and every other, over the load.

In: trials and their objective. Out: an Altair chart in the look of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from toolkit.load.goodput import limits_of
from toolkit.load.slo import Slo
from toolkit.report.charts import PALETTE, altair_module, logarithmic, series, styled
from toolkit.report.descriptions import describe_streams, stream_rows
from toolkit.tune.decision import Trial
from toolkit.tune.words import time_text


def streams_chart(trials: tuple[Trial, ...], slo: Slo, *, width: int = 720) -> Any:
    """Time to the first token and per output token (ms) over the load, a panel each, with the SLO's limits.

    A line per candidate at the median, a bar to the p99; both axes of times are logarithmic. Loads without streams are
    left out. Returns an altair.Chart.
    """
    alt = altair_module()
    rows, limits = stream_rows(trials), {bound.metric: bound.limit_s * 1e3 for bound in limits_of(slo)}
    names = [trial.candidate.name for trial in trials]
    panels = [_stream_panel(alt, rows, name, limits.get(name), names, width) for name in ("ttft", "tpot")]
    chart = alt.hconcat(*panels) if width > 500 else alt.vconcat(*panels)
    return styled(chart, "tokens-over-load", describe_streams(trials, slo), ticks=4)


def _stream_panel(
    alt: Any, rows: list[dict[str, Any]], name: str, limit_ms: float | None, names: list[str], width: int
) -> Any:
    own = [row for row in rows if row["metric"] == name]
    x = alt.X("load:N", title=None, sort=list(dict.fromkeys(r["load"] for r in rows)), axis=alt.Axis(labelAngle=-30))
    values = [row[q] for row in own for q in ("p50", "p99")] + ([limit_ms] if limit_ms else [])
    axis = logarithmic(alt, [v for v in values if v > 0] or [1.0])
    y = alt.Y("p50:Q", title=f"{name.upper()} (ms)", **axis)
    of_candidate = series(alt, names, width)
    base = alt.Chart(alt.Data(values=own)).encode(x=x, y=y, color=of_candidate["color"])
    layers = [
        base.mark_line(strokeWidth=1.75),
        base.mark_rule(strokeWidth=1.25, opacity=0.7).encode(y2="p99:Q"),
        base.mark_point(size=56, filled=True, opacity=1).encode(**of_candidate),
    ]
    if limit_ms is not None:
        line = alt.Chart(alt.Data(values=[{"limit": limit_ms}])).mark_rule(strokeDash=[5, 4], color="currentColor")
        layers.append(line.encode(y="limit:Q"))
    wide = width > 500
    return alt.layer(*layers).properties(width=width // 2 - 70 if wide else width - 70, height=200)


def token_times_chart(times_s: Sequence[float], *, width: int = 720) -> Any:
    """How long each token of one generation was waited for (ms), the first one in another colour.

    times_s: to the first token, then the gaps. Returns an altair.Chart.
    """
    alt = altair_module()
    kinds = ["first token (TTFT)", "gap after the one before (ITL)"]
    rows = [{"token": n, "time": 1e3 * time, "kind": kinds[n > 1]} for n, time in enumerate(times_s, 1)]
    colours = alt.Scale(domain=kinds, range=list(PALETTE[1::-1]))
    ticks = [1, *range(8, len(times_s) + 1, 8)]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("token:O", title="Token", axis=alt.Axis(labelAngle=0, values=ticks)),
            y=alt.Y("time:Q", title="Waited for (ms)"),
            color=alt.Color("kind:N", scale=colours, legend=alt.Legend(title=None)),
        )
        .properties(width=width - 70, height=160)
    )
    slowest = max(range(1, len(times_s)), key=times_s.__getitem__, default=0)
    text = f"{len(times_s)} tokens; the first after {time_text(times_s[0])}" if times_s else "no token came"
    text += f", the longest gap {time_text(times_s[slowest])} before token {slowest + 1}." if slowest else "."
    return styled(chart, "token-times", text, ticks=4)
