"""Rules on language models' entries: the embedded backend's, vLLM's and TensorRT-LLM's.

Sources: toolkit/serve/backends/onnxruntime_llm; triton-inference-server/vllm_backend, README.md and src/model.py;
NVIDIA/TensorRT-LLM, triton_backend/all_models/llmapi.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from toolkit.errors import ConfigurationError
from toolkit.models.language_model import LANGUAGE_MODEL_FILE, read_language_model
from toolkit.repository.defaults_llm import ONNXRUNTIME_LLM_PARAMETERS, TRTLLM_FILE, VLLM_FILE
from toolkit.repository.lint.rule import rule
from toolkit.repository.lint.subject import Subject
from toolkit.repository.publish import version_folders

_PARAMETERS = {
    "onnxruntime_llm": frozenset(ONNXRUNTIME_LLM_PARAMETERS),
    "vllm": frozenset({"REPORT_CUSTOM_METRICS", "ENABLE_VLLM_HEALTH_CHECK", "GPU_DEVICE_IDS"}),
}


@rule(
    "TR101",
    "error",
    "A language model answers with a stream and batches by itself; Triton would refuse to load it, or batch for it.",
    "write max_batch_size: 0 and model_transaction_policy { decoupled: true }",
)
def not_a_stream(subject: Subject) -> Iterator[str]:
    if subject.backend in _PARAMETERS and not subject.is_decoupled:
        yield "model_transaction_policy { decoupled: true } is not written"
    if subject.backend in _PARAMETERS and subject.is_batched:
        yield f"max_batch_size is {subject.config.max_batch_size}; the backend forms its own batches"


@rule(
    "TR102",
    "error",
    "The engine would not understand its own description; the entry does not load.",
    "write the entry again: toolkit repo add",
)
def unreadable_description(subject: Subject) -> Iterator[str]:
    for version in version_folders(subject.path):
        if subject.backend == "onnxruntime_llm":
            yield from _embedded(version, subject)
        elif subject.backend == "vllm" and (version / VLLM_FILE).is_file():
            yield from _arguments(version / VLLM_FILE, json.loads)
        elif subject.backend == "python" and (version / TRTLLM_FILE).is_file():
            yield from _arguments(version / TRTLLM_FILE, yaml.safe_load)


def _embedded(version: Path, subject: Subject) -> Iterator[str]:
    if not (version / "tokenizer.json").is_file():
        yield f"{version.name}/tokenizer.json is missing"
    try:
        described = read_language_model(version)
    except ConfigurationError as err:
        yield f"{version.name}/{LANGUAGE_MODEL_FILE}: {err.message}"
        return
    asked = subject.config.parameters.get("max_length")
    length = asked.string_value if asked else ""
    if length.isdigit() and int(length) > described.context_length:
        yield f"parameter 'max_length' is {length}, and the model's context holds {described.context_length}"


def _arguments(file: Path, read: Any) -> Iterator[str]:
    where = f"{file.parent.name}/{file.name}"
    try:
        found = read(file.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as err:
        yield f"{where} does not parse: {str(err).splitlines()[0]}"
        return
    if not isinstance(found, dict) or not isinstance(found.get("model"), str) or not found["model"]:
        yield f"{where} names no model"


@rule(
    "TR103",
    "error",
    "The backend does not read it: the embedded one refuses to load, vLLM's ignores it silently.",
    "correct or remove the parameter; vLLM's own arguments stand in 1/model.json",
)
def unknown_llm_parameter(subject: Subject) -> Iterator[str]:
    known = _PARAMETERS.get(subject.backend, frozenset())
    for name, parameter in subject.config.parameters.items() if known else ():
        if name not in known and not name.startswith("TRITON_"):
            yield f"parameter '{name}' is none of the {subject.backend} backend's"
        elif subject.backend == "onnxruntime_llm" and not parameter.string_value.isdigit():
            yield f"parameter '{name}' is '{parameter.string_value}'; expected an integer"


RULES = (not_a_stream, unreadable_description, unknown_llm_parameter)
