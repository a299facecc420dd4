"""ModelConfig to config.pbtxt and back, to the load API's JSON, and partial overrides; all through the real protobuf.

In: a ModelConfig, or text. Out: the other one, or a ConfigurationError that names the line or the field.
Text is written from the values, not by text_format, which drops zeros (a `max_batch_size: 0` among them); it is then
parsed by text_format, so what is written is what Triton's own parser reads.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from toolkit.errors import ConfigurationError
from toolkit.records import from_data
from toolkit.repository.model_config import ModelConfig, ModelWarmup, config_data

__all__ = ["ModelConfig", "config_from_pbtxt", "to_load_json", "to_pbtxt", "with_overrides"]


def to_pbtxt(config: ModelConfig) -> str:
    """The config.pbtxt of a config, `max_batch_size` and every other figure written out.

    Raises ConfigurationError for a value that the protobuf does not take (an unknown enum, a negative unsigned).
    """
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    message = _message_from_data(config_data(config), f"the configuration of '{config.name}'")
    text = "\n".join(_text_lines(config_data(config), Message.DESCRIPTOR)) + "\n"
    if text_format.Parse(text, Message()) != message:
        raise AssertionError(f"config.pbtxt of '{config.name}' does not say what its ModelConfig says")
    return text


def config_from_pbtxt(text: str, where: str) -> ModelConfig:
    """Read config.pbtxt; `where` is the file's name in messages. Raises ConfigurationError with line and column."""
    from google.protobuf import text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    try:
        message = text_format.Parse(text, Message())
    except text_format.ParseError as err:
        line, column = err.GetLine() or 1, err.GetColumn() or 1
        reason = str(err).removeprefix(f"{line}:{column} : ")
        raise ConfigurationError(f"{where}:{line}:{column}: {reason}", mend="correct that line") from err
    return _config_from_message(message, where)


def to_load_json(config: ModelConfig) -> str:
    """The `config` parameter of POST /v2/repository/models/M/load: the whole config as JSON in proto field names."""
    return json.dumps(config_data(config))


def with_overrides(config: ModelConfig, partial: Mapping[str, Any]) -> ModelConfig:
    """The config with a partial one laid over it, in Triton's field names.

    Nested mappings merge, inputs and outputs merge by their names, other lists replace, None removes what is there, and
    of a oneof the new member wins.
    `parameters` may be written short, as `{key: value}`. The warm-up batch of the old max_batch_size becomes one of
    the new. Raises ConfigurationError.
    """
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    base = config_data(config)
    tensors = {key: _tensors(base.get(key), partial[key]) for key in ("input", "output") if key in partial}
    data = _merged(base, _long_parameters(partial) | tensors, Message.DESCRIPTOR, "config")
    merged = _config_from_message(_message_from_data(data, "config"), "config")
    if "model_warmup" in partial or merged.max_batch_size == config.max_batch_size:
        return merged
    return replace(merged, model_warmup=_rescaled(merged.model_warmup, config.max_batch_size, merged.max_batch_size))


def _tensors(base: Any, partial: Any) -> Any:
    """The inputs or outputs with those of `partial` laid over them; a new name is added behind them."""
    if not isinstance(partial, list | tuple) or not all(isinstance(t, Mapping) and "name" in t for t in partial):
        return partial
    named = {t["name"]: t for t in base or ()}
    return list((named | {t["name"]: named.get(t["name"], {}) | dict(t) for t in partial}).values())


def _rescaled(warmup: tuple[ModelWarmup, ...], old: int, new: int) -> tuple[ModelWarmup, ...]:
    def size(batch: int) -> int:
        return max(1, new if batch == old else min(batch, new))

    return tuple(replace(w, batch_size=size(w.batch_size)) for w in warmup)


def _long_parameters(partial: Mapping[str, Any]) -> dict[str, Any]:
    parameters = partial.get("parameters")
    if not isinstance(parameters, Mapping):
        return dict(partial)
    return dict(partial) | {"parameters": {k: _long_parameter(v) for k, v in parameters.items()}}


def _long_parameter(value: Any) -> Any:
    if value is None or isinstance(value, Mapping):
        return value
    # Backends read a truth value as 0 or 1; "True" is an error to most.
    return {"string_value": str(int(value) if isinstance(value, bool) else value)}


def _merged(base: Any, partial: Any, descriptor: Any, where: str) -> Any:
    """`partial` over `base`; `descriptor` is the message they describe, None inside a map of scalars."""
    if not (isinstance(base, Mapping) and isinstance(partial, Mapping)):
        return partial
    result = dict(base)
    for key, value in partial.items():
        field = _field(descriptor, str(key), where)
        before = result.pop(key, {})
        for alternative in field.containing_oneof.fields if field and field.containing_oneof else ():
            result.pop(alternative.name, None)
        if value is not None:
            result[str(key)] = _merged(before, value, field.message_type if field else None, f"{where}.{key}")
    return result


def _field(descriptor: Any, key: str, where: str) -> Any:
    """The field of a message, or the value of a map, whose keys are free. Raises ConfigurationError for no field."""
    if descriptor is None:
        return None
    if descriptor.GetOptions().map_entry:
        return descriptor.fields_by_name["value"]
    if key not in descriptor.fields_by_name:
        close = difflib.get_close_matches(key, descriptor.fields_by_name, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"fields: {', '.join(descriptor.fields_by_name)}"
        raise ConfigurationError(f"{where}.{key} is not a field of Triton's {descriptor.name}; {hint}")
    return descriptor.fields_by_name[key]


def _message_from_data(data: Mapping[str, Any], where: str) -> Any:
    from google.protobuf import json_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig as Message

    try:
        return json_format.ParseDict(data, Message())
    except json_format.ParseError as err:
        raise ConfigurationError(f"{where}: {err}") from err


def _config_from_message(message: Any, where: str) -> ModelConfig:
    return from_data(ModelConfig, _data_from_message(message), where)


def _data_from_message(message: Any) -> dict[str, Any]:
    """Like json_format.MessageToDict, which turns 64-bit integers into text."""
    return {field.name: _data_from_field(field, value) for field, value in message.ListFields()}


def _data_from_field(field: Any, value: Any) -> Any:
    if field.message_type and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(k): _data_from_field(inner, v) for k, v in value.items()}
    if isinstance(value, str | int | float | bool):
        return field.enum_type.values_by_number[value].name if field.enum_type else value
    if hasattr(value, "ListFields"):
        return _data_from_message(value)
    return [_data_from_field(field, v) for v in value]


def _text_lines(data: Mapping[str, Any], descriptor: Any, indent: str = "") -> Iterator[str]:
    for key, value in data.items():
        field = descriptor.fields_by_name[key]
        if field.message_type is None:
            yield f"{indent}{key}: {_literal(field, value)}"
            continue
        for one in _messages(field, value):
            yield f"{indent}{key} {{"
            yield from _text_lines(one, field.message_type, indent + "  ")
            yield f"{indent}}}"


def _messages(field: Any, value: Any) -> list[Mapping[str, Any]]:
    if field.message_type.GetOptions().map_entry:
        return [{"key": k, "value": v} for k, v in value.items()]
    return value if isinstance(value, list) else [value]


def _literal(field: Any, value: Any) -> str:
    from google.protobuf.text_encoding import CEscape

    if isinstance(value, list):
        return f"[{', '.join(_literal(field, v) for v in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    is_text = field.type == field.TYPE_STRING
    return f'"{CEscape(value, as_utf8=True)}"' if is_text else str(value)
