"""The Report value, its round trip, and what it admits about itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError
from toolkit.load.metric_table import METRICS
from toolkit.report import evidence, speed
from toolkit.report.report import CPU_MARK, Report, read_report, report_json, write_report
from toolkit.report.statements import judged_at, not_shown, risks

Reports = dict[str, Callable[..., Report]]


def test_round_trip(any_report: Report, tmp_path: Path) -> None:
    write_report(tmp_path / "report.json", any_report)
    assert read_report(tmp_path / "report.json") == any_report


def test_the_document_is_versioned(reports: Reports, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(path, reports["passed"]())
    document = json.loads(path.read_text())
    assert document == json.loads(report_json(reports["passed"]()))
    path.write_text(json.dumps(document | {"schema": 99}))
    with pytest.raises(ConfigurationError, match="schema"):
        read_report(path)


def test_an_unknown_key_is_refused(reports: Reports, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(json.loads(report_json(reports["passed"]())) | {"titel": "x"}))
    with pytest.raises(ConfigurationError, match="did you mean 'title'"):
        read_report(path)


@pytest.mark.parametrize(
    ("name", "first", "named"),
    [
        ("passed", "Little headroom", "CPU figures"),
        ("gpu", "Little headroom", "Warning: Drifting"),
        ("undecided", "Served answers are not proven", "Too few independent samples"),
        ("failed", "The exported digits_classifier differs from the original", "Requests failed"),
        ("invalid", "CPU figures", "Traffic in bursts"),
        ("empty", "Served answers are not proven", "CPU figures"),
    ],
)
def test_risks(reports: Reports, name: str, first: str, named: str) -> None:
    found = risks(reports[name]())
    assert len(found) == 3
    assert found[0].name == first
    assert named in [risk.name for risk in found]
    assert all(risk.text.endswith(".") for risk in found)


def test_a_close_choice_is_a_risk(reports: Reports) -> None:
    report = reports["passed"]()
    twin = replace(report.trials[1], candidate=replace(report.trials[1].candidate, name="twin"))
    close = replace(report, trials=(*report.trials, twin))
    assert "twin" in next(risk.text for risk in risks(close, most=9) if risk.name == "The choice is close")


def test_only_a_cpu_is_marked(reports: Reports) -> None:
    assert reports["passed"]().device_mark == CPU_MARK
    assert reports["gpu"]().device_mark == ""


def test_what_is_not_shown(reports: Reports) -> None:
    said = not_shown(reports["undecided"]())
    assert any(text.startswith("Endurance: no load was held for longer than 10 s") for text in said)
    stated = reports["passed"](not_shown=("Behaviour of the network.",))
    assert not_shown(stated)[0] == "Behaviour of the network."
    bare = reports["passed"](accuracy=None, export_parity=())
    assert any(text.startswith("Accuracy on your task") for text in not_shown(bare))


@pytest.mark.parametrize(
    ("name", "text", "verdict"),
    [
        ("passed", "Judged for configuration 'two-instances' with 4 clients at once.", "PASS"),
        ("failed", "Judged for the nearest point: configuration 'as-exported' with 1 client.", "FAIL"),
        ("undecided", "Judged for the nearest point: configuration 'as-exported' with 1 client.", "UNDECIDED"),
        ("invalid", "No point is valid, so no criterion could be judged.", "NOT JUDGED"),
        ("empty", "No point is valid, so no criterion could be judged.", "NOT JUDGED"),
    ],
)
def test_criteria(reports: Reports, name: str, text: str, verdict: str) -> None:
    report = reports[name]()
    assert judged_at(report) == text
    assert [row[-1] for row in speed.criteria_table(report).rows] == [verdict]


def test_rows_have_one_text_for_each_column(any_report: Report) -> None:
    builders = (
        *(speed.criteria_table, speed.warnings_table, speed.rejected_table, evidence.parity_table),
        *(evidence.accuracy_table, evidence.steps_table, evidence.artifacts_table, evidence.machine_table),
        *(evidence.versions_table, evidence.seeds_table),
    )
    tables = [*(build(any_report) for build in builders), *speed.points_tables(any_report), speed.metrics_table()]
    tables += [speed.split_table(trial) for trial in any_report.trials]
    for table in tables:
        assert all(len(row) == len(table.columns) for row in table.rows), table.caption


@pytest.mark.parametrize("name", ["passed", "streamed"])
def test_every_declared_metric_is_in_a_table_and_in_the_glossary(reports: Reports, name: str) -> None:
    families = {"latency", "throughput", "errors", "batch_size", "service", "client", "split"}
    families |= {"ttft", "tpot", "itl", "tokens", "goodput"}
    assert {metric.name.partition(".")[0] for metric in METRICS} == families
    assert len(speed.metrics_table().rows) == len(METRICS)
    report = reports[name]()
    shown = sum(len(t.columns) - 3 for t in speed.points_tables(report)) + len(
        speed.split_table(report.trials[0]).columns
    )
    measurements = [point.measurement for trial in report.trials for point in trial.points]
    known = [metric for metric in METRICS if any(metric.value(m) is not None for m in measurements)]
    # The load and the mean latency stand in the split table besides; what no point has is not shown.
    assert shown == len(known) + 2


def test_the_judged_row_is_marked(reports: Reports) -> None:
    table = speed.points_tables(reports["passed"]())[0]
    assert table.marked is not None
    assert table.rows[table.marked][:2] == ("two-instances", "4 clients")
    assert speed.points_tables(reports["invalid"]())[0].marked is None


def test_live_parity_that_is_invalid_is_never_shown_as_passed(reports: Reports) -> None:
    row = evidence.parity_table(reports["undecided"]()).rows[-1]
    assert (row[0], row[-1]) == ("Server, under load", "INVALID")
    assert any("INVALID, digits_classifier executed" in note for note in evidence.parity_notes(reports["undecided"]()))
