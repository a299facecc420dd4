"""The metrics that Triton exports, and the rates over them that dashboards, alerts and autoscalers share.

Pure text: PromQL out, no server asked.
"""

from __future__ import annotations

import re

#: At least four scrape intervals (prometheus.yml), so that one missed scrape leaves enough samples for a rate.
RATE_WINDOW = "2m"

#: `up` is Prometheus' own. `*_summary_us` needs --metrics-config=summary_latencies=true; nv_gpu_* needs a GPU.
#: Source: triton-inference-server/server docs/user_guide/metrics.md; the names without nv_gpu_ seen on server 2.51.
METRICS = frozenset(
    (
        "up",
        "nv_inference_request_success",
        "nv_inference_request_failure",
        "nv_inference_count",
        "nv_inference_exec_count",
        "nv_inference_pending_request_count",
        "nv_inference_request_duration_us",
        "nv_inference_queue_duration_us",
        "nv_inference_compute_input_duration_us",
        "nv_inference_compute_infer_duration_us",
        "nv_inference_compute_output_duration_us",
        "nv_inference_request_summary_us",
        "nv_cpu_utilization",
        "nv_cpu_memory_used_bytes",
        "nv_cpu_memory_total_bytes",
        "nv_gpu_utilization",
        "nv_gpu_memory_used_bytes",
        "nv_gpu_memory_total_bytes",
        "nv_gpu_power_usage",
    )
)

_WORDS = frozenset(("and", "or", "unless", "bool", "offset", "by", "without", "inf", "nan"))
_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
#: Label matchers, ranges, and the label lists of aggregations and joins.
_NOT_NAMES = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_NAME = re.compile(r"(?<![\w.])[A-Za-z_:][\w:]*(?!\s*\()\b")


def metric_names(expression: str) -> frozenset[str]:
    """The metrics that a PromQL expression reads; Grafana's `$__` variables count as ranges, not as names."""
    bare = _NOT_NAMES.sub(" ", _STRING.sub(" ", expression))
    return frozenset(_NAME.findall(bare)) - _WORDS


def promql_text(text: str) -> str:
    """A PromQL string literal in which only letters, digits and `._-` stand for themselves.

    Nothing in it means anything to PromQL, to Prometheus' `{{ }}` templates or to Grafana's `$` and `[[ ]]` variables.
    """
    return '"' + "".join(c if re.match(r"[A-Za-z0-9._-]", c) else f"\\U{ord(c):08x}" for c in text) + '"'


def rate(metric: str) -> str:
    """The increase per second of a counter, per model."""
    return f"sum by (model) (rate({metric}[{RATE_WINDOW}]))"


def ratio(numerator: str, denominator: str) -> str:
    """A quotient of rates that stays finite when nothing is asked."""
    return f"{numerator} / clamp_min({denominator}, 0.001)"


#: Time in the queue per request, microseconds: what grows first when a server is asked for too much.
QUEUE_US_PER_REQUEST = ratio(rate("nv_inference_queue_duration_us"), rate("nv_inference_request_success"))

QUEUE = "nv_inference_queue_duration_us"


def queue_per_request(model: str, matchers: str, grouping: str = "") -> str:
    """Microseconds in all queues per request of `model`: of a pipeline, the queues of its parts together.

    matchers: label matchers of every series. grouping: a `by` clause. What autoscalers compare with their target.
    """
    asked = f"nv_inference_request_success{{model={promql_text(model)},{matchers}}}"
    return ratio(
        f"sum(rate({QUEUE}{{{matchers}}}[{RATE_WINDOW}])){grouping}",
        f"sum(rate({asked}[{RATE_WINDOW}])){grouping}",
    )
