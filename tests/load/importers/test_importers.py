"""Importers on files that the tools themselves wrote (data/README.md), and on files that nobody can read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from toolkit.errors import ConfigurationError, ToolkitError, UsageError
from toolkit.load.importers.read import FORMATS, read_results
from toolkit.load.importers.results import ImportedPoint
from toolkit.load.measurement import Distribution, Measurement
from toolkit.load.pattern import Concurrency, RequestRate, Trace
from toolkit.records import read_json, write_json

DATA = Path(__file__).parent / "data"
LOADGEN = DATA / "loadgen"


def point(name: str, index: int = 0) -> ImportedPoint:
    return read_results(DATA / name).points[index]


def milliseconds(times: Distribution) -> dict[float, float]:
    return {quantile.q: round(quantile.value_s * 1e3, 3) for quantile in times.quantiles}


# --- perf_analyzer ----------------------------------------------------------------------------------------------------


def test_perf_analyzer_csv_says_what_it_says_and_no_more() -> None:
    results = read_results(DATA / "perf_analyzer.csv")
    assert (results.engine, results.model) == ("perf_analyzer", "")
    assert [p.measurement.load for p in results.points] == [Concurrency(clients=n, warmup_s=0.0) for n in (1, 2)]
    m = results.points[0].measurement
    assert m.throughput_per_s == 1357.49
    assert milliseconds(m.latency) == {0.5: 0.495, 0.9: 0.855, 0.95: 2.208, 0.99: 5.201}
    assert m.service == m.latency, "in a closed loop a request is sent when it is due"
    assert m.latency.mean_s == pytest.approx(731e-6), "the sum of its parts"
    absent = (m.requests, m.window_s, m.client, m.split, m.latency.count, m.latency.minimum_s, m.latency.maximum_s)
    assert absent == (None,) * 7
    assert all(q.low_s is None and q.high_s is None for q in m.latency.quantiles)
    assert results.points[0].records is None


def test_perf_analyzer_verbose_csv_states_the_mean_itself() -> None:
    assert point("perf_analyzer_verbose.csv").measurement.latency.mean_s == pytest.approx(888e-6)


@pytest.mark.parametrize("index", [0, 1])
def test_perf_analyzer_json_gives_the_figures_of_the_csv_of_the_same_run(index: int) -> None:
    imported, stated = point("perf_analyzer.json", index), point("perf_analyzer.csv", index).measurement
    computed = imported.measurement
    assert computed.engine == "perf_analyzer 2.51.0"
    assert computed.throughput_per_s == pytest.approx(stated.throughput_per_s, rel=1e-5)
    assert computed.latency.at(0.5).value_s == pytest.approx(stated.latency.at(0.5).value_s, abs=3e-6)
    assert computed.latency.at(0.9).value_s == pytest.approx(stated.latency.at(0.9).value_s, rel=0.03)
    assert imported.records is not None
    assert computed.requests == imported.records.in_window.sum()
    assert computed.client is None, "nobody measured what perf_analyzer used"


@pytest.mark.parametrize("name", ["perf_analyzer_rate.csv", "perf_analyzer_rate.json"])
def test_perf_analyzer_at_a_rate_tells_service_times_only(name: str) -> None:
    imported = point(name)
    m = imported.measurement
    assert isinstance(m.load, RequestRate)
    assert m.load.rate_per_s == 150
    assert m.latency.is_empty
    assert m.service.at(0.5).value_s == pytest.approx(743e-6, abs=2e-6)
    assert imported.records is None, "records would pass the real send off as the intended one"


# --- AIPerf -----------------------------------------------------------------------------------------------------------


def test_aiperf_lines_give_the_figures_of_the_summary_and_count_failures() -> None:
    imported, stated = point("aiperf"), point("aiperf/profile_export_aiperf.json").measurement
    computed, records = imported.measurement, imported.records
    assert records is not None
    assert computed.engine == stated.engine == "AIPerf 0.13.0"
    assert isinstance(computed.load, Concurrency)
    assert computed.load.clients == 2
    assert [(e.kind, e.count) for e in computed.errors] == [("HTTP 500", 3)]
    assert stated.errors == computed.errors
    assert (stated.requests, computed.requests) == (30, 30), "the two requests of the warm-up are not among them"
    assert computed.service.mean_s == pytest.approx(stated.service.mean_s, rel=0.01)
    assert computed.service.mean_s > stated.service.mean_s, "AIPerf stops with the last token, we with the last byte"
    assert computed.throughput_per_s == pytest.approx(stated.throughput_per_s, rel=0.02)
    assert (records.intended_ns <= records.sent_ns).all()
    assert len(records.response_ns) == records.responses.sum() == 27 * 8, "eight tokens of each that succeeded"


def test_aiperf_latency_counts_from_the_credit_unless_failures_are_in_it() -> None:
    poisson = point("aiperf_rate").measurement
    assert poisson.load == RequestRate(rate_per_s=20.0, arrival="poisson", warmup_s=0.0, duration_s=2.949912576)
    assert milliseconds(poisson.latency)[0.99] == 113.990
    assert milliseconds(poisson.service)[0.99] < 113.990
    with_failures = point("aiperf/profile_export_aiperf.json").measurement
    assert with_failures.latency == with_failures.service, "AIPerf's effective_latency counts the three failures"


def test_aiperf_lines_without_the_summary_are_refused(tmp_path: Path) -> None:
    shutil.copy(DATA / "aiperf" / "profile_export.jsonl", tmp_path)
    with pytest.raises(ConfigurationError, match=r"profile_export_aiperf\.json beside it"):
        read_results(tmp_path)


# --- GuideLLM ---------------------------------------------------------------------------------------------------------


def test_guidellm_latency_counts_from_when_the_request_was_due() -> None:
    imported = point("guidellm.json")
    m = imported.measurement
    assert (m.engine, imported.records is not None) == ("GuideLLM 0.8.1", True)
    assert m.load == Concurrency(clients=2, warmup_s=0.0, duration_s=m.load.duration_s)
    assert (m.requests, [(e.kind, e.count) for e in m.errors]) == (25, [("HTTP 500", 2)])
    stated = json.loads((DATA / "guidellm.json").read_text())["benchmarks"][0]["metrics"]
    assert m.service.mean_s == pytest.approx(stated["request_latency"]["successful"]["mean"], rel=1e-4)
    assert imported.records is not None
    assert (imported.records.intended_ns < imported.records.sent_ns).all()
    assert m.latency.mean_s > m.service.mean_s


def test_guidellm_with_a_sample_of_its_requests_is_taken_at_its_word() -> None:
    imported = point("guidellm_sample.json")
    assert imported.records is None
    assert (imported.measurement.requests, imported.measurement.throughput_per_s) == (59, 29.0)
    assert milliseconds(imported.measurement.latency)[0.5] == 130.836


# --- LoadGen ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "load", "per_s", "p99_ms", "is_valid"),
    [
        ("single_stream", Concurrency, 456.357, 2.176, True),
        ("multi_stream", Concurrency, 443.854, 3.436, True),
        ("server", RequestRate, 188.452, 12.713, False),
        ("offline", Trace, 4966.09, 332.254, False),
    ],
)
def test_loadgen_detail(scenario: str, load: type, per_s: float, p99_ms: float, is_valid: bool) -> None:
    m = point(f"loadgen/{scenario}").measurement
    assert m.engine.startswith("LoadGen 6.0.17, ")
    assert "not an MLPerf result" in m.engine
    assert isinstance(m.load, load)
    assert m.throughput_per_s == pytest.approx(per_s, rel=1e-5)
    assert milliseconds(m.latency)[0.99] == p99_ms
    assert [w.kind for w in m.warnings] == ([] if is_valid else ["LoadGenInvalid"])


def test_loadgen_summary_agrees_with_the_detail_and_says_less() -> None:
    summary, detail = point("loadgen/server/mlperf_log_summary.txt").measurement, point("loadgen/server").measurement
    assert milliseconds(summary.latency) == milliseconds(detail.latency)
    assert (summary.throughput_per_s, summary.requests, summary.window_s) == (188.45, None, None)
    assert (detail.requests, detail.offered_per_s) == (288, 188.733)


def test_loadgen_summary_of_multi_stream_states_no_throughput() -> None:
    with pytest.raises(ConfigurationError, match="no throughput"):
        read_results(LOADGEN / "multi_stream" / "mlperf_log_summary.txt")


# --- Model Analyzer ---------------------------------------------------------------------------------------------------


def test_model_analyzer_tells_configurations_apart() -> None:
    results = read_results(DATA / "model_analyzer.csv")
    assert (results.tool, results.model) == ("Model Analyzer", "net")
    assert [(p.variant, p.measurement.load.name) for p in results.points] == [
        ("net_config_default", "concurrency-2"),
        ("net_config_default", "concurrency-1"),
    ]
    m = results.points[0].measurement
    assert (m.throughput_per_s, milliseconds(m.latency), m.latency.mean_s) == (1812.5, {0.99: 6.0}, None)


def test_model_analyzer_throughput_is_in_requests(tmp_path: Path) -> None:
    text = (DATA / "model_analyzer.csv").read_text().replace("net,1,2,", "net,4,2,")
    (tmp_path / "file.csv").write_text(text)
    batched = read_results(tmp_path / "file.csv").points[0]
    assert (batched.measurement.throughput_per_s, batched.variant) == (1812.5 / 4, "net_config_default-batch-4")


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(p for p in DATA.rglob("*.*") if p.suffix in (".json", ".csv")), ids=str)
def test_measurements_go_to_a_file_and_back(path: Path, tmp_path: Path) -> None:
    for number, imported in enumerate(read_results(path).points):
        write_json(tmp_path / f"{number}.json", imported.measurement)
        assert read_json(tmp_path / f"{number}.json", Measurement) == imported.measurement


def test_no_file_names_the_machine_that_it_came_from() -> None:
    for path in DATA.rglob("*.*"):
        assert not [word for word in ("/tmp/", "/home/", "/root", "site-packages") if word in path.read_text()], path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is no result file that is known"),
        ("hello\n", "is no result file that is known"),
        ('{"experiments": [', "was taken for perf_analyzer --profile-export-file"),
        ('{"experiments": []}', "holds no result"),
        ("Concurrency,Inferences/Second\n1,\n", "was taken for perf_analyzer -f"),
        (":::MLLOG {}\n", "was taken for LoadGen"),
        ('{"aiperf_version": "0.13.0"}', "was taken for AIPerf"),
        ("Model,Batch,Concurrency,Model Config Path\nnet,1,1,x\n", "no column 'Throughput"),
    ],
)
def test_what_cannot_be_read_is_named(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(ToolkitError, match=message):
        read_results(tmp_path / "file")


def test_every_format_can_be_asked_for_by_name_and_others_cannot(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not known"):
        read_results(DATA / "perf_analyzer.csv", "perf")
    assert read_results(DATA / "perf_analyzer.csv", "perf_analyzer-csv").points
    with pytest.raises(ConfigurationError, match="was taken for GuideLLM"):
        read_results(DATA / "perf_analyzer.json", "guidellm-json")
    with pytest.raises(ConfigurationError, match="holds none of"):
        read_results(tmp_path)
    assert len({form.name for form in FORMATS}) == len(FORMATS)
