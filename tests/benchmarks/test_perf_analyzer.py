"""Our closed loop against perf_analyzer's, on ResNet-50 served embedded: throughput within 10 %, p50 within 15 %.

Seven interleaved pairs at each concurrency, each on the same inputs for the same time; the median of the ratios counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny_poc import toolkit

from toolkit.errors import MissingDependency
from toolkit.load.pattern import Concurrency
from toolkit.load.perf_analyzer import PerfAnalyzer, find_perf_analyzer, referee_point
from toolkit.load.sweep import measure_point
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.workflow.requests import requests_from

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
POC = Path(__file__).parents[2] / "pocs" / "vision-resnet50"
PAIRS, WINDOW_S, INPUTS = 7, 9.0, 4
THROUGHPUT_WITHIN, P50_WITHIN = 0.10, 0.15


@pytest.fixture(scope="module")
def referee() -> PerfAnalyzer:
    try:
        return find_perf_analyzer()
    except MissingDependency as missing:
        pytest.skip(missing.message)


@pytest.fixture(scope="module")
def resnet(referee: PerfAnalyzer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    place = tmp_path_factory.mktemp("resnet50")
    for words in (
        ("export", f"{POC / 'model.py'}:load_model", "--output", "resnet50"),
        ("repo", "add", "resnet50", "--repository", "repository", "--name", "resnet50"),
    ):
        done = toolkit(*words, cwd=place)
        assert done.returncode == 0, done.stderr
    with serve_embedded(place / "repository") as server:
        yield server.endpoint


@pytest.mark.parametrize("clients", [1, 8])
def test_figures_agree_with_perf_analyzer(clients: int, resnet: Endpoint, referee: PerfAnalyzer) -> None:
    images = np.random.default_rng(0).standard_normal((INPUTS, 3, 224, 224)).astype(np.float32)
    requests = requests_from("resnet50", {"image": images})
    load = Concurrency(clients=clients, duration_s=WINDOW_S, warmup_s=2.0)
    print(f"\n{clients} clients | ours, requests/s | perf_analyzer | ratio | ours, p50 ms | perf_analyzer | ratio")
    ratios = []
    for pair in range(PAIRS):
        measured = {}
        for who in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
            if who == "ours":
                measured[who], _ = measure_point(resnet, "resnet50", (), requests, load)
            else:
                measured[who] = referee_point(resnet, "resnet50", requests, load, tool=referee)
        ours, theirs = measured["ours"], measured["theirs"]
        p50_ms = [m.latency.at(0.5).value_s * 1e3 for m in (ours, theirs)]
        ratios.append((ours.throughput_per_s / theirs.throughput_per_s, p50_ms[0] / p50_ms[1]))
        print(
            f"{pair + 1} | {ours.throughput_per_s:.2f} | {theirs.throughput_per_s:.2f} | {ratios[-1][0]:.3f} | "
            f"{p50_ms[0]:.1f} | {p50_ms[1]:.1f} | {ratios[-1][1]:.3f}"
        )
    throughput, p50 = (statistics.median(r[i] for r in ratios) for i in (0, 1))
    print(f"median | | | {throughput:.3f} | | | {p50:.3f} ({referee.engine})")
    assert abs(throughput - 1) <= THROUGHPUT_WITHIN
    assert abs(p50 - 1) <= P50_WITHIN
