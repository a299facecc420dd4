"""How models are served, as the server's own configuration says it, and how requests carry their tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit.errors import ExportFailed
from toolkit.export.profile import OnnxProfile, profile_onnx
from toolkit.repository.entry import RepositoryEntry, read_entries
from toolkit.serve.server import Endpoint
from toolkit.tune.findings import ServedModel
from toolkit.workflow.requests import read_requests
from toolkit.workflow.runs import Progress
from toolkit.workflow.sweep import served_config

BINARY = b"inference-header-content-length"


def served_models(endpoint: Endpoint, models: Sequence[str]) -> tuple[ServedModel, ...]:
    """Each model as it is served. Raises ServerTrouble."""
    return tuple(model_from_config(name, served_config(endpoint, name)) for name in models)


def model_from_config(name: str, config: Mapping[str, Any]) -> ServedModel:
    """A model from the JSON of its ModelConfig; of a server without configurations little is known."""
    threads = config.get("parameters", {}).get("intra_op_thread_count", {}).get("string_value")
    batching = config.get("dynamic_batching")
    size = int(config.get("max_batch_size", 0))
    return ServedModel(
        name=name,
        backend=str(config.get("backend", "")),
        is_ensemble="ensemble_scheduling" in config,
        instances=sum(int(g.get("count", 1)) for g in config.get("instance_group", ())) or 1,
        max_batch_size=size,
        is_batching=batching is not None and size > 1,
        delay_us=int((batching or {}).get("max_queue_delay_microseconds", 0)),
        threads=int(threads) if threads is not None else None,
    )


def with_alone(models: Sequence[ServedModel], profiles: Mapping[str, OnnxProfile]) -> tuple[ServedModel, ...]:
    """The models with the time of an execution in the runtime alone, where it was measured."""
    return tuple(replace(m, alone_s=profiles[m.name].execution_s) if m.name in profiles else m for m in models)


def profiles_of(
    models: Sequence[ServedModel], repository: Path | None, progress: Progress
) -> tuple[dict[str, OnnxProfile], tuple[str, ...]]:
    """ONNX Runtime's own profile of every model whose file is here, and why there is none of the others.

    A python model that brings a `model.onnx` is profiled too: what it takes beyond that is its own Python.
    """
    entries = {e.name: e for e in read_entries(repository)} if repository and repository.is_dir() else {}
    found: dict[str, OnnxProfile] = {}
    missing = []
    for model in (m for m in models if m.backend in ("onnxruntime", "python")):
        file = model_file(entries[model.name]) if model.name in entries else None
        if file is None or not file.is_file():
            if model.backend == "python":
                continue
            missing.append(f"{model.name}: its operators, since its file is not here (--repository)")
            continue
        progress(f"profiling {model.name} in ONNX Runtime alone")
        try:
            found[model.name] = profile_onnx(file, threads=model.threads or 0)
        except ExportFailed as err:
            missing.append(f"{model.name}: its operators, since {err.message}")
    return found, tuple(missing)


def model_file(entry: RepositoryEntry) -> Path:
    """The ONNX file of an entry, where it has one."""
    return (
        entry.path
        / str(entry.version)
        / ("model.onnx" if entry.config.backend == "python" else entry.config.default_model_filename or "model.onnx")
    )


def json_share(folder: Path) -> float:
    """Of HTTP requests for an inference, the share whose tensors are JSON; 0 where there is none.

    A request to generate text is JSON and nothing else.
    """
    requests = [r for r in read_requests(folder) if r[:4] == b"POST" and r.split(b" ", 2)[1].endswith(b"/infer")]
    plain = [r for r in requests if BINARY not in r.partition(b"\r\n\r\n")[0].lower()]
    return len(plain) / len(requests) if requests else 0.0
