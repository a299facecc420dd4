"""What the shape of a language model bounds: weights, keys and values, sequences that fit, prefill and decoding rates.

In: a config.json as Hugging Face writes it, and accelerators. Out: bounds, each with its arithmetic. Nothing is
measured: a server reaches less, and how much less only a measurement says.

Sources: Kaplan et al. 2020 (2 FLOP for each weight and token in a forward pass); Pope et al. 2022, "Efficiently scaling
transformer inference" (prefill bound by compute, decoding by the bytes of weights and of keys and values).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.errors import UsageError
from toolkit.size.catalogue import Accelerator

#: Bytes of one weight.
WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5, "fp4": 0.5}
#: Of a device's memory, what is left for weights and caches beside activations, graphs and the runtime.
USABLE = 0.9
#: Where a data sheet has no rate for a precision, the weights are widened to this one for the arithmetic.
COMPUTED_IN = {"fp8": "fp16", "int8": "fp16", "int4": "fp16", "fp4": "fp8", "bf16": "fp16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmShape:
    """A decoder-only transformer. `experts` of which `active_experts` work on a token; 1 and 1 for a dense model."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied_embeddings: bool = False
    gated: bool = True
    experts: int = 1
    active_experts: int = 1
    sliding_window: int | None = None

    @property
    def attention_parameters(self) -> int:
        """Query, output, key and value matrices of all layers."""
        return self.layers * self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)

    @property
    def expert_parameters(self) -> int:
        """The matrices of one expert (or of the only one) in all layers."""
        return self.layers * (3 if self.gated else 2) * self.hidden * self.intermediate

    @property
    def parameters(self) -> int:
        """All weights but norms and biases, which are thousandths."""
        embeddings = self.vocabulary * self.hidden * (1 if self.tied_embeddings else 2)
        return embeddings + self.attention_parameters + self.experts * self.expert_parameters

    @property
    def active_parameters(self) -> int:
        """The weights that work on one token: without the table of embeddings, of which one row is read."""
        working = self.attention_parameters + self.active_experts * self.expert_parameters
        return working + self.vocabulary * self.hidden

    def kv_bytes_per_token(self, bytes_per_element: float) -> float:
        """Bytes of keys and values that one token adds: 2 x layers x key-value heads x head size x bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_element

    def kept_tokens(self, tokens: int) -> int:
        """The tokens whose keys and values are kept of a sequence."""
        return tokens if self.sliding_window is None else min(tokens, self.sliding_window)


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmBounds:
    """Limits of one accelerator, or of `devices` of them sharing the model; all are bounds.

    `fits`: whether the weights do. `sequences`: the most of `tokens` tokens whose keys and values fit besides.
    `prefill_tokens_per_s` is bound by compute; `decode_tokens_per_s` at `batch` sequences is the lower one of what
    bandwidth and compute allow, `decode_limit` says which; `one_stream_tokens_per_s` is that of one alone.
    """

    accelerator: str
    devices: int
    precision: str
    computed_in: str
    weight_bytes: float
    kv_bytes_per_token: float
    tokens: int
    fits: bool
    sequences: int
    batch: int
    prefill_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    decode_limit: str
    one_stream_tokens_per_s: float | None
    ttft_s: float | None
    power_w: float
    arithmetic: tuple[str, ...]
    source: str


def bounds_of(
    shape: LlmShape,
    name: str,
    gpu: Accelerator,
    *,
    precision: str,
    tokens: int,
    prompt_tokens: int,
    kv_bytes: float = 2.0,
    devices: int | None = None,
) -> LlmBounds:
    """What one accelerator, or the fewest that hold the weights and a sequence, cannot exceed.

    tokens: of a whole sequence; prompt_tokens: of its prompt. kv_bytes: of one element of the cache. Several devices
    are taken to share all work without loss. Raises UsageError for an unknown precision.
    """
    if precision not in WEIGHT_BYTES:
        raise UsageError(f"--precision {precision} is not known", mend=f"use one of: {', '.join(WEIGHT_BYTES)}")
    weights = shape.parameters * WEIGHT_BYTES[precision]
    per_token = shape.kv_bytes_per_token(kv_bytes)
    per_sequence = per_token * shape.kept_tokens(tokens)
    memory = USABLE * gpu.memory_gb * 1e9
    count = devices or max(1, math.ceil((weights + per_sequence) / memory))
    sequences = max(0, math.floor((count * memory - weights) / per_sequence))
    computed_in, flops = _rate(gpu, precision)
    bandwidth = count * gpu.bandwidth_gb_per_s * 1e9
    compute = None if flops is None else count * flops
    prefill = None if compute is None else compute / _flops_per_token(shape, prompt_tokens / 2)
    decode, limit = _decode(shape, precision, per_token, tokens, sequences, bandwidth, compute)
    one, _ = _decode(shape, precision, per_token, tokens, min(1, sequences), bandwidth, compute)
    return LlmBounds(
        accelerator=name,
        devices=count,
        precision=precision,
        computed_in=computed_in,
        weight_bytes=weights,
        kv_bytes_per_token=per_token,
        tokens=tokens,
        fits=sequences > 0,
        sequences=sequences,
        batch=sequences,
        prefill_tokens_per_s=prefill,
        decode_tokens_per_s=decode,
        decode_limit=limit,
        one_stream_tokens_per_s=one,
        ttft_s=prompt_tokens / prefill if prefill else None,
        power_w=count * gpu.tdp_w,
        arithmetic=_arithmetic(shape, precision, kv_bytes, per_sequence, count, gpu),
        source=gpu.source,
    )


def llm_bounds(
    shape: LlmShape,
    gpus: Mapping[str, Accelerator],
    precisions: tuple[str, ...],
    *,
    tokens: int,
    prompt_tokens: int,
    kv_precision: str = "fp16",
    devices: int | None = None,
) -> tuple[LlmBounds, ...]:
    """The bounds on every accelerator in every precision. Raises UsageError for what cannot be asked."""
    if kv_precision not in WEIGHT_BYTES:
        raise UsageError(f"--kv-precision {kv_precision} is not known", mend=f"use one of: {', '.join(WEIGHT_BYTES)}")
    if prompt_tokens >= tokens:
        raise UsageError(f"a prompt of {prompt_tokens} tokens leaves none of {tokens} to write", mend="--tokens more")
    return tuple(
        bounds_of(
            shape,
            name,
            gpu,
            precision=precision,
            tokens=tokens,
            prompt_tokens=prompt_tokens,
            kv_bytes=WEIGHT_BYTES[kv_precision],
            devices=devices,
        )
        for precision in precisions
        for name, gpu in gpus.items()
    )


def _rate(gpu: Accelerator, precision: str) -> tuple[str, float | None]:
    """The precision that the arithmetic is done in, and its rate."""
    while gpu.flops(precision) is None and precision in COMPUTED_IN:
        precision = COMPUTED_IN[precision]
    return precision, gpu.flops(precision)


def _flops_per_token(shape: LlmShape, context: float) -> float:
    """2 for each working weight; and 4 x layers x heads x head size for each token that is attended to."""
    attended = min(context, shape.sliding_window or math.inf)
    return 2.0 * shape.active_parameters + 4.0 * shape.layers * shape.heads * shape.head_dim * attended


def _decode(
    shape: LlmShape,
    precision: str,
    kv_per_token: float,
    tokens: int,
    batch: int,
    bandwidth: float,
    compute: float | None,
) -> tuple[float | None, str]:
    """Tokens a second over a batch: each step reads the weights once, and every sequence's keys and values.

    Sequences are taken at half of their length, the mean while they grow. Of experts a step reads those that any
    sequence of the batch chose, were they chosen at random.
    """
    if not batch:
        return None, "does not fit"
    used = shape.experts * (1 - (1 - shape.active_experts / shape.experts) ** batch)
    read = shape.attention_parameters + shape.vocabulary * shape.hidden + used * shape.expert_parameters
    kept = shape.kept_tokens(max(1, tokens // 2))
    step_s = (read * WEIGHT_BYTES[precision] + batch * kept * kv_per_token) / bandwidth
    by_bandwidth = batch / step_s
    if compute is None:
        return by_bandwidth, "bandwidth"
    by_compute = compute / _flops_per_token(shape, tokens / 2)
    return min(by_bandwidth, by_compute), "bandwidth" if by_bandwidth <= by_compute else "compute"


def _arithmetic(
    shape: LlmShape, precision: str, kv_bytes: float, per_sequence: float, count: int, gpu: Accelerator
) -> tuple[str, ...]:
    return (
        f"weights: {shape.parameters / 1e9:.3g} G parameters x {WEIGHT_BYTES[precision]:g} bytes "
        f"= {shape.parameters * WEIGHT_BYTES[precision] / 1e9:.3g} GB",
        f"keys and values: 2 x {shape.layers} layers x {shape.kv_heads} heads x {shape.head_dim} x {kv_bytes:g} bytes "
        f"= {shape.kv_bytes_per_token(kv_bytes) / 1024:.4g} KiB a token, {per_sequence / 1e9:.3g} GB a sequence",
        f"memory: {count} x {gpu.memory_gb:g} GB x {USABLE:g} usable",
        f"prefill: FLOP/s / (2 x {shape.active_parameters / 1e9:.3g} G working weights + attention)",
        "decoding: bandwidth / (bytes of weights + keys and values of the batch), or compute where that is less",
    )
