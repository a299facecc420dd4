"""What the load cost the server, as tables of the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from toolkit.load.measurement import GpuUse, ProcessUse, ServerMetrics
from toolkit.report.html import render_html
from toolkit.report.report import Report
from toolkit.report.resources import gpu_table, resource_tables, server_table

SERVER = ProcessUse(cpu_share=1.375, resident_bytes=300 * 2**20, processes=3)
GPU = GpuUse(
    index=1, utilisation=0.87, memory_bytes=3 * 2**30, power_w=412.4, sm_clock_mhz=1755.0, throttled=("power cap",)
)
METRICS = ServerMetrics(
    pending_at_start=0,
    pending_at_end=17,
    failures={},
    machine_cpu_share=None,
    machine_memory_bytes=None,
    gpus=(),
)


def with_resources(report: Report) -> Report:
    """The report with what was used in every point of its first trial."""
    trial, *others = report.trials
    points = tuple(
        replace(p, measurement=replace(p.measurement, server=SERVER, server_metrics=METRICS, gpus=(GPU,)))
        for p in trial.points
    )
    return replace(report, trials=(replace(trial, points=points), *others))


def test_a_row_for_every_point_that_was_observed(reports: dict[str, Callable[..., Report]]) -> None:
    report = with_resources(reports["passed"]())
    trial = report.trials[0]
    table = server_table(report)
    assert len(table.rows) == len(trial.points)
    assert table.rows[0][0] == trial.candidate.name
    assert table.rows[0][2:] == ("1.38", "300", "3", "17", "0.00")
    assert gpu_table(report).rows[0][2:] == ("1", "87", "3.0", "412", "1755", "power cap")
    for shown in (table, gpu_table(report)):
        assert {len(row) for row in shown.rows} == {len(shown.columns)}


def test_without_anything_observed_there_is_no_table(any_report: Report) -> None:
    assert resource_tables(any_report) == ()


@pytest.mark.parametrize("words", ["What each load cost the server", "GPUs under each load", "Waiting at the end"])
def test_they_are_in_the_document(words: str, reports: dict[str, Callable[..., Report]]) -> None:
    report = reports["passed"]()
    assert words in render_html(with_resources(report)) and words not in render_html(report)
