"""Values and bytes in files: whole or not at all, and their digests.

Every write is temporary file, fsync, rename, so a reader never sees half a file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from toolkit.errors import ConfigurationError, EnvironmentProblem
from toolkit.records.data import from_data, to_data, to_json

T = TypeVar("T")

#: Version of every JSON document that the toolkit writes; raised when a reader of the old one would go wrong.
SCHEMA = 1


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
