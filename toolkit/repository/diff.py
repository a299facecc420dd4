"""What differs between two entries or two repositories, by meaning: fields, versions and files, not lines of text.

In: two folders. Out: the differences, none when a server would serve both alike. What is unset equals its default, the
order of inputs says nothing, and what is only provenance is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import UsageError
from toolkit.records import digest_of_file, files_below
from toolkit.repository.effective import effective_data
from toolkit.repository.meanings import meaning_of
from toolkit.repository.provenance import PROVENANCE_FILE, provenance_of
from toolkit.repository.publish import CONFIG_FILE, entry_folders, is_entry
from toolkit.repository.read import read_entry
from toolkit.repository.versions import served_versions

ABSENT = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field of an entry; `before` and `after` are as a config writes them, `meaning` is what the field does."""

    entry: str
    field: str
    before: str
    after: str
    meaning: str


def diff(one: Path, other: Path) -> tuple[Difference, ...]:
    """The differences from `one` to `other`, both entries or both repositories, by entry and field.

    Two entries are compared whatever their names are. Raises UsageError for an entry and a repository,
    RepositoryError and ConfigurationError for what cannot be read.
    """
    if is_entry(one) != is_entry(other):
        entry, repository = (one, other) if is_entry(one) else (other, one)
        raise UsageError(
            f"{entry} is an entry and {repository} is not",
            mend=f"compare with {repository / entry.name}, or {entry}/..",
        )
    if is_entry(one):
        return tuple(_of_entries(one.resolve().name, one, other))
    return tuple(_of_repositories(one, other))


def _of_repositories(one: Path, other: Path) -> Iterator[Difference]:
    before, after = ({p.name: p for p in entry_folders(folder)} for folder in (one, other))
    for name in sorted({*before, *after}):
        if name in before and name in after:
            yield from _of_entries(name, before[name], after[name])
        else:
            values = [_summary(side[name]) if name in side else ABSENT for side in (before, after)]
            yield _difference(name, "entry", *values)


def _of_entries(name: str, one: Path, other: Path) -> Iterator[Difference]:
    for field, before, after in _changes("", _state(one), _state(other)):
        yield _difference(name, field, before, after)


def _difference(entry: str, field: str, before: Any, after: Any) -> Difference:
    return Difference(entry=entry, field=field, before=_text(before), after=_text(after), meaning=meaning_of(field))


def _summary(folder: Path) -> str:
    entry = read_entry(folder)
    return f"{entry.config.backend or entry.config.platform or 'entry'}, version {entry.version}"


def _state(folder: Path) -> dict[str, Any]:
    """An entry as nested data: its effective config, which versions are served, and the digest of every file."""
    entry, provenance = read_entry(folder), provenance_of(folder)
    state = effective_data(entry.config)
    state.pop("version_policy")
    state["versions"] = {"there": list(entry.versions), "served": list(served_versions(entry.config, entry.versions))}
    state["files"] = {name: digest_of_file(folder / name) for name in files_below(folder) if _counts(name)}
    if provenance is not None:
        state["made"] = {"precision": provenance.precision, "parity": provenance.parity}
    return state


def _counts(name: str) -> bool:
    parts = Path(name).parts
    return name not in (CONFIG_FILE, PROVENANCE_FILE) and not any(
        p.startswith(".") or p == "__pycache__" for p in parts
    )


def _changes(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(k for k in after if k not in before)]:
            yield from _changes(_below(path, key), before.get(key, ABSENT), after.get(key, ABSENT))
    elif _are_messages(before) and _are_messages(after):
        for index in range(max(len(before), len(after))):
            sides = [side[index] if index < len(side) else ABSENT for side in (before, after)]
            yield from _changes(f"{path}[{index}]", *sides)
    elif before != after:
        yield path, before, after


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _below(path: str, key: str) -> str:
    """`input[IMAGE]` for what is named by its reader, `optimization.graph` for a field."""
    is_field = re.fullmatch(r"[a-z_]+", key) and path not in ("input", "output", "files", "model_warmup")
    return key if not path else f"{path}.{key}" if is_field else f"{path}[{key}]"


def _text(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)
