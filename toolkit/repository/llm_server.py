"""Entries for the GPU servers of language models, written from the customer's folder: vLLM and TensorRT-LLM in Triton.

In: a Source of a language model. Out: an entry whose engine loads the folder itself, from where the server sees it.
Nothing of this was run where there is no GPU, and each entry says so in its README.
Sources: triton-inference-server/vllm_backend, README.md and src/model.py; NVIDIA/TensorRT-LLM,
triton_backend/all_models/llmapi/tensorrt_llm.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import yaml

from toolkit.errors import RepositoryError
from toolkit.models.huggingface import read_config
from toolkit.models.source import Source, source_from_path
from toolkit.records import write_text
from toolkit.repository.defaults import LATEST
from toolkit.repository.defaults_llm import TRTLLM_FILE, VLLM_FILE, text_inputs, text_outputs
from toolkit.repository.entry import write_description
from toolkit.repository.model_config import (
    ModelConfig,
    ModelInput,
    ModelInstanceGroup,
    ModelOutput,
    ModelParameter,
    ModelTransactionPolicy,
)
from toolkit.repository.provenance import Provenance
from toolkit.repository.publish import building, copy_file
from toolkit.repository.read import RepositoryEntry, read_entry

LlmServer = Literal["triton-vllm", "triton-trtllm"]
IMAGES = {
    "triton-vllm": "nvcr.io/nvidia/tritonserver:YY.MM-vllm-python-py3",
    "triton-trtllm": "nvcr.io/nvidia/tritonserver:YY.MM-trtllm-python-py3",
}
_SHIM = Path(__file__).parent / "trtllm" / "model.py"
_README = """\
# {name}: {server}

Written from {source} (sha256 {digest}); not run here: there was no GPU.

The engine loads the model from `{model_path}`: mount the customer's folder there, read-only.

    docker run --rm --gpus all --shm-size 2g -p 8000:8000 -p 8001:8001 -p 8002:8002 \\
      -v REPOSITORY:/models:ro -v MODEL_FOLDER:{model_path}:ro \\
      {image} tritonserver --model-repository=/models

YY.MM is the release to be used. Every argument of the engine stands in 1/{file}; the ones written are conservative
defaults, not measured on the target. {note}
"""
_NOTES = {
    "triton-vllm": "Tensor names are those of the toolkit's own backend, so the same clients work against it.",
    "triton-trtllm": "Its tensors have names of their own: `streaming`, `sampling_param_max_tokens`,"
    " `sampling_param_temperature`, `sampling_param_seed` and so on beside `text_input` and `text_output`.\n"
    "1/model.py hands over to the image's own, which differs between releases.",
}
#: Inputs of TensorRT-LLM's LLM API model beside text_input; all are optional.
_TRTLLM_INPUTS = {
    "streaming": "TYPE_BOOL",
    "sampling_param_temperature": "TYPE_FP32",
    "sampling_param_top_k": "TYPE_INT32",
    "sampling_param_top_p": "TYPE_FP32",
    "sampling_param_max_tokens": "TYPE_INT32",
    "sampling_param_stop": "TYPE_STRING",
    "sampling_param_seed": "TYPE_UINT64",
    "sampling_param_exclude_input_from_output": "TYPE_BOOL",
    "return_finish_reason": "TYPE_BOOL",
}


def add_llm_server_entry(
    repository: Path,
    source: Source,
    server: LlmServer,
    *,
    name: str,
    model_path: str = "",
    tensor_parallel_size: int = 1,
    tokens: int | None = None,
    sequences: int | None = None,
    replace: bool = False,
) -> RepositoryEntry:
    """Add an entry that serves `source` with `server`; `model_path` is its folder as the server sees it.

    `tokens` are of the longest sequence, the model's context where None; `sequences` as many as run at once, the
    engine's own default where None.

    Raises RepositoryError for a source that is no language model and, as for every entry, for one that exists.
    """
    if source.task != "causal-lm":
        raise RepositoryError(
            f"{source.path} is no Hugging Face folder of a language model, and {server} serves those",
            mend=f"toolkit repo add FOLDER --server {server}",
        )
    path = model_path or f"/opt/models/{name}"
    context = tokens or read_config(source.path).get("max_position_embeddings")
    described = Provenance(
        kind="source", source=source.path.name, artifact_sha256=source.sha256, source_sha256=source.sha256
    )
    with building(repository, name, replace=replace, version=1) as version:
        if server == "triton-vllm":
            write_text(
                version / VLLM_FILE, json.dumps(_vllm(path, context, tensor_parallel_size, sequences), indent=2) + "\n"
            )
        else:
            arguments = _trtllm(path, context, tensor_parallel_size, sequences)
            write_text(version / TRTLLM_FILE, yaml.safe_dump(arguments, sort_keys=False))
            copy_file(_SHIM, version / "model.py")
        write_text(version.parent / "README.md", _readme(name, source, server, path))
        config = _vllm_config(name) if server == "triton-vllm" else _trtllm_config(name)
        write_description(version, name, config, described)
    return read_entry(repository / name)


def add_model_folder(
    repository: Path, folder: Path, server: LlmServer, *, name: str | None, model_path: str, replace: bool
) -> RepositoryEntry:
    """`add_llm_server_entry` for a customer's folder, by default under its own name. Raises ModelRefused besides."""
    source = source_from_path(str(folder))
    name = name or folder.resolve().name
    return add_llm_server_entry(repository, source, server, name=name, model_path=model_path, replace=replace)


