"""The servers that `--server` names, one value each. A new server is a new value; no target knows one by name.

Nothing but Triton was run here. What was read, and where, stands at each.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolkit.deploy.command import CHECKED_COMMAND, LOCK_PLACE, MODELS_PLACE, START_PLACE
from toolkit.deploy.llm_series import TRITON_TRTLLM, TRITON_VLLM, TRTLLM_SERVE, VLLM
from toolkit.deploy.server import CACHE, Llm, Port, Server
from toolkit.deploy.spec import TRITON_IMAGE
from toolkit.errors import UsageError

_TRITON_PORTS = (Port(name="http", number=8000), Port(name="grpc", number=8001), Port(name="metrics", number=8002))
_HTTP = (Port(name="http", number=8000),)
#: Weights come from a folder: nothing is looked up on the network, and nothing is told about it.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
#: A user that the image does not know, on a root that it cannot write: every cache has to be told its place.
_PLACES = {
    "HOME": CACHE,
    "USER": "server",
    "XDG_CACHE_HOME": CACHE,
    "XDG_CONFIG_HOME": f"{CACHE}/config",
    "HF_HOME": f"{CACHE}/huggingface",
    "TRITON_CACHE_DIR": f"{CACHE}/triton",
    "TORCHINDUCTOR_CACHE_DIR": f"{CACHE}/inductor",
    "FLASHINFER_WORKSPACE_BASE": CACHE,
}
#: Source: vllm-project/vllm, docs/usage/usage_stats.md.
_VLLM = {**_OFFLINE, **_PLACES, "VLLM_NO_USAGE_STATS": "1", "VLLM_CACHE_ROOT": f"{CACHE}/vllm"}
#: Source: NVIDIA/TensorRT-LLM, tensorrt_llm/usage.
_TRTLLM = {**_OFFLINE, **_PLACES, "TRTLLM_NO_USAGE_STATS": "1", "TELEMETRY_DISABLED": "1"}

#: As Triton serves anything, but for two flags: both backends complete their configuration when they are loaded, and
#: the quantiles of whole requests say little of streams, whose first response has a histogram.
_TRITON_LLM_COMMAND = (
    *("python3", START_PLACE, LOCK_PLACE, MODELS_PLACE),
    "tritonserver",
    "--model-repository=/models",
    "--model-control-mode=none",
    "--strict-readiness=true",
    "--exit-on-error=true",
    "--allow-sagemaker=false",
    "--allow-vertex-ai=false",
    "--metrics-config=histogram_latencies=true",
)
_TRTLLM_CONFIG = "/etc/trtllm-serve/config.yaml"


def _vllm_arguments(llm: Llm) -> tuple[str, ...]:
    """Source: docs.vllm.ai, cli/serve."""
    return (
        llm.place,
        f"--served-model-name={llm.served_name}",
        "--port=8000",
        "--dtype=auto",
        "--gpu-memory-utilization=0.9",
        *_vllm_limits(llm),
    )


def _vllm_limits(llm: Llm) -> tuple[str, ...]:
    limits = llm.limits
    return (
        f"--tensor-parallel-size={limits.devices}",
        *(() if limits.tokens is None else (f"--max-model-len={limits.tokens}",)),
        *(() if limits.sequences is None else (f"--max-num-seqs={limits.sequences}",)),
    )


def _trtllm_arguments(llm: Llm) -> tuple[str, ...]:
    """Source: NVIDIA/TensorRT-LLM, docs/source/commands/trtllm-serve. The served name is the folder's."""
    limits = llm.limits
    return (
        "trtllm-serve",
        llm.place,
        "--host=0.0.0.0",
        "--port=8000",
        "--backend=pytorch",
        f"--tp_size={limits.devices}",
        "--kv_cache_free_gpu_memory_fraction=0.9",
        f"--config={_TRTLLM_CONFIG}",
        *(() if limits.tokens is None else (f"--max_seq_len={limits.tokens}",)),
        *(() if limits.sequences is None else (f"--max_batch_size={limits.sequences}",)),
    )


def _nim_environment(llm: Llm) -> Mapping[str, str]:
    """Source: docs.nvidia.com/nim/large-language-models, reference/environment-variables, of 2.1."""
    return {"NIM_MODEL_PATH": llm.place, "NIM_SERVED_MODEL_NAME": llm.served_name}


TRITON = Server(
    name="triton",
    title="Triton Inference Server",
    image=TRITON_IMAGE,
    arguments=lambda llm: CHECKED_COMMAND,
    ports=_TRITON_PORTS,
    live="/v2/health/live",
    ready="/v2/health/ready",
    metrics_path="/metrics",
    environment={"ORT_DISABLE_TELEMETRY": "1"},
    source="triton-inference-server/server, docs/user_guide",
    series=None,
    has_repository=True,
    start_s=180,
)

