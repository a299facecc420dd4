"""What the backend tells Prometheus beside Triton's own metrics, which count a cancelled stream as a success.

A metric lives as long as its family object does, so both are kept. Where the server has metrics off, nothing is kept.
"""

from __future__ import annotations

import triton_python_backend_utils as pb_utils

PREFIX = "onnxruntime_llm_"
TTFT_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
GAP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
COUNTERS = {
    "prompt_tokens": "Tokens of prompts that were read.",
    "generated_tokens": "Tokens that were written.",
    "requests_cancelled": "Requests whose client went away before their end.",
    "requests_refused": "Requests refused because the queue was full.",
    "iterations": "Iterations of the scheduler.",
    "decoded_rows": "Sequences written to, summed over iterations: divided by iterations, the mean batch.",
    "tokens_after_cancellation": "Tokens written for requests after their cancellation was seen.",
}
GAUGES = {
    "requests_waiting": "Requests that wait for a slot.",
    "slots_in_use": "Slots of the key/value cache that hold a sequence.",
}
HISTOGRAMS = {
    "time_to_first_token_seconds": ("From the arrival in the backend to the first token.", TTFT_BUCKETS),
    "inter_token_latency_seconds": ("From one token to the next of the same request.", GAP_BUCKETS),
}


class Metrics:
    """Every metric by its short name. `add`, `show` and `observe` do nothing where metrics are off."""

    def __init__(self, labels):
        self.families, self.metrics, self.shown = [], {}, {}
        try:
            for name, text in COUNTERS.items():
                self._make(name, text, pb_utils.MetricFamily.COUNTER, labels)
            for name, text in GAUGES.items():
                self._make(name, text, pb_utils.MetricFamily.GAUGE, labels)
            for name, (text, buckets) in HISTOGRAMS.items():
                self._make(name, text, pb_utils.MetricFamily.HISTOGRAM, labels, buckets=buckets)
        except pb_utils.TritonModelException as err:
            if "metrics not supported" not in str(err).lower():
                raise
            self.metrics = {}

    def _make(self, name, text, kind, labels, **more):
        family = pb_utils.MetricFamily(name=PREFIX + name, description=text, kind=kind)
        self.families.append(family)
        self.metrics[name] = family.Metric(labels=labels, **more)

    def add(self, name, count=1):
        """Raise a counter."""
        if count and name in self.metrics:
            self.metrics[name].increment(count)

    def show(self, name, value):
        """Set a gauge; what it shows already is not sent again."""
        if self.shown.get(name) != value and name in self.metrics:
            self.shown[name] = value
            self.metrics[name].set(value)

    def observe(self, name, seconds):
        """Count a duration in a histogram."""
        if name in self.metrics:
            self.metrics[name].observe(seconds)
