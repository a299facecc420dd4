"""The race of a search: each configuration's rate within the SLO, as far as it is known. Standings in, a chart out."""

from __future__ import annotations

from typing import Any

from toolkit.report.bars import with_room
from toolkit.report.charts import PALETTE, altair_module, finished
from toolkit.tune.tuned import Standing, Tuned
from toolkit.tune.words import rate_text

#: Configurations that are drawn, the best first.
MOST = 8


def race_chart(found: Tuned, *, width: int = 720) -> Any:
    """Requests/s within the SLO of the leading configurations, with 95 % intervals. Returns an altair.Chart."""
    alt = altair_module()
    racing = _racing(found)
    best = found.decision.candidate or (racing[0].candidate if racing else "")
    rows: list[dict[str, Any]] = [
        {"name": s.candidate, "rate": s.rate_per_s, "low": s.low, "high": s.high, "leads": s.candidate == best}
        | {"text": rate_text(s.rate_per_s or 0.0)}
        for s in racing
    ]
    names = [row["name"] for row in rows]
    y = alt.Y("name:N", title=None, sort=names, axis=alt.Axis(grid=False, labelLimit=width // 2))
    scale = with_room(alt, [row["high"] for row in rows])
    x = alt.X("rate:Q", title="Requests/s within the SLO", scale=scale, axis=alt.Axis(grid=True))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    colour = alt.condition("datum.leads", alt.value(PALETTE[2]), alt.value(PALETTE[5]))
    layers = [
        base.mark_bar(height={"band": 0.55}).encode(x=x, color=colour),
        base.mark_rule(strokeWidth=1.75, color="currentColor").encode(x="low:Q", x2="high:Q"),
        base.mark_text(align="left", dx=6, color="currentColor").encode(x="high:Q", text="text:N"),
    ]
    return finished(alt, alt.layer(*layers), "race", describe_race(found), width, 80 + 30 * max(len(rows), 1))


def describe_race(found: Tuned) -> str:
    """The chart in words."""
    said = "; ".join(f"{s.candidate} {rate_text(s.rate_per_s or 0.0)} requests/s" for s in _racing(found))
    tried = f"{len(found.standings)} of {found.configurations} configurations were tried"
    return f"{tried}; within the SLO: {said or 'none yet'}."


def _racing(found: Tuned) -> tuple[Standing, ...]:
    known = [s for s in found.standings if s.rate_per_s]
    return tuple(sorted(known, key=lambda s: -(s.rate_per_s or 0.0))[:MOST])
