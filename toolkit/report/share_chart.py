"""Where the mean request's time goes, as shares of its latency: a bar for each window. Shares in, a chart out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.report.charts import altair_module, finished, part_colour, shown_part
from toolkit.report.descriptions import PARTS
from toolkit.tune.words import percent_text


def share_chart(windows: Mapping[str, Mapping[str, float]], *, width: int = 720) -> Any:
    """One stacked bar (% of the mean latency) per window that has shares. Returns an altair.Chart."""
    alt = altair_module()
    known = {when: shares for when, shares in windows.items() if shares}
    rows = [
        {"window": when, "part": shown_part(part, share), "order": PARTS.index(part), "share": 100 * share}
        for when, shares in known.items()
        for part, share in shares.items()
    ]
    y = alt.Y("window:N", title=None, sort=list(known), axis=alt.Axis(grid=False, minExtent=90))
    x = alt.X("share:Q", title="Share of the mean latency (%)", stack="zero", axis=alt.Axis(grid=True))
    bars = alt.Chart(alt.Data(values=rows)).mark_bar(height={"band": 0.62})
    chart = bars.encode(x=x, y=y, color=part_colour(alt, rows), order=alt.Order("order:O"))
    return finished(alt, chart, "time-shares", describe_shares(known), width, 90 + 36 * max(len(known), 1))


def describe_shares(windows: Mapping[str, Mapping[str, float]]) -> str:
    """The chart in words."""
    said = (
        f"with {when}: " + ", ".join(f"{part} {percent_text(share)}" for part, share in shares.items() if share >= 0.01)
        for when, shares in windows.items()
    )
    return f"Of the mean latency {'; '.join(said)}."
