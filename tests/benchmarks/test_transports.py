"""What a request costs the client: our connections against the field's clients, side by side in one run.

The small model is answered from Triton's response cache, so the client is what is measured; the large one is not, for
the cache would have to read all of its input. Every round runs each client in
turn; medians over the rounds are compared. perf_analyzer is taken from the path, or from TOOLKIT_PERF_ANALYZER.
"""

from __future__ import annotations

import asyncio
import csv
import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from load.triton import write_repository
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient

from toolkit.environment import environment_here
from toolkit.load.connection import WireProtocol
from toolkit.load.engine import drive
from toolkit.load.pattern import Concurrency
from toolkit.serve.client import statistics as statistics_of
from toolkit.serve.embedded import serve_embedded
from toolkit.serve.server import Endpoint
from toolkit.serve.shared_memory import requests_in_shared_memory
from toolkit.serve.wire import infer_request
from toolkit.serve.wire_grpc import infer_message

pytestmark = pytest.mark.slow
ROUNDS = int(os.environ.get("TOOLKIT_BENCHMARK_ROUNDS", "7"))
SECONDS = float(os.environ.get("TOOLKIT_BENCHMARK_SECONDS", "3"))
CLIENTS, SMALL, LARGE = 32, 64, 150_000  # FP32: 256 bytes and 600 KB
LARGE_CLIENTS, LARGE_PAYLOADS = 8, 4
CACHE_BYTES = 64 << 20
CPU_SHARE_OF_AIO, RATE_OVER_AIO = {"ours, HTTP": 1 / 5, "ours, gRPC": 1 / 3}, 2.0
SHARED_OVER_PLAIN = 2.0
PERF_ANALYZER = os.environ.get("TOOLKIT_PERF_ANALYZER") or shutil.which("perf_analyzer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Requests per second, and the client's CPU for one, in microseconds."""

    rate_per_s: float
    cpu_us: float


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    repository = write_repository(tmp_path_factory.mktemp("repository"), "cached", "first")
    with serve_embedded(repository, cache_bytes=CACHE_BYTES) as server:
        yield server.endpoint


def ours(endpoint: Endpoint, requests: tuple[bytes, ...], protocol: WireProtocol, clients: int) -> Cost:
    load = Concurrency(clients=clients, warmup_s=0.5, duration_s=SECONDS)
    records = drive(endpoint, requests, load, protocol=protocol)
    assert records.succeeded.all()
    count = int(records.in_window.sum())
    return Cost(rate_per_s=count / SECONDS, cpu_us=records.client_cpu_ns / 1e3 / count)


def grpc_aio(endpoint: Endpoint) -> Cost:
    tensor = InferInput("x", [SMALL], "FP32")
    tensor.set_data_from_numpy(np.zeros(SMALL, np.float32))
    output = InferRequestedOutput("y")

    async def client(server: InferenceServerClient, end_s: float) -> int:
        count = 0
        while time.perf_counter() < end_s:
            await server.infer("cached", [tensor], outputs=[output])
            count += 1
        return count

    async def run() -> Cost:
        async with InferenceServerClient(endpoint.grpc) as server:
            await asyncio.gather(*(client(server, time.perf_counter() + 0.5) for _ in range(CLIENTS)))
            start_s, cpu_s = time.perf_counter(), time.process_time()
            counts = await asyncio.gather(*(client(server, start_s + SECONDS) for _ in range(CLIENTS)))
            took_s, used_s = time.perf_counter() - start_s, time.process_time() - cpu_s
        return Cost(rate_per_s=sum(counts) / took_s, cpu_us=used_s / sum(counts) * 1e6)

    return asyncio.run(run())


def perf_analyzer(endpoint: Endpoint, folder: Path) -> Cost:
    """Its requests are counted by the server, since those of its warm-up cost CPU too."""
    table = folder / "perf_analyzer.csv"
    options = ["-i", "grpc", "-u", endpoint.grpc, "--concurrency-range", str(CLIENTS), "--shape", f"x:{SMALL}"]
    windows = ["-p", str(int(SECONDS * 1000)), "-r", "3", "-s", "999", "-f", str(table)]
    before, used_before = served(endpoint), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(PERF_ANALYZER), "-m", "cached", *options, *windows], check=True, capture_output=True)
    used, count = resource.getrusage(resource.RUSAGE_CHILDREN), served(endpoint) - before
    cpu_s = used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime
    with table.open() as file:
        row = next(csv.DictReader(file))
    return Cost(rate_per_s=float(row["Inferences/Second"]), cpu_us=cpu_s / count * 1e6)


