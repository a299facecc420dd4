"""Where files can be delivered: a folder, or an object store that fsspec knows. Names are relative, with slashes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from toolkit.errors import EnvironmentProblem, MissingDependency, UsageError
from toolkit.extras import require
from toolkit.records import digest_of_file, files_below, write_bytes, writing

#: What fsspec needs for an address, where it is a package of its own.
PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_CHUNK_BYTES = 1 << 20


class Destination(Protocol):
    """Named files that can be read, written and removed. Errors are EnvironmentProblem."""

    where: str

    def names(self) -> tuple[str, ...]:
        """All files that lie there."""

    def read(self, name: str) -> bytes:
        """The content of a small file."""

    def digest(self, name: str) -> str:
        """The SHA-256 of a file as it lies there."""

    def send(self, name: str, source: Path) -> None:
        """Put a file there, of any size; it appears whole."""

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there."""

    def remove(self, name: str) -> None:
        """Take a file away."""


class Folder:
    """A folder on a disk of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = str(folder)

    def names(self) -> tuple[str, ...]:
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"{self.folder} is a file", mend="name a folder that is empty or new")
        with writing(self.folder):
            return tuple(n for n in files_below(self.folder) if not n.endswith(".partial"))

    def read(self, name: str) -> bytes:
        with writing(self.folder / name):
            return (self.folder / name).read_bytes()

    def digest(self, name: str) -> str:
        return digest_of_file(self.folder / name)

    def send(self, name: str, source: Path) -> None:
        place = self.folder / name
        work = place.with_name(f".{place.name}.partial")
        with writing(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, work)
            work.replace(place)

    def write(self, name: str, content: bytes) -> None:
        write_bytes(self.folder / name, content)

    def remove(self, name: str) -> None:
        """Take the file away, and the folders that it leaves empty."""
        with writing(self.folder / name):
            (self.folder / name).unlink(missing_ok=True)
            for parent in (self.folder / name).relative_to(self.folder).parents[:-1]:
                if any((self.folder / parent).iterdir()):
                    break
                (self.folder / parent).rmdir()


class Store:
    """An object store by its fsspec file system. An object appears whole, as stores do."""

    def __init__(self, system: Any, root: str, where: str) -> None:
        self.system, self.root, self.where = system, root.rstrip("/"), where

    def names(self) -> tuple[str, ...]:
        with _reaching(self.where):
            # What another process wrote meanwhile must be seen.
            self.system.invalidate_cache()
            found = self.system.find(self.root)
        return tuple(sorted(str(path).removeprefix(self.root).lstrip("/") for path in found))

    def read(self, name: str) -> bytes:
        with _reaching(self.where):
            return bytes(self.system.cat_file(f"{self.root}/{name}"))

    def digest(self, name: str) -> str:
        """Read back, as no store offers the SHA-256 of what it holds in a common way."""
        digest = hashlib.sha256()
        with _reaching(self.where), self.system.open(f"{self.root}/{name}", "rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def send(self, name: str, source: Path) -> None:
        with _reaching(self.where):
            self.system.put_file(str(source), f"{self.root}/{name}")

    def write(self, name: str, content: bytes) -> None:
        with _reaching(self.where):
            self.system.pipe_file(f"{self.root}/{name}", content)

    def remove(self, name: str) -> None:
        with _reaching(self.where):
            self.system.rm_file(f"{self.root}/{name}")


def destination_from_text(text: str, repository: Path) -> Destination:
    """The destination that an address names. Raises UsageError for one inside the repository or not understood."""
    scheme, separator, rest = text.partition("://")
    if separator:
        return _store(text, scheme, rest)
    folder, ours = Path(text).resolve(), repository.resolve()
    if not text or folder.is_relative_to(ours) or ours.is_relative_to(folder):
        raise UsageError(
            f"the destination '{text}' and the repository {repository} lie inside each other",
            mend="name another folder, an s3:// or gs:// address, or oci:DIR",
        )
    return Folder(folder)


def _store(text: str, scheme: str, rest: str) -> Store:
    if not rest.strip("/") or ".." in rest.split("/"):
        raise UsageError(f"the destination '{text}' names no place", mend=f"write it as {scheme}://BUCKET/FOLDER")
    fsspec = require("fsspec")
    try:
        system, root = fsspec.core.url_to_fs(text)
    except ImportError as err:
        package = PACKAGES.get(scheme, "the package that fsspec names")
        raise MissingDependency(f"{text}: {err}", mend=f"pip install {package}") from err
    except ValueError as err:
        raise UsageError(f"the destination '{text}': {err}", mend="use s3://, gs://, a folder or oci:DIR") from err
    return Store(system, str(root), text)


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    """Turn what the stores' packages raise into EnvironmentProblem."""
    try:
        yield
    except Exception as err:
        mend = "check that the bucket is there, and your credentials and rights"
        raise EnvironmentProblem(f"{where}: {type(err).__name__}: {err}", mend=mend) from err
