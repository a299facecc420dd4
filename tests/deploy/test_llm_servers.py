"""Servers of language models: every one rendered, hardened, judged by every validator; and what no name breaks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_names import HOSTILE, interpolated, markup, shape

from toolkit.deploy import (
    Bundle,
    DeploymentSpec,
    compose_bundle,
    validate_bundle,
    validate_folder,
    write_bundle,
)
from toolkit.deploy.burn import BURNS
from toolkit.deploy.command import LOCK_PLACE
from toolkit.deploy.dashboard import Panel
from toolkit.deploy.llm_alerts import is_watched, llm_alerts
from toolkit.deploy.llm_panels import llm_panels
from toolkit.deploy.llm_series import OF_BACKEND, LlmSeries
from toolkit.deploy.metrics import metric_names
from toolkit.deploy.observed import alerts_of, documented_metrics, panels_of
from toolkit.deploy.rendering import render
from toolkit.deploy.servers import SERVERS, server_named
from toolkit.errors import UsageError
from toolkit.load.slo import slo_from_text

Make = Callable[..., DeploymentSpec]
LLM_SERVERS = tuple(name for name, server in SERVERS.items() if server.series is not None)
SLO = "ttft=300ms,tpot=40ms,itl.p99=60ms,latency.p95=4s,errors=0.5%"


def service(spec: DeploymentSpec) -> dict[str, Any]:
    return dict(yaml.safe_load(compose_bundle(spec).files["compose/docker-compose.yaml"])["services"][spec.server])


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_a_bundle_of_every_server_passes_every_validator_that_is_here(
    make_llm: Make, server: str, tmp_path: Path
) -> None:
    write_bundle(compose_bundle(make_llm(server)), tmp_path / "bundle")
    findings = validate_folder(tmp_path / "bundle")
    assert [f for f in findings if f.outcome == "failed"] == []
    assert {f.tool for f in findings} >= {"known metrics", "YAML", "JSON", "no secret"}


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_every_server_is_hardened_and_tells_nobody(make_llm: Make, server: str) -> None:
    made = service(make_llm(server))
    assert made["user"] == "1000:1000" and made["cap_drop"] == ["ALL"]
    assert made["read_only"] is SERVERS[server].has_read_only_root
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:") for port in made["ports"])
    silent = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    assert made["environment"].items() >= silent.items()
    assert made["env_file"] == ["secrets.env"]
    assert made["shm_size"] and made["mem_limit"]
    model, cache = (mount for mount in made["volumes"] if isinstance(mount, dict))
    assert model == {
        "type": "bind",
        "source": "${MODEL_FOLDER:-../model}",
        "target": "/opt/models/acme",
        "read_only": True,
    }
    assert cache["target"] == SERVERS[server].cache and "read_only" not in cache
    assert SERVERS[server].ready in made["healthcheck"]["test"][-1]


def test_each_engine_gets_the_model_and_its_limits_in_its_own_words(make_llm: Make) -> None:
    said = {name: service(make_llm(name)) for name in LLM_SERVERS}
    assert said["vllm"]["entrypoint"] == ["vllm", "serve"]
    assert said["vllm"]["command"][:2] == ["/opt/models/acme", "--served-model-name=acme"]
    assert {"--max-model-len=4096", "--max-num-seqs=64", "--tensor-parallel-size=2"} <= set(said["vllm"]["command"])
    assert said["trtllm-serve"]["command"][:2] == ["trtllm-serve", "/opt/models/acme"]
    assert {"--max_seq_len=4096", "--max_batch_size=64", "--tp_size=2"} <= set(said["trtllm-serve"]["command"])
    assert said["nim"]["environment"]["NIM_MODEL_PATH"] == "/opt/models/acme"
    assert said["nim"]["environment"]["NIM_SERVED_MODEL_NAME"] == "acme"
    assert {"--max-model-len=4096", "--max-num-seqs=64"} <= set(said["nim"]["command"])
    for name in ("triton-vllm", "triton-trtllm"):
        assert LOCK_PLACE in said[name]["command"]
        # Both backends complete their configuration when they are loaded.
        assert "--disable-auto-complete-config" not in said[name]["command"]


def test_the_file_that_a_server_reads_is_in_the_bundle_where_it_is_mounted_from(make_llm: Make) -> None:
    spec = make_llm("trtllm-serve")
    (mount,) = (m for m in service(spec)["volumes"] if isinstance(m, str))
    source, place, mode = mount.split(":")
    assert (place, mode) == ("/etc/trtllm-serve/config.yaml", "ro") and f"--config={place}" in service(spec)["command"]
    read = yaml.safe_load(compose_bundle(spec).files[source.removeprefix("../")])
    assert read == {"return_perf_metrics": True, "enable_iter_perf_stats": True}


def test_the_gpus_are_those_that_share_the_model(make_llm: Make) -> None:
    made = yaml.safe_load(compose_bundle(make_llm("vllm")).files["compose/docker-compose.gpu.yaml"])
    assert made["services"]["vllm"]["deploy"]["resources"]["reservations"]["devices"][0]["count"] == 2


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_no_secret_is_written_and_each_can_be_given(make_llm: Make, server: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 34)
    monkeypatch.setenv("NGC_API_KEY", "nvapi-" + "y" * 60)
    files = compose_bundle(make_llm(server)).files
    assert all("hf_x" not in str(text) and "nvapi-y" not in str(text) for text in files.values())
    lines = str(files["compose/secrets.env"]).splitlines()
    assert all(line.startswith("#") for line in lines)
    assert {f"# {name}=" for name in SERVERS[server].secrets} <= set(lines)


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_the_readme_says_that_nothing_was_measured_and_how_to(make_llm: Make, server: str) -> None:
    readme = str(compose_bundle(make_llm(server)).files["README.md"])
    assert "Nothing of this server was run or measured" in readme
    assert "**Not measured on the target.**" in readme
    # The load engine speaks to Triton; for OpenAI's API there are others, whose results are imported.
    assert ("toolkit sweep MODEL --url" in readme) is SERVERS[server].has_repository
    assert ("toolkit import measured" in readme) is not SERVERS[server].has_repository
    assert "a bound by arithmetic" in readme and "2 x 2 = 4" in readme


def test_the_scrape_goes_where_the_server_has_its_metrics(make_llm: Make) -> None:
    def job(server: str) -> dict[str, Any]:
        text = compose_bundle(make_llm(server)).files["observability/prometheus/prometheus.yml"]
        return dict(yaml.safe_load(text)["scrape_configs"][0])

    found = {name: (job(name)["metrics_path"], job(name)["static_configs"][0]["targets"][0]) for name in LLM_SERVERS}
    assert found == {
        "triton-vllm": ("/metrics", "triton-vllm:8002"),
        "triton-trtllm": ("/metrics", "triton-trtllm:8002"),
        "vllm": ("/metrics", "vllm:8000"),
        "trtllm-serve": ("/prometheus/metrics", "trtllm-serve:8000"),
        "nim": ("/v1/metrics", "nim:8000"),
    }


# --- metrics, alerts, panels ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", LLM_SERVERS)
def test_every_metric_of_every_alert_and_panel_is_one_that_the_server_documents(make_llm: Make, server: str) -> None:
    spec = make_llm(server)
    alerts = [a.expression for a in alerts_of(spec)]
    panels = [q.expression for p in panels_of(spec) for q in p.queries]
    for expression in (*alerts, *panels):
        assert metric_names(expression)
        assert metric_names(expression) <= documented_metrics(server, ()), expression


def test_a_metric_of_another_server_is_found(make_llm: Make) -> None:
    bundle = compose_bundle(make_llm("vllm"))
    text = str(bundle.files["observability/prometheus/rules.yml"])
    text = text.replace("vllm:num_requests_waiting", "trtllm_num_requests_waiting")
    other = {"observability/prometheus/rules.yml": text}
    findings = validate_bundle(Bundle(files={**bundle.files, **other}, copies=bundle.copies))
    assert any("trtllm_num_requests_waiting" in f.reason for f in findings if f.outcome == "failed")


def test_our_backends_own_metrics_are_those_that_it_makes() -> None:
    from toolkit.serve.backend_directory import OURS

    namespace: dict[str, Any] = {}
    source = (OURS / "onnxruntime_llm" / "llm_metrics.py").read_text()
    exec(source.replace("import triton_python_backend_utils as pb_utils", ""), namespace)
    series = OF_BACKEND["onnxruntime_llm"]
    made = {namespace["PREFIX"] + name for kind in ("COUNTERS", "GAUGES") for name in namespace[kind]}
    made |= {
        f"{namespace['PREFIX']}{name}_{part}" for name in namespace["HISTOGRAMS"] for part in ("bucket", "sum", "count")
    }
    assert {name for name in series.documented if name.startswith(namespace["PREFIX"])} <= made
    assert series.times["ttft"].bounds == tuple(namespace["TTFT_BUCKETS"])
    assert series.times["itl"].bounds == tuple(namespace["GAP_BUCKETS"])


@pytest.mark.parametrize(
    ("name", "words", "watched"),
    [
        ("vllm", "ttft=300ms,tpot=40ms", True),
        ("vllm", "itl.p99=60ms", True),
        ("vllm", "ttft.mean=1s", False),
        ("vllm", "ttft.p99=3000s", False),  # beyond the last bucket
        ("triton-trtllm", "ttft.p95=300ms", True),
        ("triton-trtllm", "ttft=300ms,tpot=40ms", False),  # the first half alone is not the criterion
        ("triton-vllm", "throughput=10", False),
        ("trtllm-serve", "errors=1%", True),
    ],
)
def test_what_no_alert_watches_is_known(name: str, words: str, watched: bool) -> None:
    series = SERVERS[name].series
    assert series is not None
    assert is_watched(slo_from_text(words).criteria[0], series) is watched


@pytest.mark.parametrize(
    ("words", "thresholds"),
    [("ttft.p99=300ms", [0.144, 0.06]), ("ttft.p95=300ms", [0.72, 0.3]), ("ttft.p50=300ms", [0.9, 0.9])],
)
def test_a_burn_is_a_multiple_of_what_the_slo_allows(words: str, thresholds: list[float]) -> None:
    series = SERVERS["vllm"].series
    assert series is not None
    burns = [a for a in llm_alerts(series, slo_from_text(words), job="vllm") if "Burn" in a.name]
    assert [a.name for a in burns] == [f"LlmTtftBurn{burn.name}" for burn in BURNS]
    for alert, threshold in zip(burns, thresholds, strict=True):
        assert alert.expression.count(f"> {threshold:.4g}") == 2
        assert 'le=~"0[.]5"' in alert.expression  # the bucket at or above the limit


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed: apt-get install prometheus")
def test_the_rule_tests_see_a_rule_that_fires_too_seldom_or_too_often(tmp_path: Path) -> None:
    alerts = {"alerts": llm_alerts(OF_BACKEND["onnxruntime_llm"], slo_from_text("ttft.p99=300ms"), job="triton")}
    for file in ("rules.yml", "rules_test.yml"):
        (tmp_path / file).write_text(render(f"observability/prometheus/{file}.j2", alerts))
    command = ["promtool", "test", "rules", "rules_test.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = (tmp_path / "rules.yml").read_text()
    for changed in (rules.replace(" > ", " > 1e9 + "), rules.replace(" > 0", " >= 0")):
        assert changed != rules
        (tmp_path / "rules.yml").write_text(changed)
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode


def test_a_panel_stands_only_where_the_server_tells_something() -> None:
    def titles(series: LlmSeries, *, gpu: bool = True) -> set[str]:
        panels: tuple[Panel, ...] = llm_panels(series, gpu=gpu)
        assert all(panel.queries for panel in panels)
        return {panel.title for panel in panels}

    vllm, trtllm = SERVERS["vllm"].series, SERVERS["triton-trtllm"].series
    assert vllm is not None and trtllm is not None
    assert titles(vllm) - titles(trtllm) >= {"Key/value cache in use", "Tokens written per second"}
    assert titles(vllm) - titles(vllm, gpu=False) == {"GPU memory in use"}


def test_the_entry_of_our_backend_is_watched_as_a_language_model(make_spec: Make) -> None:
    spec = make_spec(backends=("onnxruntime_llm",), slo=slo_from_text("ttft=300ms,tpot=40ms"))
    assert {"LlmTtftBurnFast", "LlmQueueGrowing"} <= {a.name for a in alerts_of(spec)}
    findings = [f for f in compose_bundle(spec).files]
    assert "observability/grafana/dashboards/triton.json" in findings


# --- bad input --------------------------------------------------------------------------------------------------------


def test_an_unknown_server_and_an_image_that_was_not_named_are_refused() -> None:
    with pytest.raises(UsageError, match="--server tgi is not known") as unknown:
        server_named("tgi")
    assert "trtllm-serve" in unknown.value.mend
    with pytest.raises(UsageError, match="none was named") as nameless:
        server_named("nim")
    assert "--image nvcr.io/nim/" in nameless.value.mend
    assert server_named("nim", "nvcr.io/nim/a/b:1").name == "nim"


@pytest.mark.parametrize("server", ["vllm", "triton-vllm", "nim"])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_changes_values_but_never_the_structure(make_llm: Make, server: str, text: str) -> None:
    plain = compose_bundle(make_llm(server))
    hostile = compose_bundle(make_llm(server, name=text, title=text, run_id=text, model=text))
    assert set(plain.files) == set(hostile.files)
    for path, content in plain.files.items():
        if path.endswith((".yaml", ".yml")):
            assert shape(yaml.safe_load(content)) == shape(yaml.safe_load(hostile.files[path])), path
        elif path.endswith(".json") and path != "bundle.lock.json":
            assert shape(json.loads(content)) == shape(json.loads(hostile.files[path])), path
        elif path.endswith(".md"):
            assert markup(str(content)) == markup(str(hostile.files[path]))
        elif path.endswith(".env"):
            assert len(str(content).splitlines()) == len(str(hostile.files[path]).splitlines())
    served = service(make_llm(server, model=text))
    assert all(interpolated(argument) for argument in served["command"])
