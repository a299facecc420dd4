"""A roofline as a chart: operations a second over operations a byte, both logarithmic. Values in, a chart out."""

from __future__ import annotations

from typing import Any

from toolkit.report.charts import altair_module, finished
from toolkit.size.roofline import ModelRoofline, Peak
from toolkit.tune.words import percent_text, rate_text

#: Decades of operations a byte on both sides of the model and of the ridges.
ROOM = 3.0


def roofline_chart(line: ModelRoofline, *, width: int = 720) -> Any:
    """The roof of each machine, and the model's place under it: filled where measured, hollow where only bounded."""
    alt = altair_module()
    intensity = line.roofs[0].intensity if line.roofs else 1.0
    ridges = [peak.flops_per_s / peak.bytes_per_s for peak in line.peaks]
    low, high = min((intensity, *ridges)) / ROOM, max((intensity, *ridges)) * ROOM
    lines = [point for peak in line.peaks for point in _roof(peak, low, high)]
    places = [
        {"machine": roof.machine, "intensity": intensity, "gflops": roof.flops_per_s / 1e9, "kind": "bound"}
        for roof in line.roofs
    ]
    reached = [
        {"machine": roof.machine, "intensity": intensity, "gflops": line.reached_per_s * line.work.flops / 1e9}
        for roof in line.roofs
        if roof.share is not None and line.reached_per_s
    ]
    x = alt.X("intensity:Q", title="Operations for each byte", scale=alt.Scale(type="log", domain=[low, high]))
    y = alt.Y("gflops:Q", title="GFLOP/s", scale=alt.Scale(type="log"))
    legend = alt.Legend(
        title=None, columns=4 if width > 500 else 2, labelLimit=width // 4 if width > 500 else width // 3
    )
    colour = alt.Color("machine:N", legend=legend, sort=[peak.name for peak in line.peaks])
    layers = [
        alt.Chart(alt.Data(values=lines)).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour),
        alt.Chart(alt.Data(values=places)).mark_point(size=50).encode(x=x, y=y, color=colour),
        alt.Chart(alt.Data(values=reached)).mark_point(size=90, filled=True, opacity=1).encode(x=x, y=y, color=colour),
    ]
    return finished(alt, alt.layer(*layers), "roofline", describe(line), width, round(width * 0.25 + 150))


def _roof(peak: Peak, low: float, high: float) -> list[dict[str, Any]]:
    """The slope of the memory up to the ridge, and the flat of the arithmetic behind it."""
    ridge = peak.flops_per_s / peak.bytes_per_s
    ends = (low, ridge, high) if low < ridge < high else (low, high)
    return [
        {"machine": peak.name, "intensity": x, "gflops": min(peak.flops_per_s, peak.bytes_per_s * x) / 1e9}
        for x in ends
    ]


def describe(line: ModelRoofline) -> str:
    """The text alternative."""
    said = [
        f"{roof.machine} allows {rate_text(roof.inferences_per_s)} inferences/s ({roof.limit})" for roof in line.roofs
    ]
    shares = [f"{percent_text(roof.share)} of it was reached" for roof in line.roofs if roof.share is not None]
    return f"Roofline of {line.model} at batch {line.batch}. {'; '.join([*said, *shares]) or 'No machine is known'}."
