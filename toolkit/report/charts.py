"""Charts chosen by the shape of the data: values of the load stage in, Altair charts out, and SVG without a browser.

Text and rules take the reader's text colour (`currentColor`), series take mid-tones, so that one SVG reads on light and
on dark. Every chart's `description` is its text alternative. This module does not know the report.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from toolkit.extras import require
from toolkit.load.measurement import ModelSplit, TimeSplit
from toolkit.report.descriptions import (
    PARTS,
    describe_batch_sizes,
    describe_time_split,
    part_s,
    percentile_name,
)
from toolkit.tune.words import time_text

#: Okabe and Ito's palette for colour-blind readers (jfly.uni-koeln.de/color), without the two that fade on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
#: Fonts of one set of metrics, so that text is as wide for the reader as it was when the labels were placed.
FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

#: By part of the mean request: the server's in colour, what is outside the server last.
PART_COLOURS = ("#E69F00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#6F7782", "#AEB4BC", "#D3D7DB")
#: A remainder below zero by more than this share of the latency: steps of a pipeline ran at the same time.
SIDE_BY_SIDE, SIDE_BY_SIDE_SHARE = "side by side", 0.05


def shown_part(part: str, share: float) -> str:
    """A part of the mean request as the legend names it; `share` is that of the latency."""
    return SIDE_BY_SIDE if part == "remainder" and share < -SIDE_BY_SIDE_SHARE else part


def part_colour(alt: Any, rows: Sequence[dict[str, Any]], columns: int | None = None) -> Any:
    """The colour of each part that the rows have, with the legend in one line unless `columns` says otherwise."""
    shown = {row["part"] for row in rows}
    colours = {p: c for p, c in zip((*PARTS, SIDE_BY_SIDE), PART_COLOURS, strict=True) if p in shown}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("part:N", scale=scale, legend=alt.Legend(title=None, columns=columns or len(colours)))


def time_split_chart(splits: Iterable[tuple[str, TimeSplit]], *, width: int = 720) -> Any:
    """The mean request taken apart: one stacked bar (ms) per label, in the order given. Returns an altair.Chart."""
    alt = altair_module()
    splits = tuple(splits)
    rows = [
        {"label": label, "part": shown_part(part, part_s(split, part) / split.latency_s), "order": order}
        | {"time": part_s(split, part) * 1e3}
        for label, split in splits
        for order, part in enumerate(PARTS)
        if split.latency_s
    ]
    # Room for labels in a reader's wider font.
    room = min(7.5 * max((len(label) for label, _ in splits), default=0), 0.45 * width)
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar(height={"band": 0.62})
        .encode(
            x=alt.X("time:Q", title="Mean time per request (ms)", stack="zero", axis=alt.Axis(grid=True)),
            y=alt.Y(
                "label:N", title=None, sort=[label for label, _ in splits], axis=alt.Axis(grid=False, minExtent=room)
            ),
            color=part_colour(alt, rows, None if width > 500 else 4),
            order=alt.Order("order:O"),
        )
    )
    return finished(alt, chart, "time-split", describe_time_split(splits), width, 90 + 34 * len(splits))


def batch_size_chart(model: ModelSplit, *, width: int = 350) -> Any:
    """How many executions of one served model ran at each batch size. Returns an altair.Chart."""
    alt = altair_module()
    rows = [{"size": batch.size, "executions": batch.executions} for batch in model.batches]
    chart = (
        alt.Chart(alt.Data(values=rows), title=alt.TitleParams(model.model, anchor="start", limit=width - 20))
        .mark_bar(color=PALETTE[0])
        .encode(
            x=alt.X("size:O", title="Batch size of an execution", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("executions:Q", title="Executions", axis=alt.Axis(tickMinStep=1)),
        )
    )
    return finished(alt, chart, "batch-sizes", describe_batch_sizes(model), width, 220)


def svg(chart: Any, *, key: str = "") -> str:
    """The chart as an SVG element with a title and its text alternative; `key` keeps ids apart within one document."""
    text: str = require("vl_convert").vegalite_to_svg(chart.to_dict())
    name = f"{chart.name}{key and '-'}{key}"
    head = f'<svg role="img" aria-labelledby="{name}-title {name}-desc" '
    title = escape(chart.name.replace("-", " ").capitalize())
    body = f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{escape(chart.description)}</desc>'
    start, inner = text.split(">", 1)
    return f"{start.replace('<svg ', head, 1)}>{body}{inner}"


def altair_module() -> Any:
    """The altair module, imported without what would build a grammar of internationalised addresses at import.

    jsonschema, which altair validates charts with, imports rfc3987_syntax where it is installed (JupyterLab asks for
    it), and that takes three seconds for a format that no chart has. A name that is None in sys.modules is an absent
    module to whoever imports it; afterwards it is importable again.
    """
    grammar = "rfc3987_syntax"
    is_settled = "jsonschema" in sys.modules or grammar in sys.modules
    if not is_settled:
        sys.modules[grammar] = None  # type: ignore[assignment]
    try:
        return require("altair")
    finally:
        if not is_settled:
            del sys.modules[grammar]


def load_drawing() -> None:
    """Import what charts are drawn with, before work begins that they are drawn beside.

    An interrupt amid these imports is lost in one of their callbacks, or leaves a package half imported for as long as
    the kernel lives.
    """
    altair_module()
    require("vl_convert")


def series(alt: Any, names: list[str], width: int) -> dict[str, Any]:
    """The colour and the shape of each candidate, with their legend."""
    legend = alt.Legend(
        title=None, columns=3 if width > 500 else 1, labelLimit=width // 3 if width > 500 else width - 60
    )
    colours = [PALETTE[i % len(PALETTE)] for i in range(len(names))]
    shapes = [SHAPES[i % len(SHAPES)] for i in range(len(names))]
    return {
        "color": alt.Color("candidate:N", scale=alt.Scale(domain=names, range=colours), legend=legend),
        "shape": alt.Shape("candidate:N", scale=alt.Scale(domain=names, range=shapes), legend=legend),
    }


def logarithmic(alt: Any, values: Sequence[float]) -> dict[str, Any]:
    """The scale and the axis of positive values, with room at both ends: ticks at 1, 2 and 5 of each power of ten.

    Beyond three powers at 1 alone. Vega's own would go on to the next power at both ends.
    """
    low, high = 0.8 * min(values), 1.25 * max(values)
    steps = (1, 2, 5) if high / low < 1e3 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [v for power in powers for step in steps if low <= (v := step * 10.0**power) <= high]
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    # Vega leaves the words of most ticks of such an axis out where there are more of them than tickCount.
    return {"scale": scale, "axis": alt.Axis(values=ticks, tickCount=100) if len(ticks) > 1 else alt.Undefined}


def slo_line(alt: Any, q: float, limit_s: float | None) -> list[Any]:
    """The limit as a dashed line with its words; nothing without a limit."""
    if limit_s is None:
        return []
    data = alt.Chart(
        alt.Data(values=[{"limit": limit_s * 1e3, "text": f"SLO: {percentile_name(q)} ≤ {time_text(limit_s)}"}])
    )
    line = data.mark_rule(strokeDash=[5, 4], strokeWidth=1.25, color="currentColor").encode(y="limit:Q")
    label = data.mark_text(align="left", baseline="bottom", dx=5, dy=-3, color="currentColor", fontWeight=600)
    return [line, label.encode(x=alt.value(0), y="limit:Q", text="text:N")]


def finished(alt: Any, chart: Any, name: str, description: str, width: int, height: int) -> Any:
    """The look that all charts share. `width` and `height` are of the whole picture, in CSS pixels."""
    size = {"width": width, "height": height, "autosize": alt.AutoSizeParams(type="fit", contains="padding")}
    return styled(chart.properties(**size), name, description, ticks=6 if width > 500 else 4)


def styled(chart: Any, name: str, description: str, *, ticks: int) -> Any:
    """The look of every chart, of several panels too, whose sizes are their own."""
    axis = {"labelColor": "currentColor", "titleColor": "currentColor", "tickColor": "currentColor"}
    text = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": 500}
    grid = {"gridColor": "currentColor", "gridOpacity": 0.13, "domainColor": "currentColor", "domainOpacity": 0.5}
    return (
        chart.properties(name=name, description=description, background="transparent", padding=4)
        .configure(font=FONT, aria=False)
        .configure_axis(**axis, **text, **grid, tickOpacity=0.5, tickCount=ticks)
        .configure_axisQuantitative(format=",~r")
        .configure_axisX(grid=False)
        .configure_view(stroke=None)
        .configure_title(color="currentColor", fontSize=13, fontWeight=600)
        .configure_legend(orient="top", labelColor="currentColor", labelFontSize=12, symbolOpacity=1, offset=10)
    )