def _readme(name: str, source: Source, server: LlmServer, path: str) -> str:
    return _README.format(
        name=name,
        server=server,
        source=source.path.name,
        digest=source.sha256[:12],
        model_path=path,
        image=IMAGES[server],
        file=VLLM_FILE if server == "triton-vllm" else TRTLLM_FILE,
        note=_NOTES[server],
    )


def _vllm(path: str, context: Any, tensor_parallel_size: int, sequences: int | None) -> dict[str, Any]:
    """Arguments of vLLM's AsyncEngineArgs."""
    length = {"max_model_len": context} if isinstance(context, int) else {}
    length |= {} if sequences is None else {"max_num_seqs": sequences}
    return {
        "model": path,
        "dtype": "auto",
        **length,
        "tensor_parallel_size": tensor_parallel_size,
        "gpu_memory_utilization": 0.9,
        "trust_remote_code": False,
        "disable_log_stats": False,
    }


def _trtllm(path: str, context: Any, tensor_parallel_size: int, sequences: int | None) -> dict[str, Any]:
    """Arguments of tensorrt_llm.LLM, and what Triton is to make of the model."""
    length = {"max_seq_len": context} if isinstance(context, int) else {}
    length |= {} if sequences is None else {"max_batch_size": sequences}
    return {
        "model": path,
        "backend": "pytorch",
        **length,
        "tensor_parallel_size": tensor_parallel_size,
        "pipeline_parallel_size": 1,
        "trust_remote_code": False,
        "triton_config": {"max_batch_size": 0, "decoupled": True},
    }


def _vllm_config(name: str) -> ModelConfig:
    """KIND_MODEL: the engine places itself. The backend adds its other tensors when it loads the entry."""
    return ModelConfig(
        name=name,
        backend="vllm",
        max_batch_size=0,
        version_policy=LATEST,
        input=text_inputs(),
        output=text_outputs(),
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_MODEL"),),
        parameters={"REPORT_CUSTOM_METRICS": ModelParameter(string_value="true")},
        model_transaction_policy=ModelTransactionPolicy(decoupled=True),
    )


def _trtllm_config(name: str) -> ModelConfig:
    """KIND_CPU as in TensorRT-LLM's own: the process that Triton starts holds no GPU, the engine's workers do."""
    optional = (
        ModelInput(name=n, data_type=kind, dims=(-1,) if n.endswith("_stop") else (1,), optional=True)
        for n, kind in _TRTLLM_INPUTS.items()
    )
    return ModelConfig(
        name=name,
        backend="python",
        max_batch_size=0,
        version_policy=LATEST,
        input=(ModelInput(name="text_input", data_type="TYPE_STRING", dims=(-1,)), *optional),
        output=tuple(
            ModelOutput(name=n, data_type="TYPE_STRING", dims=(-1,)) for n in ("text_output", "finish_reason")
        ),
        instance_group=(ModelInstanceGroup(count=1, kind="KIND_CPU"),),
        model_transaction_policy=ModelTransactionPolicy(decoupled=True),
    )
