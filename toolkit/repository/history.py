"""The versions of one entry: a new one beside those that are there, and back to an earlier one.

In: an entry's folder. Out: the files of its next state, in the hidden folder that `publish.building` puts in place, so
that a server never sees half a version. Triton has one config.pbtxt for all versions of an entry, and a version comes
with a config of its own; so the files that described a version while it was served are kept in it, in a hidden folder
that no backend reads.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import RepositoryError
from toolkit.records import write_text
from toolkit.repository.config import ModelConfig, to_pbtxt
from toolkit.repository.model_config import ModelInput, ModelOutput, ModelVersionPolicy
from toolkit.repository.publish import CONFIG_FILE, LABELS_FILE, building, version_folders
from toolkit.repository.read import RepositoryEntry, read_config, read_entry

#: In a version folder: config.pbtxt and the other files of the entry, as they were while the version was served.
DESCRIPTION = ".entry"
KEPT = 3


@contextmanager
def adding(repository: Path, config: ModelConfig, *, replace: bool, new_version: bool) -> Iterator[Path]:
    """The version folder to fill of the entry that `config` names: `1/`, or with `new_version` the next one.

    The newest versions that are there stay, KEPT with the new one, and always the one that is served. Raises as
    `publish.building`, and RepositoryError for a new version with another signature.
    """
    entry = repository / config.name
    folders = version_folders(entry) if new_version and entry.is_dir() else ()
    number = int(folders[-1].name) + 1 if folders else 1
    if folders:
        _check_same_signature(read_config(entry), config)
    with building(repository, config.name, replace=replace or bool(folders), version=number) as version:
        if folders:
            _keep(read_entry(entry), version.parent)
        yield version


def is_served(entry: Path, config: ModelConfig, sha256: str, labels: str | None = None) -> bool:
    """Whether an entry serves just this already: made from files of that digest, with that config but for its policy.

    `labels` is the text of its label file, if it has one. The same again would be no new version.
    """
    if not entry.is_dir() or not version_folders(entry):
        return False
    current = read_entry(entry)
    if labels is not None and not _holds(entry / LABELS_FILE, labels):
        return False
    same = dataclasses.replace(current.config, version_policy=config.version_policy) == config
    return same and current.artifact_sha256 == sha256


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


def _keep(current: RepositoryEntry, work: Path) -> None:
    """Files are linked where the disk can, so that a version of gigabytes costs nothing."""
    _carry(current.path, work, {*current.versions[1 - KEPT :], current.version})
    _describe(current.path, work / str(current.version) / DESCRIPTION)


def _check_same_signature(old: ModelConfig, new: ModelConfig) -> None:
    """Raises RepositoryError when requests for `old` are not requests for `new`: names, types, dims, batching."""

    def tensors(config: ModelConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
        sides: tuple[tuple[ModelInput | ModelOutput, ...], ...] = (config.input, config.output)
        return {t.name: (t.data_type, t.dims) for side in sides for t in side}

    before, after = tensors(old), tensors(new)
    changed = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    if (old.max_batch_size > 0) != (new.max_batch_size > 0):
        changed.append("max_batch_size")
    if changed:
        raise RepositoryError(
            f"'{new.name}': a new version must take and give what the old one does; these differ: {', '.join(changed)}",
            mend="give the model another --name, or --replace the entry with all its versions",
        )


def roll_back(repository: Path, name: str, *, to: int | None = None) -> RepositoryEntry:
    """Serve an earlier version of an entry again: `to`, or the newest below the one that is served.

    No version is removed, and `to` may be a later one as well. The version's own config and labels come back with it,
    and the version policy names it. Raises RepositoryError when there is no such version.
    """
    if not (repository / name).is_dir():
        raise RepositoryError(f"{repository} has no entry '{name}'", mend="toolkit repo list shows those it has")
    entry = read_entry(repository / name)
    target = _target(entry, to)
    with building(repository, name, replace=True, version=target) as version:
        work = version.parent
        _carry(entry.path, work, entry.versions)
        _describe(entry.path, work / str(entry.version) / DESCRIPTION)
        kept = work / str(target) / DESCRIPTION
        _describe(kept if kept.is_dir() else entry.path, work)
        config = dataclasses.replace(
            read_config(work), name=name, version_policy=ModelVersionPolicy(specific={"versions": [target]})
        )
        write_text(work / CONFIG_FILE, to_pbtxt(config))
    return read_entry(entry.path)


def _target(entry: RepositoryEntry, to: int | None) -> int:
    earlier = [v for v in entry.versions if v < entry.version]
    if to is None and earlier:
        return earlier[-1]
    if to is None or to not in entry.versions:
        asked = f"no version {to}" if to is not None else f"no version before {entry.version}"
        there = ", ".join(map(str, entry.versions))
        raise RepositoryError(
            f"{entry.path} has {asked}; it has: {there}",
            mend="toolkit repo add ARTIFACT --new-version adds one; --to VERSION chooses",
        )
    return to


def _carry(entry: Path, work: Path, numbers: Iterable[int]) -> None:
    for number in numbers:
        shutil.rmtree(work / str(number), ignore_errors=True)
        shutil.copytree(entry / str(number), work / str(number), copy_function=_link, symlinks=True)


def _describe(source: Path, target: Path) -> None:
    """Copy what describes an entry, everything but its version folders, in place of what `target` has of it."""
    if target.name == DESCRIPTION:
        shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, target / path.name)
        elif not path.name.isdigit():
            shutil.copytree(path, target / path.name)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)
