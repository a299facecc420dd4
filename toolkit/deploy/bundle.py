"""A Bundle: paths to texts, and the files that are copied beside them. Building one is pure; writing is one step.

In: a Bundle and an output folder. Out: the folder, whole or not at all. This module does not know what a file means.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shlex import quote

from toolkit.errors import RepositoryError, UsageError
from toolkit.records import digest_of_file, write_bytes, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile:
    """A file that is copied as it is, and the digest that its copy must have."""

    source: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle's folder will hold, by relative path. Raises UsageError for a path that would leave the folder."""

    files: Mapping[str, str | bytes]
    copies: Mapping[str, CopiedFile]

    def __post_init__(self) -> None:
        for path in (*self.files, *self.copies):
            checked_path(path)
        if twice := self.files.keys() & self.copies.keys():
            raise UsageError(f"{min(twice)!r} is both generated and copied")


def checked_path(path: str) -> str:
    """`path` itself, when it is relative, in its plainest form and stays below its folder. Raises UsageError."""
    parts = PurePosixPath(path).parts
    if not parts or path != "/".join(parts) or parts[0] == "/" or ".." in parts or "\0" in path:
        raise UsageError(f"{path!r} is not a path inside a bundle", mend="use names without '..' and without '/'")
    return path


def repository_files(repository: Path, entries: tuple[str, ...]) -> dict[str, CopiedFile]:
    """Every file of the entries by its path below `repository`, with its digest.

    Raises RepositoryError for a link that leaves the repository and for anything that is not a plain file: a bundle
    must hold what was measured, and nothing else of this machine.
    """
    found = {}
    for entry in entries:
        for path in sorted((repository / entry).rglob("*")):
            if "__pycache__" not in path.parts and (path.is_symlink() or not path.is_dir()):
                _check_plain(path, repository)
                found[path.relative_to(repository).as_posix()] = CopiedFile(source=path, sha256=digest_of_file(path))
    return found


def empty_folders(repository: Path, entries: tuple[str, ...]) -> tuple[str, ...]:
    """The folders of the entries that hold nothing, by their path below `repository`: the version of an ensemble."""
    folders = (path for entry in entries for path in sorted((repository / entry).rglob("*")) if path.is_dir())
    return tuple(p.relative_to(repository).as_posix() for p in folders if not p.is_symlink() and not any(p.iterdir()))


def _check_plain(path: Path, repository: Path) -> None:
    real = path.resolve()
    if not real.is_file() or not real.is_relative_to(repository.resolve()):
        raise RepositoryError(
            f"{path} is not a plain file of the repository but leads to {real}",
            mend=f"put a copy of the file in its place: cp --remove-destination {quote(str(real))} {quote(str(path))}",
        )


def write_bundle(bundle: Bundle, output: Path) -> None:
    """Write the bundle as the folder `output`, which must be absent or empty; on failure nothing is left behind.

    Raises UsageError for a folder that holds something, RepositoryError for a model file that changed since the bundle
    was made, EnvironmentProblem when the disk refuses.
    """
    place = output.resolve()
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise UsageError(f"{output} exists and is not an empty folder", mend="give --output a new or empty folder")
    work = place.with_name(f".{place.name}.{os.getpid()}.partial")
    with writing(output):
        try:
            _fill(work, bundle)
            work.replace(place)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _fill(folder: Path, bundle: Bundle) -> None:
    for path, content in bundle.files.items():
        write_bytes(folder / path, content.encode() if isinstance(content, str) else content)
    for path, copied in bundle.copies.items():
        _copy(copied, folder / path)
    for path_on_disk in (folder, *folder.rglob("*")):
        # Containers read the bundle as other users, whatever the umask of the person who wrote it.
        path_on_disk.chmod(0o755 if path_on_disk.is_dir() else 0o644)


def _copy(copied: CopiedFile, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with copied.source.open("rb") as source, place.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    if digest_of_file(place) != copied.sha256:
        raise RepositoryError(f"{copied.source} changed while the bundle was made", mend="run the same command again")
