"""Values to files and back, strictly; and `step`, the one mechanism by which anything is resumed.

A value is a frozen dataclass. It becomes a JSON object with the same keys; a value of a union carries its class name
under `type`, which people may leave out where the keys fit one class only. Reading is strict: an unknown key, a missing
key or a wrong type is a ConfigurationError that names the file and the field. Every write is temporary file, fsync,
rename, so a reader never sees half a file.
This module does not know what any of the values mean.
"""

from __future__ import annotations

import dataclasses
import difflib
import errno
import hashlib
import json
import math
import os
import shutil
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from toolkit import __version__
from toolkit.errors import ConfigurationError, EnvironmentProblem

T = TypeVar("T")

#: Version of every JSON document that the toolkit writes; raised when a reader of the old one would go wrong.
SCHEMA = 1
STEP_FILE = ".step.json"


# --- values -> plain data ---------------------------------------------------------------------------------------------


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


# --- plain data -> values ---------------------------------------------------------------------------------------------


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


# --- files ------------------------------------------------------------------------------------------------------------


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn the operating system's write errors below into EnvironmentProblem with a mend."""
    mends = {errno.ENOSPC: "free some disk space, then run the same command with --resume"}
    try:
        yield
    except OSError as err:
        mend = mends.get(err.errno or 0, "check the path and its permissions")
        raise EnvironmentProblem(f"cannot write {place}: {err.strerror or err}", mend=mend) from err


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one. Raises EnvironmentProblem."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` for text, as UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON with the schema version in front."""
    write_text(path, to_json({"schema": SCHEMA} | to_data(value)))


def read_json(path: Path, kind: type[T]) -> T:
    """Read a document that `write_json` wrote. Raises ConfigurationError for any other."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise ConfigurationError(f"{path} cannot be read: {err}") from err
    if not isinstance(data, dict) or data.pop("schema", None) != SCHEMA:
        raise ConfigurationError(f"{path}: not a document of schema {SCHEMA}", mend="run the stage that wrote it again")
    return from_data(kind, data, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigurationError when it is absent, not YAML or not a mapping."""
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigurationError(f"{path} cannot be read: {err}") from err
    if not isinstance(data, dict):
        raise ConfigurationError(f"{path}: expected a mapping of keys, found {type(data).__name__}")
    return data


# --- digests ----------------------------------------------------------------------------------------------------------


def digest_of_value(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    return hashlib.sha256(json.dumps(to_data(value), sort_keys=True).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises ConfigurationError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise ConfigurationError(f"{path} cannot be read: {err.strerror}") from err


def digest_of_files(folder: Path, names: Iterable[str]) -> str:
    """SHA-256 over the names and digests of files under `folder`; a single file has its plain digest."""
    names = tuple(names)
    if len(names) == 1:
        return digest_of_file(folder / names[0])
    return digest_of_value({n: digest_of_file(folder / n) for n in names})


def files_below(folder: Path) -> tuple[str, ...]:
    """The files below a folder as sorted relative paths."""
    return tuple(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))


# --- steps ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """What a finished step was made from, and the digest of each file that it left."""

    digest: str
    outputs: dict[str, str]


def step(run: Path, key: str, inputs: Any, do: Callable[[Path], None]) -> Path:
    """Make the folder `run/key` by calling `do(folder)`, unless it is already there and sound.

    It is sound when it was made from the same `inputs` (any value) by the same version of the toolkit and every file
    still has its recorded digest. `do` writes into a hidden folder beside it, which is renamed into place as the last
    act: a step that was killed leaves nothing that counts, a step that finished is never repeated.
    Returns `run/key`. Raises whatever `do` raises, and EnvironmentProblem when the disk is full.
    """
    place = run / key
    if is_finished(run, key, inputs):
        return place
    work = place.with_name(f".{place.name}.partial")
    with writing(place):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        do(work)
        outputs = {name: digest_of_file(work / name) for name in files_below(work)}
        write_json(work / STEP_FILE, StepRecord(digest=_step_digest(inputs), outputs=outputs))
        _sync_tree(work)
        shutil.rmtree(place, ignore_errors=True)
        work.replace(place)
    return place


def is_finished(run: Path, key: str, inputs: Any) -> bool:
    """Whether `run/key` holds the sound outputs of a step made from these inputs."""
    place = run / key
    if not (place / STEP_FILE).is_file():
        return False
    try:
        record = read_json(place / STEP_FILE, StepRecord)
        right = record.digest == _step_digest(inputs)
        return right and all(digest_of_file(place / n) == d for n, d in record.outputs.items())
    except ConfigurationError:
        return False


def _step_digest(inputs: Any) -> str:
    return digest_of_value({"inputs": to_data(inputs), "version": __version__})


def _sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
