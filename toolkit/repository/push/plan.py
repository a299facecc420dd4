"""What a push delivers: every file of every entry with its digest. Reads the repository, writes nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from toolkit.errors import RepositoryError
from toolkit.records import digest_of_file, digest_of_value, files_below
from toolkit.repository.publish import CONFIG_FILE, entry_folders, version_folders
from toolkit.repository.push.lock import PushedEntry
from toolkit.repository.read import read_entry

#: An object store has no empty folders, and Triton wants the version folder of an ensemble.
PLACEHOLDER = ".keep"
_EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One file: its name in the repository, where its bytes are (None: it is empty), their digest and number."""

    name: str
    source: Path | None
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`files` in the order in which they are sent: what a configuration needs before the configuration."""

    repository: Path
    files: tuple[Planned, ...]
    entries: tuple[PushedEntry, ...]

    @property
    def sha256(self) -> str:
        """The digest of the whole: equal for equal names and contents."""
        return digest_of_value({file.name: file.sha256 for file in sorted(self.files, key=lambda f: f.name)})


def plan_of(repository: Path) -> Plan:
    """Read what is to be delivered. Raises RepositoryError for a link that leaves the repository."""
    folders = entry_folders(repository)
    if not folders:
        raise RepositoryError(f"{repository} has no entries", mend="toolkit repo add ARTIFACT adds one")
    files = {folder.name: _files_of(repository, folder) for folder in folders}
    entries = tuple(_pushed(folder, files[folder.name]) for folder in folders)
    ordered = sorted((file for each in files.values() for file in each), key=_turn)
    return Plan(repository=repository, files=tuple(ordered), entries=entries)


def _files_of(repository: Path, folder: Path) -> list[Planned]:
    names = [name for name in files_below(folder) if "__pycache__" not in Path(name).parts]
    planned = [_planned(repository, folder, name) for name in names]
    for version in version_folders(folder):
        if not any(version.iterdir()):
            name = f"{folder.name}/{version.name}/{PLACEHOLDER}"
            planned.append(Planned(name=name, source=None, sha256=_EMPTY, size_bytes=0))
    return planned


def _planned(repository: Path, folder: Path, name: str) -> Planned:
    source = folder / name
    if not source.resolve().is_relative_to(repository.resolve()):
        raise RepositoryError(f"{source} leads to {source.resolve()}, outside of the repository", mend="copy the file")
    if not name.isprintable() or "\\" in name:
        raise RepositoryError(f"{source!r} cannot be delivered under that name", mend="rename it")
    return Planned(
        name=f"{folder.name}/{name}",
        source=source,
        sha256=digest_of_file(source),
        size_bytes=source.stat().st_size,
    )


def _pushed(folder: Path, files: list[Planned]) -> PushedEntry:
    entry = read_entry(folder)
    digest = digest_of_value({file.name: file.sha256 for file in sorted(files, key=lambda f: f.name)})
    return PushedEntry(name=entry.name, version=entry.version, versions=entry.versions, sha256=digest)


def _turn(file: Planned) -> tuple[int, str]:
    """Models first, then what lies beside config.pbtxt, then that."""
    _, second, *rest = file.name.split("/")
    return (0 if rest else 2 if second == CONFIG_FILE else 1), file.name
