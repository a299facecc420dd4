"""Writing into a model repository: an entry appears whole or not at all.

In: a repository folder and an entry's name. Out: a hidden folder to fill, renamed into place when it is complete.
This module does not know what an entry holds.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.errors import RepositoryError, UsageError
from toolkit.records import writing

CONFIG_FILE = "config.pbtxt"
LABELS_FILE = "labels.txt"
LOCK_FILE = "bundle.lock.json"
CHECKSUMS_FILE = "SHA256SUMS"
#: What `repo push` puts beside the entries; Triton takes folders only.
PUSH_FILES = (LOCK_FILE, CHECKSUMS_FILE)
#: One URL segment that is also a plain folder name; Triton's HTTP routes take no more.
ENTRY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def entry_folders(repository: Path) -> tuple[Path, ...]:
    """The entries of a repository by name. Raises RepositoryError for a folder that is not a Triton repository.

    Hidden names, README files and what `repo push` writes are nobody's entries; any other file, or a folder with
    neither a config.pbtxt nor a version folder, means that the folder belongs to something else.
    """
    if not repository.is_dir():
        what = "is a file" if repository.exists() else "does not exist"
        raise RepositoryError(f"model repository {repository} {what}", mend="name a folder with --repository")
    found = [p for p in sorted(repository.iterdir()) if not _is_aside(p.name)]
    foreign = [p.name for p in found if not is_entry(p)]
    if foreign:
        raise RepositoryError(
            f"{repository} is not a Triton model repository: it holds '{foreign[0]}'",
            mend="name an empty or new folder with --repository, or move that away",
        )
    return tuple(found)


def version_folders(entry: Path) -> tuple[Path, ...]:
    """The version folders of an entry, the latest last."""
    return tuple(sorted((p for p in entry.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name)))


@contextmanager
def building(repository: Path, name: str, *, replace: bool, version: int = 1) -> Iterator[Path]:
    """The version folder of a hidden entry, put in place as `repository/name` when the block ends well.

    Raises UsageError for an unusable name, RepositoryError for an entry that exists (unless `replace`) and for a folder
    that is not a repository, EnvironmentProblem when it cannot be written.
    """
    place, work = repository / name, repository / f".{name}.partial"
    _check_place(repository, name, replace)
    with writing(place):
        shutil.rmtree(work, ignore_errors=True)
        (work / str(version)).mkdir(parents=True)
        try:
            yield work / str(version)
            _sync_folders(work)
            _swap(work, place)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file of any size and flush it to the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    _sync(target)


def _is_aside(name: str) -> bool:
    return name.startswith((".", "README")) or name in PUSH_FILES


def is_entry(path: Path) -> bool:
    """Whether a folder is an entry: it has a config.pbtxt or a version folder."""
    return path.is_dir() and ((path / CONFIG_FILE).is_file() or bool(version_folders(path)))


def _check_place(repository: Path, name: str, replace: bool) -> None:
    if not ENTRY_NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be the name of a repository entry",
            mend="use letters, digits, '.', '_' and '-', starting with a letter or digit",
        )
    if repository.exists():
        entry_folders(repository)
    if (repository / name).exists() and not replace:
        raise RepositoryError(
            f"{repository / name} exists already", mend="add --new-version or --replace, or give another --name"
        )


def _swap(work: Path, place: Path) -> None:
    """Put `work` in the place of what is there, which then lies where `work` was.

    Where the system cannot exchange two folders in one act, the old one lies hidden beside it between two renames.
    """
    if not place.exists():
        work.rename(place)
    elif not _exchange(work, place):
        old = place.with_name(f".{place.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        place.rename(old)
        work.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    _sync(place.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Whether two paths were exchanged atomically: renameat2(2) with RENAME_EXCHANGE, on Linux and most disks."""
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    at_cwd, exchange = -100, 2
    return renameat2 is not None and renameat2(at_cwd, bytes(one), at_cwd, bytes(other), exchange) == 0


def _sync_folders(folder: Path) -> None:
    for path in (*(p for p in folder.rglob("*") if p.is_dir()), folder):
        _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
