"""MLPerf's scenarios as values, and what they are in LoadGen's own settings. Pure.

In: the options of a sweep. Out: a Scenario, the load that it resembles in our own terms, and LoadGen's settings.
Durations are ours: MLPerf asks for ten minutes. LoadGen knows no warm-up; `warmup_s` of our own load goes before.
Source: mlcommons/inference, loadgen/README.md and loadgen/test_settings.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from toolkit.errors import UsageError
from toolkit.load.pattern import MAX_CONNECTIONS, Concurrency, Load, RequestRate
from toolkit.load.slo import Slo

ScenarioName = Literal["single-stream", "multi-stream", "server", "offline"]
#: LoadGen makes its queries before it begins, as many as it thinks to need; a guess on the far side of what a warm-up
#: showed keeps it from running out of them before its minimum duration.
LATENCY_GUESS, RATE_GUESS = 0.5, 1.5
MIN_LATENCY_NS = 10_000
SAMPLES_PER_QUERY, OFFLINE_CLIENTS = 8, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleStream:
    """One request at a time; the figure is a percentile of the latency."""

    percentile: float = 0.9
    min_duration_s: float = 10.0
    min_queries: int = 100
    warmup_s: float = 1.0
    seed: int = 0

    @property
    def connections(self) -> int:
        """How many requests may be in flight."""
        return 1

    @property
    def load(self) -> Load:
        """The load that this is in our own terms."""
        return Concurrency(clients=self.connections, duration_s=self.min_duration_s, warmup_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiStream:
    """Queries of several samples, one query at a time, each sample a request; the figure is a percentile of queries."""

    samples_per_query: int = SAMPLES_PER_QUERY
    percentile: float = 0.99
    min_duration_s: float = 10.0
    min_queries: int = 100
    warmup_s: float = 1.0
    seed: int = 0

    @property
    def connections(self) -> int:
        """How many requests may be in flight."""
        return self.samples_per_query

    @property
    def load(self) -> Load:
        """The load that this is in our own terms: in step, where our clients are not."""
        return Concurrency(clients=self.connections, duration_s=self.min_duration_s, warmup_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Poisson arrivals at a rate; valid when a percentile of the latency is within its limit."""

    rate_per_s: float
    target_latency_s: float
    percentile: float = 0.99
    min_duration_s: float = 10.0
    min_queries: int = 100
    warmup_s: float = 1.0
    seed: int = 0
    max_connections: int = MAX_CONNECTIONS

    @property
    def connections(self) -> int:
        """How many requests may be in flight."""
        return self.max_connections

    @property
    def load(self) -> Load:
        """The load that this is in our own terms; LoadGen draws its own arrivals."""
        return RequestRate(
            rate_per_s=self.rate_per_s,
            duration_s=self.min_duration_s,
            warmup_s=0.0,
            seed=self.seed,
            max_connections=self.max_connections,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """All samples in one query, `clients` requests in flight; the figure is samples per second."""

    clients: int = OFFLINE_CLIENTS
    min_duration_s: float = 10.0
    min_queries: int = 100
    warmup_s: float = 1.0
    seed: int = 0

    @property
    def connections(self) -> int:
        """How many requests may be in flight."""
        return self.clients

    @property
    def load(self) -> Load:
        """The load that this is in our own terms."""
        return Concurrency(clients=self.connections, duration_s=self.min_duration_s, warmup_s=0.0)


Scenario = SingleStream | MultiStream | Server | Offline


def scenario_from(
    name: ScenarioName, *, rate_per_s: float | None, slo: Slo | None, clients: int | None, duration_s: float
) -> Scenario:
    """The scenario that a name and the usual options mean.

    server takes its rate, and its percentile and limit from the SLO's latency criterion. clients: the samples of a
    query in multi-stream, the requests in flight in offline; None leaves them as they are. Raises UsageError for what
    is missing.
    """
    if name == "single-stream":
        return SingleStream(min_duration_s=duration_s)
    if name == "multi-stream":
        return MultiStream(
            samples_per_query=SAMPLES_PER_QUERY if clients is None else clients, min_duration_s=duration_s
        )
    if name == "offline":
        return Offline(clients=OFFLINE_CLIENTS if clients is None else clients, min_duration_s=duration_s)
    limits = [c for c in (slo.criteria if slo else ()) if c.metric == "latency" and c.quantile is not None]
    if rate_per_s is None or not limits:
        what = "a rate" if rate_per_s is None else "a limit for a percentile of the latency"
        raise UsageError(f"the server scenario needs {what}", mend="--scenario server --rate 100 --slo p99=15ms")
    limit = limits[0]
    return Server(
        rate_per_s=rate_per_s,
        target_latency_s=limit.limit,
        percentile=limit.quantile or 0.99,
        min_duration_s=duration_s,
    )


def loadgen_settings(scenario: Scenario, *, latency_s: float, rate_per_s: float) -> dict[str, float]:
    """LoadGen's TestSettings by name. latency_s, rate_per_s: what the warm-up showed, to guess from. Pure."""
    expected_ns = max(MIN_LATENCY_NS, int(LATENCY_GUESS * latency_s * 1e9))
    own: dict[str, float]
    match scenario:
        case SingleStream():
            own = {
                "single_stream_expected_latency_ns": expected_ns,
                "single_stream_target_latency_percentile": scenario.percentile,
            }
        case MultiStream():
            own = {
                "multi_stream_expected_latency_ns": expected_ns,
                "multi_stream_target_latency_percentile": scenario.percentile,
                "multi_stream_samples_per_query": scenario.samples_per_query,
            }
        case Server():
            own = {
                "server_target_qps": scenario.rate_per_s,
                "server_target_latency_ns": round(scenario.target_latency_s * 1e9),
                "server_target_latency_percentile": scenario.percentile,
            }
        case Offline():
            own = {"offline_expected_qps": max(1.0, RATE_GUESS * rate_per_s)}
    return own | {
        "min_duration_ms": round(scenario.min_duration_s * 1e3),
        "min_query_count": scenario.min_queries,
        "qsl_rng_seed": scenario.seed,
        "sample_index_rng_seed": scenario.seed,
        "schedule_rng_seed": scenario.seed,
    }
