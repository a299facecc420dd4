"""A repository delivered as files, one by one, to any Destination."""

from __future__ import annotations

from toolkit.errors import EnvironmentProblem, RepositoryError
from toolkit.repository.history import DESCRIPTION
from toolkit.repository.publish import CHECKSUMS_FILE, LOCK_FILE
from toolkit.repository.push.destination import Destination, Folder
from toolkit.repository.push.lock import (
    NOTES_FILE,
    OWN_FILES,
    Delivery,
    PushLock,
    checksums,
    lock_from_json,
    lock_json,
    lock_of,
    notes,
)
from toolkit.repository.push.plan import Plan, Planned


def push_files(plan: Plan, destination: Destination) -> Delivery:
    """Send what is not there yet, verify all of it, remove what a push before left; see `push`."""
    there = set(destination.names())
    earlier = _earlier(destination, there)
    # The lock of a push under way says that what lies here is ours, so that it can be resumed.
    destination.write(LOCK_FILE, lock_json(lock_of(plan, earlier, complete=False)))
    sent = [file for file in plan.files if _sent(destination, file, there)]
    ours = {file.name for file in plan.files}
    left = sorted(_delivered(earlier, there) & there - ours)
    for name in left:
        destination.remove(name)
    lock = lock_of(plan, earlier, complete=True)
    destination.write(CHECKSUMS_FILE, checksums(lock))
    destination.write(NOTES_FILE, notes(lock, destination.where, back=_back(plan, destination)))
    destination.write(LOCK_FILE, lock_json(lock))
    return Delivery(
        destination=destination.where,
        sha256=lock.sha256,
        entries=lock.entries,
        sent=len(sent),
        sent_bytes=sum(file.size_bytes for file in sent),
        kept=len(plan.files) - len(sent),
        removed=len(left),
        previous_sha256=lock.previous_sha256,
    )


def _earlier(destination: Destination, there: set[str]) -> PushLock | None:
    """The lock of the push before. Raises RepositoryError where files lie that no push of ours brought."""
    if LOCK_FILE in there:
        lock = lock_from_json(destination.read(LOCK_FILE), destination.where)
        strangers = there - _delivered(lock, there) - set(OWN_FILES)
        if not strangers:
            return lock
        what = f"holds '{min(strangers)}', which no push brought"
    elif there:
        what = f"is not empty and was not pushed to: it holds '{min(there)}'"
    else:
        return None
    raise RepositoryError(f"{destination.where} {what}", mend="name an empty destination, or move that away")


def _delivered(lock: PushLock | None, there: set[str]) -> set[str]:
    """What pushes brought there, and what a rollback at the destination itself kept of a version's description."""
    described = {name for name in there if DESCRIPTION in name.split("/")}
    return described | set(lock.files) if lock else set()


def _sent(destination: Destination, file: Planned, there: set[str]) -> bool:
    """Whether a file had to be sent. Raises EnvironmentProblem when it did not arrive as it is."""
    if file.name in there and destination.digest(file.name) == file.sha256:
        return False
    if file.source is None:
        destination.write(file.name, b"")
    else:
        destination.send(file.name, file.source)
    arrived = destination.digest(file.name)
    if arrived != file.sha256:
        raise EnvironmentProblem(
            f"{destination.where}/{file.name} arrived with digest {arrived[:12]}, it has {file.sha256[:12]}",
            mend="run the same command again: what arrived well is not sent twice",
        )
    return True


def _back(plan: Plan, destination: Destination) -> str:
    if isinstance(destination, Folder):
        return f"    toolkit repo rollback NAME --repository {destination.where}"
    return f"    toolkit repo rollback NAME --repository REPO\n    toolkit repo push REPO {destination.where}"
