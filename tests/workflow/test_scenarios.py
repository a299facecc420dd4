"""`toolkit sweep --scenario`: what is typed, and a whole run of LoadGen's server scenario against the null server."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolkit.cli.show_loadgen import scenario as show_scenario
from toolkit.errors import UsageError
from toolkit.load.importers.loadgen import LABEL
from toolkit.load.loadgen_scenario import MultiStream, Offline, Scenario, Server, SingleStream
from toolkit.load.null_server import MODEL, Behaviour, null_server
from toolkit.workflow.loads import LoadOptions, loads_from_options, scenario_from_options
from toolkit.workflow.scenarios import SCENARIO, outcome_with
from toolkit.workflow.sweep import Sweep, run_sweep

TYPED: dict[str, tuple[dict[str, Any], Scenario]] = {
    "single stream": ({"scenario": "single-stream"}, SingleStream()),
    "multi stream": ({"scenario": "multi-stream", "concurrency": "4"}, MultiStream(samples_per_query=4)),
    "server": (
        {"scenario": "server", "rate": "120.5", "duration": "2s"},
        Server(rate_per_s=120.5, target_latency_s=0.015, min_duration_s=2.0),
    ),
    "offline": ({"scenario": "offline"}, Offline()),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no rate": ({"scenario": "server"}, "needs a rate"),
    "two rates": ({"scenario": "server", "rate": "1,2"}, "takes one number"),
    "a rate of offline": ({"scenario": "offline", "rate": "5"}, "are two kinds"),
    "clients of the server": ({"scenario": "server", "rate": "5", "concurrency": "2"}, "are two kinds"),
}


@pytest.mark.parametrize(("options", "expected"), TYPED.values(), ids=TYPED)
def test_scenarios(options: dict[str, Any], expected: Scenario) -> None:
    form = LoadOptions(**options)
    assert loads_from_options(form) == ()
    assert scenario_from_options(form, "p99=15ms") == expected


@pytest.mark.parametrize(("options", "said"), REFUSED.values(), ids=REFUSED)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    form = LoadOptions(**options)
    with pytest.raises(UsageError, match=said):
        (loads_from_options(form), scenario_from_options(form, "p99=15ms"))


def test_a_whole_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The logs lie with the point; the report has the point; a pass needs LoadGen's VALID too."""
    pytest.importorskip("mlperf_loadgen", reason="needs the extra 'loadgen'")
    asked = Server(rate_per_s=300.0, target_latency_s=0.5, percentile=0.5, min_duration_s=1.0, warmup_s=0.2)
    with null_server(Behaviour(service_s=0.01, capacity=8)) as server:
        spec = Sweep(
            target=MODEL,
            url=f"http://{server.endpoint.http}",
            repository=tmp_path,
            samples=None,
            inputs=(),
            slo="p50=500ms",
            scenario=asked,
        )
        swept = run_sweep(spec, (), command="toolkit sweep", root=tmp_path / "runs", progress=lambda _: None)
    (point,) = swept.points
    folder = swept.run / "trials" / "as-served" / point.load.name
    assert {"mlperf_log_summary.txt", "mlperf_log_detail.txt", "records.npz", SCENARIO} <= {
        path.name for path in folder.iterdir()
    }
    assert json.loads((folder / SCENARIO).read_text())["label"] == LABEL
    assert point.measurement.engine == "LoadGen" and (swept.run / "report.html").is_file()
    assert swept.scenario is not None and swept.scenario.scenario == asked and swept.scenario.is_valid
    assert point.outcome != "FAIL" and swept.outcome == point.outcome
    blind = replace(swept.scenario, failed=1)
    assert outcome_with(blind, "PASS") == "UNDECIDED" and outcome_with(blind, "FAIL") == "FAIL"
    show_scenario(swept.scenario, point)
    shown = capsys.readouterr().out
    assert LABEL in shown and "VALID" in shown and "Run successful." in shown
