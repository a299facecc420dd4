"""What a config.pbtxt means to a server: every default made explicit, tensors by name, nothing said twice.

In: a ModelConfig. Out: nested plain data in Triton's field names, equal for two configurations that are served alike.
Sources: triton-inference-server/common, model_config.proto; core, src/model_config_utils.cc (NormalizeModelConfig,
SetDefaultInstanceCount, AutoCompleteBackendFields); onnxruntime_backend, README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolkit.repository.defaults import ONNXRUNTIME_PARAMETERS
from toolkit.repository.model_config import ModelConfig, config_data

#: The file that a backend looks for in a version folder when the config names none.
MODEL_FILES = {
    "onnxruntime": "model.onnx",
    "onnxruntime_llm": "model.onnx",
    "openvino": "model.xml",
    "python": "model.py",
    "tensorrt": "model.plan",
    "vllm": "model.json",
}
#: Triton's platforms -> the backend that each belongs to.
PLATFORMS = {
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "pytorch_libtorch": "pytorch",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
}
#: What is served when a whole message is absent; an ensemble has none of the last two.
_ABSENT: dict[str, Any] = {
    "version_policy": {"latest": {"num_versions": 1}},
    "response_cache": {"enable": False},
    "model_transaction_policy": {"decoupled": False},
    "instance_group": [{"kind": "KIND_AUTO"}],
    "optimization": {},
}
_OPTIMIZATION = {"graph": {}, "input_pinned_memory": {"enable": True}, "output_pinned_memory": {"enable": True}}
#: Lists whose order says nothing: read by the name of each element.
_NAMED = ("input", "output", "model_warmup")


def backend_of(config: ModelConfig) -> str:
    """The backend by name, also where only the platform is given; empty for an ensemble and where none is named."""
    return config.backend or PLATFORMS.get(config.platform, "")


def model_filename_of(config: ModelConfig) -> str:
    """The model file expected in every version folder; empty where the backend is not known."""
    return config.default_model_filename or MODEL_FILES.get(backend_of(config), "")


def effective_data(config: ModelConfig) -> dict[str, Any]:
    """The config as plain data with defaults filled in; `name` is left out, `parameters` are plain texts."""
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    data = _with_absent(config, config_data(config))
    filled: dict[str, Any] = _filled(data, Message.DESCRIPTOR)
    filled["backend"], filled["default_model_filename"] = backend_of(config), model_filename_of(config)
    filled["platform"] = "ensemble" if config.is_ensemble else ""
    filled["parameters"] = _parameters(config)
    for group in filled.get("instance_group", ()):
        group["count"] = group["count"] or _default_count(config, group["kind"])
    named = {key: {one["name"]: one for one in filled.get(key, ())} for key in _NAMED}
    return {k: v for k, v in (filled | named).items() if k != "name" and v not in ("", [], {})}


def _with_absent(config: ModelConfig, data: dict[str, Any]) -> dict[str, Any]:
    absent = dict(list(_ABSENT.items())[: 3 if config.is_ensemble else None])
    result = absent | data
    if not config.is_ensemble:
        result["optimization"] = _OPTIMIZATION | result["optimization"]
    return result


def _filled(data: Mapping[str, Any], descriptor: Any) -> dict[str, Any]:
    """`data` with the zero, false or first name that an absent scalar of each present message means."""
    result: dict[str, Any] = {}
    for field in descriptor.fields:
        value = data.get(field.name)
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if is_map:
            inner = field.message_type.fields_by_name["value"].message_type
            result[field.name] = {k: _filled(v, inner) if inner else v for k, v in (value or {}).items()}
        elif field.message_type is not None and value is not None:
            many = isinstance(value, list | tuple)
            filled = [_filled(one, field.message_type) for one in (value if many else [value])]
            result[field.name] = filled if many else filled[0]
        elif field.message_type is None and field.containing_oneof is None:
            result[field.name] = _scalar(field, value)
        elif value is not None:
            result[field.name] = value
    return result


def _scalar(field: Any, value: Any) -> Any:
    if value is not None:
        return list(value) if isinstance(value, list | tuple) else value
    if isinstance(field.default_value, list):
        return []
    return field.enum_type.values_by_number[field.default_value].name if field.enum_type else field.default_value


def _parameters(config: ModelConfig) -> dict[str, str]:
    given = {name: parameter.string_value for name, parameter in config.parameters.items()}
    return ONNXRUNTIME_PARAMETERS | given if backend_of(config) == "onnxruntime" else given


def _default_count(config: ModelConfig, kind: str) -> int:
    return 2 if kind == "KIND_CPU" and backend_of(config) == "onnxruntime" else 1