SERVERS = {
    server.name: server
    for server in (
        TRITON,
        Server(
            name="triton-vllm",
            title="Triton Inference Server with vLLM",
            # Source: triton-inference-server/vllm_backend, README.md: tritonserver:YY.MM-vllm-python-py3.
            image="nvcr.io/nvidia/tritonserver:26.09-vllm-python-py3",
            arguments=lambda llm: _TRITON_LLM_COMMAND,
            ports=_TRITON_PORTS,
            live="/v2/health/live",
            ready="/v2/health/ready",
            metrics_path="/metrics",
            environment={**_VLLM, "ORT_DISABLE_TELEMETRY": "1"},
            secrets=("HF_TOKEN",),
            cache=CACHE,
            has_repository=True,
            source="triton-inference-server/vllm_backend, README.md",
            series=TRITON_VLLM,
        ),
        Server(
            name="triton-trtllm",
            title="Triton Inference Server with TensorRT-LLM's LLM API",
            # The last release that was seen with this variant; not every release has one.
            image="nvcr.io/nvidia/tritonserver:26.03-trtllm-python-py3",
            arguments=lambda llm: _TRITON_LLM_COMMAND,
            ports=_TRITON_PORTS,
            live="/v2/health/live",
            ready="/v2/health/ready",
            metrics_path="/metrics",
            environment={**_TRTLLM, "ORT_DISABLE_TELEMETRY": "1"},
            secrets=("HF_TOKEN",),
            cache=CACHE,
            has_repository=True,
            source="NVIDIA/TensorRT-LLM, triton_backend/all_models/llmapi/tensorrt_llm",
            series=TRITON_TRTLLM,
        ),
        Server(
            name="vllm",
            title="vLLM",
            # Source: docs.vllm.ai, deployment/docker; 0.30.0 was on Docker Hub in September 2026.
            image="vllm/vllm-openai:v0.30.0",
            entrypoint=("vllm", "serve"),
            arguments=_vllm_arguments,
            ports=_HTTP,
            live="/health",
            ready="/health",
            metrics_path="/metrics",
            environment=_VLLM,
            secrets=("HF_TOKEN",),
            cache=CACHE,
            source="docs.vllm.ai, deployment/docker, deployment/k8s and cli/serve",
            series=VLLM,
        ),
        Server(
            name="trtllm-serve",
            title="TensorRT-LLM (trtllm-serve)",
            # Source: NVIDIA/TensorRT-LLM, docs/source/installation/containers; the names of its metrics are of 1.3.
            image="nvcr.io/nvidia/tensorrt-llm/release:1.3.0",
            arguments=_trtllm_arguments,
            files={_TRTLLM_CONFIG: "return_perf_metrics: true\nenable_iter_perf_stats: true\n"},
            ports=_HTTP,
            live="/health",
            ready="/health",
            metrics_path="/prometheus/metrics",
            environment=_TRTLLM,
            secrets=("HF_TOKEN",),
            cache=CACHE,
            source="NVIDIA/TensorRT-LLM, docs/source/commands/trtllm-serve",
            series=TRTLLM_SERVE,
        ),
        Server(
            name="nim",
            title="NVIDIA NIM 2.x",
            image="",
            image_example="nvcr.io/nim/nvidia/vllm-model-free-nim:2.1.1",
            # Arguments of a model-free NIM go to vLLM.
            arguments=_vllm_limits,
            ports=_HTTP,
            live="/v1/health/live",
            ready="/v1/health/ready",
            metrics_path="/v1/metrics",
            environment={
                **_OFFLINE,
                "VLLM_NO_USAGE_STATS": "1",
                "NIM_TELEMETRY_MODE": "0",
                "NIM_CACHE_PATH": "/opt/nim/.cache",
                "NIM_SERVER_PORT": "8000",
                "HOME": "/opt/nim/.cache",
            },
            model_environment=_nim_environment,
            secrets=("NGC_API_KEY", "HF_TOKEN"),
            cache="/opt/nim/.cache",
            has_read_only_root=False,  # its proxy writes its configuration to /opt/nim at each start
            source="docs.nvidia.com/nim/large-language-models, deployment/model-free-nim and reference, of 2.1",
            series=VLLM,
        ),
    )
}


def server_named(name: str, image: str = "") -> Server:
    """The server of `--server`. Raises UsageError for an unknown name, and for an image that only the user can name."""
    if name not in SERVERS:
        raise UsageError(f"--server {name} is not known", mend=f"use one of: {', '.join(SERVERS)}")
    server = SERVERS[name]
    if not image and not server.image:
        raise UsageError(
            f"{server.title} has an image for each backend and release, and none was named",
            mend=f"--image {server.image_example}, or that of the model in NVIDIA's catalogue",
        )
    return server
