"""Alerts and dashboard: only metrics that exist, limits from the SLO, rules that fire when they must."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from toolkit.deploy import DeploymentSpec, compose_bundle, write_bundle
from toolkit.deploy.alerts import alerts_for
from toolkit.deploy.burn import SUMMARY_QUANTILES
from toolkit.deploy.dashboard import panels_for
from toolkit.deploy.metrics import METRICS, RATE_WINDOW, metric_names, promql_text
from toolkit.deploy.rendering import render
from toolkit.load.slo import Criterion, Slo

NO_SLO = Slo(criteria=())


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", {"up"}),
        ('sum by (model) (rate(nv_a{x="by (b) {c}"}[2m])) / clamp_min(nv_b, 0.001)', {"nv_a", "nv_b"}),
        ("max without(gpu) (nv_a) > 1e6 and on (model) group_left (x) nv_b offset 5m", {"nv_a", "nv_b"}),
        ('nv_a{m="\\"nv_c"} unless vllm:num_requests_waiting', {"nv_a", "vllm:num_requests_waiting"}),
    ],
)
def test_metric_names_are_read_out_of_promql(expression: str, names: set[str]) -> None:
    assert metric_names(expression) == names


def test_every_metric_of_every_panel_and_alert_exists() -> None:
    slo = Slo(criteria=tuple(Criterion(metric="latency", statistic=s, limit=1.0) for s in SUMMARY_QUANTILES))
    alerts = [a.expression for a in alerts_for("m", slo, gpu=True)]
    panels = [q.expression for p in panels_for("m", gpu=True) for q in p.queries]
    for expression in (*alerts, *panels):
        assert metric_names(expression)
        assert metric_names(expression) <= METRICS


def test_a_panel_of_the_dashboard_has_its_place_and_queries(make_spec: Callable[..., DeploymentSpec]) -> None:
    files = compose_bundle(make_spec(gpu=True)).files
    dashboard = json.loads(files["observability/grafana/dashboards/triton.json"])
    assert [p["title"] for p in dashboard["panels"]] == [p.title for p in panels_for("digits", gpu=True)]
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in dashboard["panels"]}
    assert len(places) == len(dashboard["panels"])
    source = yaml.safe_load(files["observability/grafana/provisioning/datasources/prometheus.yaml"])
    assert {t["datasource"]["uid"] for p in dashboard["panels"] for t in p["targets"]} == {
        source["datasources"][0]["uid"]
    }


def test_gpu_panels_only_where_there_is_a_gpu() -> None:
    on_cpu = {q.expression for p in panels_for("m", gpu=False) for q in p.queries}
    assert not any("nv_gpu" in expression for expression in on_cpu)


def test_limits_come_from_the_slo() -> None:
    slo = Slo(
        criteria=(
            Criterion(metric="latency", statistic="p90", limit=0.01),
            Criterion(metric="latency", statistic="p99", limit=0.02),
            Criterion(metric="throughput", statistic="mean", limit=5.0),
            Criterion(metric="errors", statistic="rate", limit=0.001),
        )
    )
    expressions = {a.name: a.expression for a in alerts_for("m", slo)}
    assert expressions["TritonLatencyP90"].endswith('quantile="0.9"}) > 10000')
    assert expressions["TritonLatencyP99"].endswith('quantile="0.99"}) > 20000')
    assert expressions["TritonQueueGrowing"].endswith("> 5000")
    assert expressions["TritonErrors"].endswith("> 0.001")
    assert not any(a.name.startswith("TritonLatency") for a in alerts_for("m", NO_SLO))


def test_a_budget_burns_over_two_windows_and_never_more_than_all_requests() -> None:
    for limit, fast, slow in ((0.001, "0.0144", "0.006"), (0.5, "0.9", "0.9")):
        slo = Slo(criteria=(Criterion(metric="errors", statistic="rate", limit=limit),))
        expressions = {a.name: a.expression for a in alerts_for("m", slo)}
        for name, share, windows in (("Fast", fast, ("5m", "1h")), ("Slow", slow, ("30m", "6h"))):
            expression = expressions[f"TritonErrorBudgetBurn{name}"]
            assert expression.count(f"> {share}") == 2
            assert set(re.findall(r"\[(\w+)\]", expression)) == set(windows)


def test_gpu_memory_is_watched_only_where_there_is_a_gpu() -> None:
    assert {a.name for a in alerts_for("m", NO_SLO, gpu=True)} - {a.name for a in alerts_for("m", NO_SLO)} == {
        "TritonGpuMemoryFull"
    }


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_every_alert_fires_when_it_must_and_is_quiet_when_it_must(
    make_spec: Callable[..., DeploymentSpec], tmp_path: Path
) -> None:
    write_bundle(compose_bundle(make_spec(gpu=True)), tmp_path / "bundle")
    folder = tmp_path / "bundle" / "observability" / "prometheus"
    command = ["promtool", "test", "rules", "rules_test.yml"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    tested = {
        rule["alertname"]
        for t in yaml.safe_load((folder / "rules_test.yml").read_text())["tests"]
        for rule in t["alert_rule_test"]
    }
    assert "TritonGpuMemoryFull" in tested and "TritonLatencyP99Burn" in tested
    assert tested == {
        r["alert"] for g in yaml.safe_load((folder / "rules.yml").read_text())["groups"] for r in g["rules"]
    }


def test_the_rate_window_spans_four_scrapes() -> None:
    interval = yaml.safe_load(
        render("observability/prometheus/prometheus.yml.j2", {"job": "a", "path": "/b", "target": "c"})
    )["global"]["scrape_interval"]
    seconds = {"s": 1, "m": 60}
    window_s, interval_s = (int(t[:-1]) * seconds[t[-1]] for t in (RATE_WINDOW, interval))
    assert window_s >= 4 * interval_s


def test_a_promql_string_has_nothing_that_a_template_reads() -> None:
    quoted = promql_text('a"b\\${c}{{ d }}[[e]]\né')
    assert re.fullmatch(r'"[A-Za-z0-9._\\-]*"', quoted)
    assert quoted.encode().decode("unicode_escape") == '"a"b\\${c}{{ d }}[[e]]\né"'


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_a_rule_whose_limit_is_wrong_fails_its_own_test(
    make_spec: Callable[..., DeploymentSpec], tmp_path: Path
) -> None:
    write_bundle(compose_bundle(make_spec()), tmp_path / "bundle")
    folder = tmp_path / "bundle" / "observability" / "prometheus"
    rules = (folder / "rules.yml").read_text()
    for limit in ("> 20000", "> 10000", "> 0.01", "== 0"):
        (folder / "rules.yml").write_text(rules.replace(limit, "> 1e9"))
        assert subprocess.run(["promtool", "test", "rules", "rules_test.yml"], cwd=folder, check=False).returncode
