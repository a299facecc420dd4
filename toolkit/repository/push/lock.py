"""What was delivered, as the destination remembers it: the lock, the checksums, and the notes on going back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit import __version__
from toolkit.errors import ConfigurationError, RepositoryError
from toolkit.records import SCHEMA, from_data, to_data, to_json
from toolkit.repository.publish import CHECKSUMS_FILE, LOCK_FILE

if TYPE_CHECKING:
    from toolkit.repository.push.plan import Plan

NOTES_FILE = "README-rollback.md"
#: What a push writes beside the entries.
OWN_FILES = (LOCK_FILE, CHECKSUMS_FILE, NOTES_FILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedEntry:
    """One entry as it was delivered: the version that is served, those that lie there, the digest of all its files."""

    name: str
    version: int
    versions: tuple[int, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PushLock:
    """bundle.lock.json of a delivered repository. `complete` is false while a push is under way.

    `files` are the SHA-256 of each by its name; `previous` are the entries before this push, `previous_sha256` of that
    whole, empty for the first.
    """

    sha256: str
    complete: bool
    entries: tuple[PushedEntry, ...]
    files: dict[str, str]
    previous: tuple[PushedEntry, ...] = ()
    previous_sha256: str = ""
    toolkit: str = __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What a push did: files sent (and their bytes), found there already, and removed."""

    destination: str
    sha256: str
    entries: tuple[PushedEntry, ...]
    sent: int
    sent_bytes: int
    kept: int
    removed: int
    previous_sha256: str


def lock_of(plan: Plan, earlier: PushLock | None, *, complete: bool) -> PushLock:
    """The lock of a plan that follows on `earlier`; the push of the same state again keeps what was before it.

    While a push is under way the files of both states may lie there, and are ours.
    """
    before, digest = ((), "") if earlier is None else (earlier.entries, earlier.sha256)
    if earlier is not None and (not earlier.complete or earlier.sha256 == plan.sha256):
        before, digest = earlier.previous, earlier.previous_sha256
    files = {} if earlier is None or complete else earlier.files
    return PushLock(
        sha256=plan.sha256,
        complete=complete,
        entries=plan.entries,
        files=files | {file.name: file.sha256 for file in plan.files},
        previous=before,
        previous_sha256=digest,
    )


def lock_json(lock: PushLock) -> bytes:
    """The lock as a file has it."""
    return to_json({"schema": SCHEMA} | to_data(lock)).encode()


def lock_from_json(content: bytes, where: str) -> PushLock:
    """Read a lock. Raises RepositoryError for anything else, a deployment bundle's lock among them."""
    try:
        data = json.loads(content)
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise ConfigurationError(f"not a document of schema {SCHEMA}")
        lock: PushLock = from_data(PushLock, {k: v for k, v in data.items() if k != "schema"}, LOCK_FILE)
    except (ValueError, ConfigurationError) as err:
        raise RepositoryError(
            f"{where} has a {LOCK_FILE} that is not of a pushed repository: {err}", mend="name another destination"
        ) from err
    return lock


def checksums(lock: PushLock) -> bytes:
    """SHA256SUMS, as `sha256sum --check` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(lock.files.items())).encode()


def notes(lock: PushLock, destination: str, *, back: str) -> bytes:
    """The roll-back notes; `back` is how the state before this push is had again at this kind of destination."""
    before = {entry.name: entry for entry in lock.previous}
    now = {entry.name: entry for entry in lock.entries}
    rows = [
        f"| {name} | {_described(now.get(name))} | {_described(before.get(name))} |" for name in sorted({*now, *before})
    ]
    went = [name for name, e in before.items() if name not in now or e.version not in now[name].versions]
    lines = [
        f"# {destination}",
        "",
        f"Pushed by `toolkit repo push`, state {lock.sha256[:12]}"
        + (f", after {lock.previous_sha256[:12]}." if lock.previous_sha256 else "; nothing was pushed here before."),
        "Check the files with `sha256sum --check SHA256SUMS`.",
        "",
        "| entry | serves now | served before |",
        "|---|---|---|",
        *rows,
        "",
        "## To go back",
        "",
        back if before or any(len(e.versions) > 1 for e in lock.entries) else "There is no state before this one.",
    ]
    if went:
        names = ", ".join(sorted(went))
        lines += ["", f"The version before of {names} is no longer here: keep the repository that it was in."]
    return "".join(f"{line}\n" for line in lines).encode()


def _described(entry: PushedEntry | None) -> str:
    return f"version {entry.version} of {', '.join(map(str, entry.versions))} ({entry.sha256[:12]})" if entry else "-"
