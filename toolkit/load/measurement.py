"""What a load point measured: values only. Times are in seconds; percentiles carry their 95 % interval.

Our own measurements have every figure. None, and an empty Distribution, stand for what the result file of another tool
does not say; nothing is put in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.load.goodput import Goodput
from toolkit.load.pattern import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """One percentile; `low_s` and `high_s` bound its 95 % interval, None where samples are too few."""

    q: float
    value_s: float
    low_s: float | None
    high_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Times of `count` requests."""

    count: int | None
    mean_s: float | None
    minimum_s: float | None
    maximum_s: float | None
    quantiles: tuple[Quantile, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it holds no time at all."""
        return not self.quantiles and (self.mean_s is None or self.count == 0)

    def at(self, q: float) -> Quantile:
        """The percentile `q` (0.99 for p99). Raises KeyError for one that was not computed."""
        for quantile in self.quantiles:
            if abs(quantile.q - q) < 1e-9:
                return quantile
        raise KeyError(q)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """What streamed answers add, a response being a token: `ttft` and `tpot` per request, `itl` per gap.

    `tokens_per_s` are the responses of successful requests that came within the window, a second; `tokens` is the mean
    number of them of a request.
    """

    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    tokens_per_s: float
    tokens: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCount:
    """How many executions ran at one batch size, and the mean time of one execution."""

    size: int
    executions: int
    infer_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSplit:
    """Where one served model spent its time, mean per request, from the difference of two statistics snapshots."""

    model: str
    requests: int
    failures: int
    executions: int
    request_s: float
    queue_s: float
    input_s: float
    infer_s: float
    output_s: float
    cache_hits: int
    batches: tuple[BatchCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSplit:
    """The mean request taken apart. The parts and `remainder_s` add up to `latency_s`."""

    latency_s: float
    queue_s: float
    input_s: float
    infer_s: float
    output_s: float
    network_s: float
    client_s: float
    remainder_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHealth:
    """What the load generator itself used.

    `cpu_share` is of one core, for the busiest of its `processes`. `send_lag_p99_s` is from the intended send to the
    real one; `connections` were open at most. `is_ahead`: all of it had a real-time priority, so that what else the
    machine does, the server too, cannot make it late.
    """

    cpu_share: float
    cpu_per_request_s: float
    send_lag_p99_s: float | None = None
    processes: int = 1
    connections: int = 0
    is_ahead: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """What the server's process tree used in the window: CPU as a share of one core, memory at the end."""

    cpu_share: float
    resident_bytes: int
    processes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """One GPU in the window, means and extremes of samples by NVML. `throttled` names why clocks were held down."""

    index: int
    utilisation: float
    memory_bytes: int
    power_w: float
    sm_clock_mhz: float
    throttled: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMetrics:
    """One GPU of the server as its /metrics shows it at the window's end; `energy_j` was used within the window."""

    uuid: str
    utilisation: float
    memory_bytes: int
    power_w: float
    energy_j: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetrics:
    """What Triton's /metrics tells beyond its statistics.

    `pending_*` requests waited for an execution at the edges of the window; `failures` are those within it, by Triton's
    reason. CPU (a share of all its cores) and memory are of the server's whole machine, None where it does not tell.
    """

    pending_at_start: int
    pending_at_end: int
    failures: dict[str, int]
    machine_cpu_share: float | None
    machine_memory_bytes: float | None
    gpus: tuple[GpuMetrics, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What `toolkit certify` found of the load engine on this machine, as far as it is kept with every measurement.

    Up to `certified_rate_per_s` in one process, sends were late by at most `send_lag_p99_s` and percentiles differed
    from the null server's log by at most `worst_error_s`. `passed` within the bounds; `at` is UTC, ISO 8601.
    """

    certified_rate_per_s: float
    cpu_per_request_s: float
    send_lag_p99_s: float
    worst_error_s: float
    passed: bool
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount:
    """How many requests ended in one class of error."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Warning:
    """Something that lowers the trust in a figure: the figure, the threshold, the cause and the remedy.

    `invalid` means that the measurement must not be ranked or judged.
    """

    kind: str
    text: str
    figure: float
    threshold: float
    invalid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One load point. `latency` counts from the intended send, `service` from the real one.

    `offered_per_s` is the rate at which an open load meant to send within the window, None of a closed loop. `engine`
    is what drove the load: ours, or the tool whose result was imported. `cpu_throttled_s` is how long the CPU quota of
    this container held threads back within the window, summed over cores. `streams` is None where nothing was streamed;
    `goodput` is of an objective, so it is computed when a point is read, not when it is measured.
    """

    load: Load
    latency: Distribution
    service: Distribution
    throughput_per_s: float
    offered_per_s: float | None
    requests: int | None
    errors: tuple[ErrorCount, ...]
    window_s: float | None
    warmup_discarded: int
    models: tuple[ModelSplit, ...]
    split: TimeSplit | None
    client: ClientHealth | None
    warnings: tuple[Warning, ...]
    interrupted: bool = False
    engine: str = "toolkit"
    server: ProcessUse | None = None
    gpus: tuple[GpuUse, ...] = ()
    server_metrics: ServerMetrics | None = None
    cpu_throttled_s: float = 0.0
    certificate: Certificate | None = None
    streams: Streams | None = None
    goodput: Goodput | None = None
    statistics_ns: tuple[int, int] | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the figures may be ranked and judged."""
        return not self.interrupted and not any(w.invalid for w in self.warnings)

    @property
    def failed_requests(self) -> int:
        """Requests that ended in any error."""
        return sum(e.count for e in self.errors)
