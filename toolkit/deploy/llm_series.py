"""What servers of language models tell Prometheus, by name, as they document it. Data; no server is asked.

In: nothing. Out: an LlmSeries for each server. A name that is not in `documented` stands in no rule, panel or scaler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.deploy.metrics import METRICS

_FINE = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TTFT = (*_FINE, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0)
_GAPS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TPOT = (*_GAPS, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_REQUEST = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A histogram of times: `bounds` of its buckets in its own unit, of which `per_s` make a second."""

    name: str
    bounds: tuple[float, ...]
    per_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSeries:
    """The series of one server. `label` tells models apart.

    `times` are histograms by the SLO's word for what they time. `waiting`, `running` (requests), `cache_use` (a share
    of the key/value cache) are gauges, `generated` (tokens) and `failed` counters, `requests` counters whose sum is all
    requests that ended; empty where the server does not tell. `gpu_used` and `gpu_total` are of a GPU's memory, by
    `gpu_label`. `source` says where the names were read.
    """

    label: str
    times: Mapping[str, Histogram]
    requests: tuple[str, ...]
    failed: str
    waiting: str
    documented: frozenset[str]
    source: str
    running: str = ""
    cache_use: str = ""
    generated: str = ""
    gpu_used: str = "DCGM_FI_DEV_FB_USED"
    gpu_total: str = "(DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)"
    gpu_label: str = "UUID"


#: Source: NVIDIA/dcgm-exporter, etc/default-counters.csv. It is a server of its own: on Kubernetes the GPU operator
#: brings it; nothing here starts it.
DCGM = frozenset(("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"))


