"""`toolkit repo push`: a model repository delivered, checked after it arrived, and what to do to go back.

In: a repository and where it shall lie: a folder, an `s3://` or `gs://` address, or `oci:DIR`. Out: a Delivery. Each
file is verified by its SHA-256 where it arrived, and not sent again when it lies there already; so a push that was cut
off goes on with the same command.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.errors import RepositoryError
from toolkit.repository.lint import lint_repository
from toolkit.repository.push.destination import destination_from_text
from toolkit.repository.push.files import push_files
from toolkit.repository.push.lock import Delivery
from toolkit.repository.push.oci import push_oci
from toolkit.repository.push.plan import plan_of

__all__ = ["Delivery", "push"]

OCI = "oci:"


def push(repository: Path, destination: str) -> Delivery:
    """Deliver every entry of `repository`, of all its versions, to `destination`.

    Files of a version are sent before the configuration that serves it, and the lock is written last. What an earlier
    push of ours left there and is no longer needed is removed at the end. Raises RepositoryError for a repository with
    an error of the linter or a link that leaves it, and for a destination that is not empty and not ours; UsageError
    for an address that makes no sense; EnvironmentProblem where it cannot be written; MissingDependency.
    """
    errors = [r for r in lint_repository(repository) if r.severity == "error"]
    if errors:
        listed = "; ".join(f"{r.rule} {r.entry}: {r.text}" for r in errors)
        raise RepositoryError(f"{repository} is not delivered: {listed}", mend=errors[0].remedy)
    plan = plan_of(repository)
    if destination.startswith(OCI):
        return push_oci(plan, destination.removeprefix(OCI))
    return push_files(plan, destination_from_text(destination, repository))
