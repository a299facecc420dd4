"""What is worth varying of an entry where nobody has said it: from the machine, the backend and the SLO. Pure."""

from __future__ import annotations

from toolkit.environment import Environment
from toolkit.repository.model_config import ModelConfig
from toolkit.tune.space import Ranges, Variant

BATCH_SIZES = (1, 4, 8, 16, 32)
#: Queue delays to try, as shares of the tightest latency limit.
DELAY_SHARES = (0.02, 0.10)


def default_ranges(config: ModelConfig, environment: Environment, limit_s: float | None) -> Ranges:
    """What is worth trying of an entry on this machine.

    Batches as far as a flexible backend goes, instances and threads up to the cores, delays in proportion to the
    latency limit. An entry that does not batch varies its instances alone.
    """
    cores = max(1, int(environment.cores))
    counts = tuple(sorted({1, min(2, cores), min(4, cores), cores if cores <= 8 else 8}))
    threads = tuple(sorted({1, cores})) if "intra_op_thread_count" in config.parameters else ()
    if config.max_batch_size < 1:
        return Ranges(instance_count=counts, intra_op_thread_count=threads)
    most = max(BATCH_SIZES) if config.backend == "onnxruntime" else config.max_batch_size
    sizes = sorted({config.max_batch_size, *(size for size in BATCH_SIZES if size <= most)})
    delays = sorted({0, *(_rounded_us(share * limit_s) for share in DELAY_SHARES if limit_s)})
    return Ranges(
        max_batch_size=tuple(sizes),
        instance_count=counts,
        max_queue_delay_microseconds=tuple(delays),
        intra_op_thread_count=threads,
        variants=_default_variants(config, environment),
    )


def _default_variants(config: ModelConfig, environment: Environment) -> dict[str, Variant]:
    """On a machine with GPUs the kind of instance and, of ONNX models, TensorRT as an accelerator."""
    if not environment.gpus or config.backend != "onnxruntime":
        return {}
    tensorrt = {"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}
    accelerated = {"execution_accelerators": {"gpu_execution_accelerator": [tensorrt]}}
    return {
        "gpu": Variant(config={"instance_group": [{"kind": "KIND_GPU"}]}),
        "tensorrt-fp16": Variant(config={"instance_group": [{"kind": "KIND_GPU"}], "optimization": accelerated}),
        "cpu": Variant(config={"instance_group": [{"kind": "KIND_CPU"}]}),
    }


def _rounded_us(seconds: float) -> int:
    """Microseconds with one significant digit."""
    return int(float(f"{seconds * 1e6:.1g}"))
