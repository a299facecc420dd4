"""What a capacity plan asks of one replica, beside what one was measured to sustain. A plan in, a chart out."""

from __future__ import annotations

from typing import Any

from toolkit.report.bars import with_room
from toolkit.report.charts import PALETTE, altair_module, finished
from toolkit.size.plan import CapacityPlan
from toolkit.tune.words import rate_text

SUSTAINED, AT_PEAK, AWAY = "One replica sustains", "Each at the peak", "Each with the spare ones away"


def sizing_chart(plan: CapacityPlan, *, width: int = 720) -> Any:
    """Requests/s of one replica: what it sustains with its 95 % interval, and what the plan asks of it.

    The room between the two is the headroom. Returns an altair.Chart.
    """
    alt = altair_module()
    rows = _rows(plan)
    names = [row["what"] for row in rows]
    colours = alt.Scale(domain=names, range=[PALETTE[2], PALETTE[0], PALETTE[1]])
    y = alt.Y("what:N", title=None, sort=names, axis=alt.Axis(grid=False, minExtent=190, labelLimit=220))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y)
    scale = with_room(alt, [row["high"] for row in rows])
    x = alt.X("rate:Q", title="Requests/s of one replica", scale=scale, axis=alt.Axis(grid=True))
    layers = [
        base.mark_bar(height={"band": 0.5}).encode(x=x, color=alt.Color("what:N", scale=colours, legend=None)),
        base.mark_rule(strokeWidth=2, color="currentColor").encode(x="low:Q", x2="high:Q"),
        base.mark_text(align="left", dx=6, color="currentColor").encode(x="high:Q", text="text:N"),
    ]
    return finished(alt, alt.layer(*layers), "sizing", describe_sizing(plan), width, 170)


def describe_sizing(plan: CapacityPlan) -> str:
    """The chart in words."""
    count, said = plan.replicas, "; ".join(f"{row['what'].lower()}: {row['text']} requests/s" for row in _rows(plan))
    return (
        f"{count.recommended} replicas for {rate_text(plan.asked.demand.peak_per_s)} requests/s "
        f"({count.for_peak.value:g} for the peak, {count.spare} spare); {said}."
    )


def _rows(plan: CapacityPlan) -> list[dict[str, Any]]:
    sustained, asked = plan.sustained_per_s, plan.at_peak_per_s
    figures = [
        (SUSTAINED, sustained.value, sustained.low, sustained.high),
        (AT_PEAK, asked.value, asked.value, asked.value),
        *([(AWAY, asked.high, asked.high, asked.high)] if plan.replicas.spare else []),
    ]
    return [
        {"what": what, "rate": rate, "low": low, "high": high, "text": rate_text(rate)}
        for what, rate, low, high in figures
    ]
