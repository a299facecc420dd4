"""Charts from values: what is drawn, what it says in words, and that both hold for every kind of run."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from toolkit.load.pattern import load_text
from toolkit.load.slo import slo_from_text
from toolkit.report.charts import batch_size_chart, svg, time_split_chart
from toolkit.report.curve_chart import latency_throughput_chart
from toolkit.report.descriptions import charted_percentile
from toolkit.report.report import Report
from toolkit.report.search_chart import describe_search, search_chart
from toolkit.report.stream_chart import streams_chart, token_times_chart
from toolkit.tune.tuned import TracePoint

pytest.importorskip("altair", reason="the charts need the `report` extra")
pytest.importorskip("vl_convert", reason="the charts need the `report` extra")

Reports = dict[str, Callable[..., Report]]
SVG = "{http://www.w3.org/2000/svg}"


def curve(report: Report, **options: Any) -> Any:
    return latency_throughput_chart(report.trials, report.slo, decision=report.decision, **options)


def texts(drawn: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(drawn).iter(f"{SVG}text")]


@pytest.mark.parametrize("width", [720, 350])
def test_curve_is_drawn_for_every_kind_of_report(any_report: Report, width: int) -> None:
    drawn = svg(curve(any_report, width=width))
    root = ET.fromstring(drawn)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("width") == str(width)
    assert "SLO: p99 ≤ 20 ms" in texts(drawn)


@pytest.mark.parametrize("width", [720, 350])
def test_token_times_are_drawn_with_their_limits(reports: Reports, width: int) -> None:
    report = reports["streamed"]()
    chart = streams_chart(report.trials, report.slo, width=width)
    assert {"TTFT (ms)", "TPOT (ms)", "4 clients"} <= set(texts(svg(chart)))
    assert "The SLO limits ttft at 200 ms and tpot at 50 ms." in chart.description
    panels = chart.to_dict()["hconcat" if width > 500 else "vconcat"]
    assert [panel["layer"][-1]["data"]["values"] for panel in panels] == [[{"limit": 200.0}], [{"limit": 50.0}]]
    assert float(ET.fromstring(svg(chart)).get("width", "")) <= 1.1 * width


def test_the_tokens_of_one_generation_are_drawn_in_their_order() -> None:
    chart = token_times_chart((0.012, 0.002, 0.005))
    rows = chart.to_dict()["data"]["values"]
    assert [(row["token"], row["time"], row["kind"][:5]) for row in rows] == [
        (1, pytest.approx(12), "first"), (2, pytest.approx(2), "gap a"), (3, pytest.approx(5), "gap a")
    ]  # fmt: skip
    assert chart.description == "3 tokens; the first after 12 ms, the longest gap 5 ms before token 3."
    assert "Waited for (ms)" in texts(svg(chart))
    assert token_times_chart(()).description == "no token came."


def test_axes_have_units_and_the_mark_is_in_the_picture(reports: Reports) -> None:
    said = texts(svg(curve(reports["passed"](), mark="Measured on a CPU")))
    assert {"Throughput (requests/s)", "p99 latency (ms)", "Measured on a CPU"} <= set(said)
    assert {"as-exported", "two-instances", "queue-delay-500us"} <= set(said)


def test_every_point_and_the_chosen_one_are_in_the_data(reports: Reports) -> None:
    report = reports["passed"]()
    layers = curve(report).to_dict()["layer"]
    data = [layer.get("data", {}).get("values", []) for layer in layers]
    assert max(map(len, data)) == sum(len(trial.points) for trial in report.trials)
    chosen = data[-2]
    assert [(row["candidate"], row["load"]) for row in chosen] == [("two-instances", "concurrency-4")]
    assert all(row["knee"] for row in data[-1])


def test_text_colour_follows_the_reader(reports: Reports) -> None:
    drawn = svg(curve(reports["passed"]()))
    assert "currentColor" in drawn
    assert all(text.get("fill") == "currentColor" for text in ET.fromstring(drawn).iter(f"{SVG}text"))


def test_text_alternative_of_the_curve(reports: Reports) -> None:
    assert curve(reports["passed"]()).description == (
        "p99 latency over throughput. "
        "as-exported: from 12.2 ms at 96.4 requests/s to 39.4 ms at 262 requests/s over 4 loads. "
        "two-instances: from 12.7 ms at 91.2 requests/s to 31.1 ms at 332 requests/s over 4 loads. "
        "queue-delay-500us: from 13.1 ms at 88 requests/s to 37.7 ms at 272 requests/s over 4 loads. "
        "The SLO line is at 20 ms. Chosen: two-instances with 4 clients at once."
    )


def test_open_loads_are_drawn_over_what_was_offered_and_a_mix_over_what_was_achieved(reports: Reports) -> None:
    over_offered, mixed = curve(reports["open"]()), curve(reports["mixed"]())
    assert "Offered rate (requests/s)" in texts(svg(over_offered))
    assert "Throughput (requests/s)" in texts(svg(mixed))
    rows = [
        max((v for layer in c.to_dict()["layer"] if (v := layer.get("data", {}).get("values"))), key=len)
        for c in (over_offered, mixed)
    ]
    assert {row["rate"] for row in rows[0]} == {100.0, 200.0, 300.0, 400.0}
    assert 224.0 in {row["rate"] for row in rows[1]}
    assert over_offered.description.startswith(
        "p99 latency over offered rate. as-exported: from 11.2 ms at 100 requests/s"
    )
    assert "Chosen: two-instances with 300 requests/s offered (poisson)." in over_offered.description


def test_drawing_builds_no_grammar_that_no_chart_needs() -> None:
    """jsonschema would at import, for three seconds, where JupyterLab is installed; afterwards it is importable."""
    script = (
        "from toolkit.load.slo import slo_from_text\n"
        "from toolkit.report.curve_chart import latency_throughput_chart\n"
        "latency_throughput_chart((), slo_from_text('p99=1s')).to_dict()\n"
        "import sys; sys.exit('rfc3987_syntax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_curve_can_be_drawn_before_the_first_point(reports: Reports) -> None:
    chart = latency_throughput_chart((), reports["passed"]().slo)
    assert "The SLO line is at 20 ms." in chart.description
    assert "<svg" in svg(chart)


@pytest.mark.parametrize(
    ("slo", "expected"),
    [
        ("p90=5ms", (0.90, 0.005)),
        ("throughput=100,p99=20ms", (0.99, 0.020)),
        ("throughput=100", (0.99, None)),
        ("service.p90=5ms", (0.99, None)),
        ("latency.mean=5ms", (0.99, None)),
        ("p97=20ms", (0.99, None)),
    ],
)
def test_the_slo_chooses_the_percentile(reports: Reports, slo: str, expected: tuple[float, float | None]) -> None:
    assert charted_percentile(slo_from_text(slo), reports["passed"]().trials) == pytest.approx(expected)


def test_a_wide_range_gets_a_logarithmic_axis(reports: Reports) -> None:
    report = reports["passed"]()
    strict = replace(report, slo=slo_from_text("p99=500us"))
    scales = [layer["encoding"]["y"].get("scale", {}) for layer in curve(strict).to_dict()["layer"]]
    assert {"log"} == {scale["type"] for scale in scales if "type" in scale}
    assert not any("type" in layer["encoding"]["y"].get("scale", {}) for layer in curve(report).to_dict()["layer"])


def test_hostile_names_stay_text(reports: Reports) -> None:
    drawn = svg(curve(reports["hostile"]()))
    assert "<script" not in drawn
    assert any("<script>" in text for text in texts(drawn))


def test_time_split_shows_every_part_of_every_load(reports: Reports) -> None:
    points = reports["passed"]().trials[1].points
    splits = tuple((load_text(p.load), p.measurement.split) for p in points if p.measurement.split is not None)
    chart = time_split_chart(splits)
    rows = chart.to_dict()["data"]["values"]
    for label, split in splits:
        assert sum(row["time"] for row in rows if row["label"] == label) == pytest.approx(1e3 * split.latency_s)
    assert {"1 client", "8 clients", "remainder", "Mean time per request (ms)"} <= set(texts(svg(chart)))
    assert chart.description.startswith("Mean time per request, taken apart. 1 client: 8.5 ms, 56 % of it infer;")


def test_batch_sizes(reports: Reports) -> None:
    model = reports["passed"]().trials[1].points[2].measurement.models[2]
    chart = batch_size_chart(model)
    assert [row["size"] for row in chart.to_dict()["data"]["values"]] == [1, 2, 3, 4, 5]
    assert chart.description.startswith("digits_classifier: ") and "most often 4" in chart.description
    assert {"digits_classifier", "Executions", "Batch size of an execution"} <= set(texts(svg(chart)))
    assert "No executions" in batch_size_chart(replace(model, batches=())).description


def test_keys_keep_the_ids_of_one_document_apart(reports: Reports) -> None:
    chart = curve(reports["passed"]())
    ids = [element.get("id") for key in ("a", "b") for element in ET.fromstring(svg(chart, key=key)).iter()]
    named = [name for name in ids if name]
    assert len(named) == len(set(named)) == 4


def test_a_search_is_drawn_trial_by_trial_with_the_best_rate_as_steps() -> None:
    trace = tuple(
        TracePoint(at_s=at_s, why=why, candidate=name, rate_per_s=rate, best_per_s=best)  # type: ignore[arg-type]
        for at_s, why, name, rate, best in (
            (1.0, "rate", "a", 100.0, 0.0),
            (2.0, "rate", "a", 90.0, 90.0),
            (3.5, "challenge", "b", 93.0, 90.0),
            (5.0, "rate", "b", 120.0, 115.0),
            (6.0, "final", "b", 115.0, 115.0),
        )
    )
    drawn = svg(search_chart(trace))
    assert "finds a rate" in drawn and "challenges the best" in drawn and "settles the best" in drawn
    assert describe_search(trace) == (
        "5 trials at a rate; the best rate known was 90 requests/s after 2 s ('a'); 115 requests/s after 5 s ('b')."
    )
