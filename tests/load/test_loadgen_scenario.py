"""MLPerf's scenarios as values: from the options of a sweep, to LoadGen's own settings."""

from __future__ import annotations

import pytest

from toolkit.errors import UsageError
from toolkit.load.loadgen_scenario import (
    MultiStream,
    Offline,
    Scenario,
    ScenarioName,
    Server,
    SingleStream,
    loadgen_settings,
    scenario_from,
)
from toolkit.load.pattern import Concurrency, RequestRate
from toolkit.load.slo import slo_from_text

COMMON = {
    "min_duration_ms": 2500,
    "min_query_count": 100,
    "qsl_rng_seed": 7,
    "sample_index_rng_seed": 7,
    "schedule_rng_seed": 7,
}


@pytest.mark.parametrize(
    ("scenario", "own"),
    [
        (
            SingleStream(min_duration_s=2.5, seed=7),
            {"single_stream_expected_latency_ns": 1_000_000, "single_stream_target_latency_percentile": 0.9},
        ),
        (
            MultiStream(samples_per_query=4, min_duration_s=2.5, seed=7),
            {
                "multi_stream_expected_latency_ns": 1_000_000,
                "multi_stream_target_latency_percentile": 0.99,
                "multi_stream_samples_per_query": 4,
            },
        ),
        (
            Server(rate_per_s=120.5, target_latency_s=0.015, percentile=0.97, min_duration_s=2.5, seed=7),
            {
                "server_target_qps": 120.5,
                "server_target_latency_ns": 15_000_000,
                "server_target_latency_percentile": 0.97,
            },
        ),
        (Offline(min_duration_s=2.5, seed=7), {"offline_expected_qps": 600.0}),
    ],
)
def test_settings(scenario: Scenario, own: dict[str, float]) -> None:
    assert loadgen_settings(scenario, latency_s=0.002, rate_per_s=400.0) == COMMON | own


def test_a_warm_up_that_took_no_time_does_not_ask_for_endless_queries() -> None:
    settings = loadgen_settings(SingleStream(), latency_s=0.0, rate_per_s=0.0)
    assert settings["single_stream_expected_latency_ns"] == 10_000
    assert loadgen_settings(Offline(), latency_s=0.0, rate_per_s=0.0)["offline_expected_qps"] == 1.0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("single-stream", SingleStream(min_duration_s=3.0)),
        ("multi-stream", MultiStream(samples_per_query=4, min_duration_s=3.0)),
        ("server", Server(rate_per_s=100.0, target_latency_s=0.015, percentile=0.95, min_duration_s=3.0)),
        ("offline", Offline(clients=4, min_duration_s=3.0)),
    ],
)
def test_options(name: ScenarioName, expected: Scenario) -> None:
    slo = slo_from_text("throughput=50,p95=15ms")
    assert scenario_from(name, rate_per_s=100.0, slo=slo, clients=4, duration_s=3.0) == expected


@pytest.mark.parametrize(
    ("rate_per_s", "slo", "missing"),
    [(None, "p99=15ms", "a rate"), (100.0, None, "a limit"), (100.0, "throughput=9,mean=1ms", "a limit")],
)
def test_what_the_server_scenario_needs(rate_per_s: float | None, slo: str | None, missing: str) -> None:
    limits = slo_from_text(slo) if slo else None
    with pytest.raises(UsageError, match=f"the server scenario needs {missing}"):
        scenario_from("server", rate_per_s=rate_per_s, slo=limits, clients=8, duration_s=3.0)


def test_what_they_are_in_our_own_terms() -> None:
    assert SingleStream(min_duration_s=3.0).load == Concurrency(clients=1, duration_s=3.0, warmup_s=0.0)
    load = Server(rate_per_s=9.0, target_latency_s=1.0, min_duration_s=3.0, max_connections=5).load
    assert load == RequestRate(rate_per_s=9.0, duration_s=3.0, warmup_s=0.0, max_connections=5)