def served(endpoint: Endpoint) -> int:
    return int(statistics_of(endpoint, "cached")["inference_stats"]["success"]["count"])


def measured(clients: dict[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Medians over interleaved rounds."""
    found: dict[str, list[Cost]] = {name: [] for name in clients}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            found[name].append(client())
    return {
        name: Cost(
            rate_per_s=statistics.median(cost.rate_per_s for cost in costs),
            cpu_us=statistics.median(cost.cpu_us for cost in costs),
        )
        for name, costs in found.items()
    }


def show(title: str, costs: dict[str, Cost], reference: str) -> None:
    """A table for this folder's README."""
    here, base = environment_here(), costs[reference]
    print(f"\n{title}; {here.cpu}, {here.cores} cores; median of {ROUNDS} rounds of {SECONDS:g} s\n")
    print(f"| client | requests/s | CPU per request, us | requests/s over {reference} | CPU over {reference} |")
    print("|---|---|---|---|---|")
    for name, cost in costs.items():
        ratios = f"{cost.rate_per_s / base.rate_per_s:.2f} | {cost.cpu_us / base.cpu_us:.2f}"
        print(f"| {name} | {cost.rate_per_s:.0f} | {cost.cpu_us:.1f} | {ratios} |")


def test_a_small_request_costs_a_fraction_of_the_fields_client(endpoint: Endpoint, tmp_path: Path) -> None:
    x = np.zeros(SMALL, np.float32)
    http = (infer_request("cached", {"x": x}, host="test", outputs=("y",)),)
    grpc = (infer_message("cached", {"x": x}, outputs=("y",)),)
    clients: dict[str, Callable[[], Cost]] = {
        "ours, HTTP": lambda: ours(endpoint, http, "http", CLIENTS),
        "ours, gRPC": lambda: ours(endpoint, grpc, "grpc", CLIENTS),
        "tritonclient.grpc.aio": lambda: grpc_aio(endpoint),
    }
    if PERF_ANALYZER:
        clients["perf_analyzer, gRPC"] = lambda: perf_analyzer(endpoint, tmp_path)
    costs = measured(clients)
    show(f"256-byte request, {CLIENTS} connections", costs, "tritonclient.grpc.aio")
    aio = costs["tritonclient.grpc.aio"]
    for name in ("ours, HTTP", "ours, gRPC"):
        assert costs[name].cpu_us <= CPU_SHARE_OF_AIO[name] * aio.cpu_us
        assert costs[name].rate_per_s >= RATE_OVER_AIO * aio.rate_per_s
        if PERF_ANALYZER:
            assert costs[name].cpu_us <= costs["perf_analyzer, gRPC"].cpu_us
            assert costs[name].rate_per_s >= costs["perf_analyzer, gRPC"].rate_per_s


def test_large_inputs_in_shared_memory(endpoint: Endpoint) -> None:
    random = np.random.default_rng(0)
    payloads = [{"x": random.standard_normal(LARGE, np.float32)} for _ in range(LARGE_PAYLOADS)]
    plain = tuple(infer_request("first", payload, host="test", outputs=("y",)) for payload in payloads)
    message = tuple(infer_message("first", payload, outputs=("y",)) for payload in payloads)
    with ExitStack() as stack:
        shared = {
            protocol: stack.enter_context(
                requests_in_shared_memory(endpoint, "first", payloads, protocol=protocol, outputs=("y",))
            )
            for protocol in ("http", "grpc")
        }
        costs = measured(
            {
                "HTTP": lambda: ours(endpoint, plain, "http", LARGE_CLIENTS),
                "gRPC": lambda: ours(endpoint, message, "grpc", LARGE_CLIENTS),
                "HTTP, shared memory": lambda: ours(endpoint, shared["http"], "http", LARGE_CLIENTS),
                "gRPC, shared memory": lambda: ours(endpoint, shared["grpc"], "grpc", LARGE_CLIENTS),
            }
        )
    show(f"600 KB inputs, {LARGE_CLIENTS} connections", costs, "HTTP")
    assert costs["HTTP, shared memory"].rate_per_s >= SHARED_OVER_PLAIN * costs["HTTP"].rate_per_s