def _with_parts(histograms: tuple[str, ...]) -> frozenset[str]:
    return frozenset(f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count"))


#: vLLM's V1 engine; NIM 2.x passes its metrics on at /v1/metrics.
VLLM = LlmSeries(
    label="model_name",
    times={
        "ttft": Histogram(name="vllm:time_to_first_token_seconds", bounds=_TTFT),
        "tpot": Histogram(name="vllm:request_time_per_output_token_seconds", bounds=_TPOT),
        "itl": Histogram(name="vllm:inter_token_latency_seconds", bounds=_TPOT),
        "latency": Histogram(name="vllm:e2e_request_latency_seconds", bounds=_REQUEST),
    },
    requests=("vllm:request_success_total",),
    failed='vllm:request_success_total{finished_reason="error"}',
    waiting="vllm:num_requests_waiting",
    running="vllm:num_requests_running",
    cache_use="vllm:kv_cache_usage_perc",
    generated="vllm:generation_tokens_total",
    documented=frozenset(
        (
            "up",
            "vllm:num_requests_running",
            "vllm:num_requests_waiting",
            "vllm:kv_cache_usage_perc",
            "vllm:num_preemptions_total",
            "vllm:prompt_tokens_total",
            "vllm:generation_tokens_total",
            "vllm:request_success_total",
            "vllm:prefix_cache_queries_total",
            "vllm:prefix_cache_hits_total",
        )
    )
    | _with_parts(
        (
            "vllm:time_to_first_token_seconds",
            "vllm:inter_token_latency_seconds",
            "vllm:request_time_per_output_token_seconds",
            "vllm:e2e_request_latency_seconds",
            "vllm:request_queue_time_seconds",
        )
    )
    | DCGM,
    source="docs.vllm.ai, usage/metrics, and vllm-project/vllm, vllm/v1/metrics/loggers.py",
)

#: The vLLM backend of Triton passes on less than vLLM's own server: neither the queue nor the cache. Its
#: time_per_output_token counts gaps between tokens. A failed request is Triton's to tell.
TRITON_VLLM = LlmSeries(
    label="model",
    times={
        "ttft": Histogram(name="vllm:time_to_first_token_seconds", bounds=_FINE),
        "itl": Histogram(name="vllm:time_per_output_token_seconds", bounds=_GAPS),
        "latency": Histogram(
            name="vllm:e2e_request_latency_seconds",
            bounds=(1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
        ),
    },
    requests=("nv_inference_request_success", "nv_inference_request_failure"),
    failed="nv_inference_request_failure",
    waiting="nv_inference_pending_request_count",
    generated="vllm:generation_tokens_total",
    gpu_used="nv_gpu_memory_used_bytes",
    gpu_total="nv_gpu_memory_total_bytes",
    gpu_label="gpu_uuid",
    documented=METRICS
    | {"vllm:prompt_tokens_total", "vllm:generation_tokens_total"}
    | _with_parts(
        ("vllm:time_to_first_token_seconds", "vllm:time_per_output_token_seconds", "vllm:e2e_request_latency_seconds")
    ),
    source="triton-inference-server/vllm_backend, src/utils/metrics.py (with vLLM's V1 engine)",
)

#: The LLM API's model for Triton has no metrics of its own; Triton tells when the first response came.
TRITON_TRTLLM = LlmSeries(
    label="model",
    times={
        "ttft": Histogram(
            name="nv_inference_first_response_histogram_ms", bounds=(100.0, 500.0, 2000.0, 5000.0), per_s=1000.0
        ),
    },
    requests=("nv_inference_request_success", "nv_inference_request_failure"),
    failed="nv_inference_request_failure",
    waiting="nv_inference_pending_request_count",
    gpu_used="nv_gpu_memory_used_bytes",
    gpu_total="nv_gpu_memory_total_bytes",
    gpu_label="gpu_uuid",
    documented=METRICS | _with_parts(("nv_inference_first_response_histogram_ms",)),
    source="triton-inference-server/server, docs/user_guide/metrics.md (--metrics-config histogram_latencies=true)",
)

#: At /prometheus/metrics; /metrics of the same server is JSON. Needs return_perf_metrics and enable_iter_perf_stats.
TRTLLM_SERVE = LlmSeries(
    label="model_name",
    times={
        "ttft": Histogram(name="trtllm_time_to_first_token_seconds", bounds=_TTFT),
        "tpot": Histogram(name="trtllm_time_per_output_token_seconds", bounds=_TPOT),
        "latency": Histogram(name="trtllm_e2e_request_latency_seconds", bounds=_REQUEST),
    },
    requests=("trtllm_request_success_total", "trtllm_request_error_total"),
    failed="trtllm_request_error_total",
    waiting="trtllm_num_requests_waiting",
    running="trtllm_num_requests_running",
    cache_use="trtllm_kv_cache_utilization",
    generated="trtllm_generation_tokens_total",
    documented=frozenset(
        (
            "up",
            "trtllm_request_success_total",
            "trtllm_request_error_total",
            "trtllm_prompt_tokens_total",
            "trtllm_generation_tokens_total",
            "trtllm_num_requests_running",
            "trtllm_num_requests_waiting",
            "trtllm_kv_cache_utilization",
            "trtllm_kv_cache_hit_rate",
            "trtllm_gpu_memory_usage_bytes",
        )
    )
    | _with_parts(
        (
            "trtllm_time_to_first_token_seconds",
            "trtllm_time_per_output_token_seconds",
            "trtllm_e2e_request_latency_seconds",
            "trtllm_request_queue_time_seconds",
        )
    )
    | DCGM,
    source="NVIDIA/TensorRT-LLM, tensorrt_llm/metrics/collector.py and tensorrt_llm/serve/openai_server.py",
)

#: Our own backend, which a bundle brings where the measured entry is served as it was.
ONNXRUNTIME_LLM = LlmSeries(
    label="model",
    times={
        "ttft": Histogram(
            name="onnxruntime_llm_time_to_first_token_seconds",
            bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
        ),
        "itl": Histogram(
            name="onnxruntime_llm_inter_token_latency_seconds",
            bounds=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
        ),
    },
    requests=("nv_inference_request_success", "nv_inference_request_failure"),
    failed="nv_inference_request_failure",
    waiting="onnxruntime_llm_requests_waiting",
    running="onnxruntime_llm_slots_in_use",
    generated="onnxruntime_llm_generated_tokens",
    gpu_used="nv_gpu_memory_used_bytes",
    gpu_total="nv_gpu_memory_total_bytes",
    gpu_label="gpu_uuid",
    documented=METRICS
    | {
        "onnxruntime_llm_requests_waiting",
        "onnxruntime_llm_slots_in_use",
        "onnxruntime_llm_generated_tokens",
        "onnxruntime_llm_requests_refused",
        "onnxruntime_llm_requests_cancelled",
    }
    | _with_parts(
        ("onnxruntime_llm_time_to_first_token_seconds", "onnxruntime_llm_inter_token_latency_seconds"),
    ),
    source="serve/backends/onnxruntime_llm/llm_metrics.py",
)
#: What a backend of ours tells, by its name.
OF_BACKEND = {"onnxruntime_llm": ONNXRUNTIME_LLM}
