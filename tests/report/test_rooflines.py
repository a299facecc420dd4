"""A roofline in a report: the table, the chart, and what they admit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from toolkit.report.html import render_html
from toolkit.report.report import Report
from toolkit.report.roofline_chart import roofline_chart
from toolkit.report.rooflines import roofline_table
from toolkit.size.roofline import ModelRoofline, Peak, Work, roofline_of

HERE = Peak(name="This CPU", flops_per_s=1e11, bytes_per_s=1e10, source="measured here", measured=True)
L4 = Peak(name="L4", flops_per_s=3e13, bytes_per_s=3e11, source="https://x", measured=False)
WORK = Work(flops=2e6, weight_bytes=4e5, activation_bytes=1e5, uncounted=2)


def line(here: Peak | None = HERE) -> ModelRoofline:
    return roofline_of("net", WORK, precision="fp32", batch=4, reached_per_s=10_000, here=here, others=(L4,))


def test_the_share_is_of_the_measured_machine_alone() -> None:
    rows = {row[0]: row for row in roofline_table(line()).rows}
    # 2e6 FLOP over 4e5/4 + 1e5 bytes are 10 a byte: both roofs of the CPU meet at 50,000 inferences a second.
    assert rows["This CPU"][2:5] == ("50,000", "10,000", "20 %")
    assert rows["L4"][1:5] == ("bandwidth", "1,500,000", "–", "–")


def test_figures_of_another_machine_have_no_share_and_say_why() -> None:
    elsewhere = line(None)
    assert [roof.machine for roof in elsewhere.roofs] == ["L4"]
    assert any("not known here" in note for note in elsewhere.notes)
    assert any("2 operators are not counted" in note for note in elsewhere.notes)


def test_the_chart_says_what_it_shows() -> None:
    text = roofline_chart(line()).description
    assert "This CPU allows 50,000 inferences/s" in text and "20 % of it was reached" in text


def test_the_report_labels_them_as_bounds(reports: dict[str, Callable[..., Report]]) -> None:
    page = render_html(replace(reports["passed"](), rooflines=(line(),)))
    assert "Bounds by arithmetic" in page and "<h2>What the machines allow</h2>" in page
    assert "<h2>What the machines allow</h2>" not in render_html(reports["passed"]())
