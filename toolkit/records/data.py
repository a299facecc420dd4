"""Values to plain data and back, strictly.

A value is a frozen dataclass. It becomes a JSON object with the same keys; a value of a union carries its class name
under `type`, which people may leave out where the keys fit one class only. Reading is strict: an unknown key, a missing
key or a wrong type is a ConfigurationError that names the file and the field.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from toolkit.errors import ConfigurationError

T = TypeVar("T")


def to_data(value: Any) -> Any:
    """Plain JSON data for a value. A dataclass gets its class name under `type` (readers need it in unions only)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to_data(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__} | fields
    if isinstance(value, Mapping):
        return {str(k): to_data(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_data(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        return to_data(value.item())
    return value


def to_json(value: Any) -> str:
    """The JSON text of a value, indented, with a final newline."""
    return json.dumps(to_data(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_data(kind: type[T] | Any, data: Any, where: str) -> T:
    """Read plain data as a value of type `kind`; `where` names the place in messages. Raises ConfigurationError."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    result: Any
    if kind is Any:
        result = data
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
        result = _dataclass_from_data(kind, data, where)
    elif origin in (Union, types.UnionType):
        result = _union_from_data(arguments, data, where)
    elif origin is Literal:
        result = _expect(data in arguments, data, where, "one of " + ", ".join(map(repr, arguments)))
    elif origin is tuple:
        result = _tuple_from_data(arguments, data, where)
    elif origin in (dict, Mapping):
        _expect(isinstance(data, dict), data, where, "a mapping")
        result = {str(k): from_data(arguments[1], v, f"{where}.{k}") for k, v in data.items()}
    else:
        result = _scalar_from_data(kind, data, where)
    return typing.cast(T, result)


def _expect(condition: bool, data: Any, where: str, expected: str) -> Any:
    if not condition:
        raise ConfigurationError(f"{where} is {data!r}; expected {expected}")
    return data


def _scalar_from_data(kind: Any, data: Any, where: str) -> Any:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "nothing"}
    if kind is Path:
        return Path(_expect(isinstance(data, str), data, where, "a path"))
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    right = isinstance(data, kind) and (kind is bool or not isinstance(data, bool))
    return _expect(right, data, where, names.get(kind, str(kind)))


def _tuple_from_data(arguments: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    _expect(isinstance(data, list | tuple), data, where, "a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(from_data(arguments[0], v, f"{where}[{i}]") for i, v in enumerate(data))
    _expect(len(data) == len(arguments), data, where, f"a list of {len(arguments)}")
    return tuple(from_data(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(arguments, data, strict=True)))


def _union_from_data(arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in arguments:
        return None
    options = [a for a in arguments if a is not type(None)]
    classes = {a.__name__: a for a in options if isinstance(a, type) and dataclasses.is_dataclass(a)}
    if len(options) == 1:
        return from_data(options[0], data, where)
    if isinstance(data, dict) and classes:
        return _dataclass_from_data(_chosen_class(classes, data, where), data, where)
    for option in options:
        try:
            return from_data(option, data, where)
        except ConfigurationError:
            continue
    names = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    return _expect(False, data, where, names)


def _chosen_class(classes: dict[str, Any], data: dict[str, Any], where: str) -> Any:
    if len(classes) == 1:
        return next(iter(classes.values()))
    if "type" not in data:
        nearness = {_nearness(c, data): c for c in reversed(classes.values())}
        fitting = [c for c in classes.values() if _nearness(c, data) == len(data)]
        if len(fitting) < 2:
            return nearness[max(nearness)]  # of keys that fit none, the nearest class makes the best message
    if data.get("type") not in classes:
        raise ConfigurationError(f"{where}.type is {data.get('type')!r}; expected one of {', '.join(classes)}")
    return classes[data["type"]]


def _nearness(kind: Any, data: dict[str, Any]) -> float:
    """How well the keys of `data` fit a class: their number when each is one of its fields."""
    names = [f.name for f in dataclasses.fields(kind)]
    return sum(max(difflib.SequenceMatcher(None, key, name).ratio() for name in names) for key in data)


def _dataclass_from_data(kind: Any, data: Any, where: str) -> Any:
    _expect(isinstance(data, dict), data, where, f"a mapping with the fields of {kind.__name__}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in data:
        if key not in fields and not (key == "type" and data[key] == kind.__name__):
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"fields: {', '.join(fields)}"
            raise ConfigurationError(f"{where}.{key} is not a field of {kind.__name__}; {hint}")
    missing = [n for n, f in fields.items() if n not in data and _is_required(f)]
    if missing:
        raise ConfigurationError(f"{where}.{missing[0]} is missing; {kind.__name__} needs it")
    return kind(**{n: from_data(hints[n], data[n], f"{where}.{n}") for n in fields if n in data})


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
